"""What must be known of a file before it is written as columns: its users, their labels, and what samples look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.leaf.decode import may_be_rounded
from fedsynth.leaf.index import LeafWalk, open_unchanged
from fedsynth.leaf.values import decode_user

MOST_CLASSES = 10_000
"""Largest number of different labels that become named classes: the names of more would outgrow the data."""


class Labels:
    """The labels of some users. whole, texts: those there are; other: whether there is any that can be no class."""

    def __init__(self) -> None:
        self.whole: set[int] = set()
        self.texts: set[str] = set()
        self.other = False

    def add(self, labels: Sequence[Any]) -> None:
        """Take the labels of a user."""
        if self.other:
            return
        try:
            found = set(labels)
        except TypeError:  # lists or objects
            self.other = True
            return
        self.whole |= {label for label in found if type(label) is int}
        self.texts |= {label for label in found if type(label) is str}
        self._see_if_classes(any(type(label) not in (int, str) for label in found))

    def merge(self, other: Labels) -> None:
        """Take what another has taken."""
        self.whole |= other.whole
        self.texts |= other.texts
        self._see_if_classes(other.other)

    def _see_if_classes(self, other: bool) -> None:
        mixed = bool(self.whole and self.texts)
        if other or mixed or len(self.whole) > MOST_CLASSES or len(self.texts) > MOST_CLASSES:
            self.whole, self.texts, self.other = set(), set(), True


@dataclass(frozen=True)
class Survey:
    """One file. users, num_samples, hierarchies: [users], in the order of the data; hierarchies: or None.

    first: a few samples, x and y, of the first user with any, ([], []) if there is none.
    """

    path: Path
    users: Sequence[str]
    num_samples: Sequence[int]
    hierarchies: Sequence[Any] | None
    labels: Labels
    first: tuple[Sequence[Any], Sequence[Any]]


def survey_file(path: Path, progress: Progress = no_progress) -> Survey:
    """Read a file's labels; holds one user's text, and the labels that differ.

    Raises DataError, naming file and user or byte, for what is not LEAF's format; x itself, which takes most of the
    time, is only checked by the code that reads it.
    """
    check_shared([path])
    labels, sizes = Labels(), {}
    first: tuple[Sequence[Any], Sequence[Any]] = [], []
    with open_unchanged(path) as (file, _):
        walk = LeafWalk(file, path)
        for name, offset, text in walk.users():
            y = _last_labels(text) if first[1] else None
            if y is None:
                x, y = decode_user(path, name, offset, text, with_x=not first[1])
                first = first if first[1] else (x[:1], y[:1])
                del x
            walk.check_size(name, len(y))
            labels.add(y)
            sizes[name] = len(y)
            del y, text
            progress(1)
    users = list(walk.found)
    hierarchies = walk.head.get("hierarchies")
    if hierarchies is not None:
        of_user = dict(zip(walk.head["users"], hierarchies, strict=True))
        hierarchies = [of_user[user] for user in users]
    return Survey(path, users, [sizes[user] for user in users], hierarchies, labels, first)


def _last_labels(text: bytes) -> Sequence[Any] | None:
    """Return a user's y where it is the last key, written as LEAF does, None where it may be anything else.

    No text between quotes holds this key, for its own quotes have backslashes there, and what is inside of something
    else does not end with the user.
    """
    start = text.rfind(_KEY)
    if start < 0 or not text.endswith(b"]}"):
        return None
    try:
        y = orjson.loads(text[start + len(_KEY) - 1 : -1])
    except ValueError:
        return None
    return None if may_be_rounded(y) else y


_KEY = b', "y": ['
