"""Read a file's users as values, checking on the way all that `read_index` checks: one pass, one user in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec
import orjson

from fedsynth.engine import Progress, no_progress
from fedsynth.leaf.decode import decode, may_be_rounded
from fedsynth.leaf.frames import pass_users
from fedsynth.leaf.index import LeafWalk, open_unchanged
from fedsynth.leaf.reader import check_user


class _Labels(msgspec.Struct):
    x: list[msgspec.Raw]
    y: list[Any]


_decode_labels = msgspec.json.Decoder(_Labels).decode

_LARGE = 4 << 20
"""Bytes of a user's text from which on x is parsed slice by slice: parsed, it takes three times its text."""


class LargeX(Sequence[Any]):
    """The x of a large user, parsed when a slice is taken. Holds the text of each sample."""

    def __init__(self, raw: Sequence[msgspec.Raw | bytes]) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, index: Any) -> Any:
        """Return a sample, or the list of those in a slice, as JSON values."""
        one = not isinstance(index, slice)
        text = b"[" + b", ".join([self._raw[index]] if one else self._raw[index]) + b"]"
        try:
            values = orjson.loads(text)
        except ValueError:
            values = decode(text)  # strings with unpaired surrogates, numbers that no float is near
        return values[0] if one else values


Values = tuple[str, Sequence[Any], Sequence[Any]]
"""A user's id, x and y; x is raw text where it is not wanted."""


def read_values(path: Path, wants_x: Callable[[], bool], progress: Progress = no_progress) -> Iterator[Values]:
    """Yield the users of a file in the order of its user_data. wants_x: asked before each, whether x is parsed.

    y has the values that the file has; in x a whole number beyond 64 bits may be the nearest float. Holds one user's
    text and values. Raises DataError, naming file and user or byte, just as `read_index` does.
    """
    with open_unchanged(path) as (file, _):
        for values in values_of(file, path, wants_x):
            yield values
            progress(1)


def values_of(file: FileIO, path: Path, wants_x: Callable[[], bool]) -> Iterator[Values]:
    """Yield the users of a file that was just opened; for the rest see `read_values`."""
    walk = LeafWalk(file, path)
    if not walk.to_data():  # no user is handed out who may turn out not to be listed
        pass_users(walk)
        file.seek(0)
        walk = walk.again(file)
    for name, offset, text in walk.users():
        x, y = decode_user(path, name, offset, text, with_x=wants_x())
        walk.check_size(name, len(y))
        yield name, x, y


def decode_user(
    path: Path, name: str, offset: int, text: bytes, *, with_x: bool
) -> tuple[Sequence[Any], Sequence[Any]]:
    """Parse a user, whose text starts at `offset`; without x that is raw text. Raises DataError for what is not valid.

    What the fast ways don't take, or would round, is left to the way that explains what is wrong.
    """
    try:
        x: Any
        if with_x and len(text) < _LARGE:
            user = orjson.loads(text)
            x, y = user["x"], user["y"]
        else:
            labels = _decode_labels(text if text.isascii() else text.decode())
            x, y = LargeX(labels.x) if with_x else labels.x, labels.y
        if isinstance(x, list | LargeX) and type(y) is list and len(x) == len(y) and not may_be_rounded(y):
            return x, y
    except (ValueError, KeyError, TypeError, RecursionError):  # both decoders' errors are ValueErrors
        pass
    raw = check_user(path, name, offset, text)
    x = LargeX(raw.x) if with_x and len(text) >= _LARGE else None
    y = decode(b"[" + b", ".join(raw.y) + b"]")
    return (decode(b"[" + b", ".join(raw.x) + b"]") if x is None else x), y
