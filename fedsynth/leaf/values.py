"""Read a file's users as values, checking on the way all that `read_index` checks: one pass, one user in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson

from fedsynth.engine import Progress, no_progress
from fedsynth.errors import DataError
from fedsynth.leaf.head import check_head, decode_value, read_head
from fedsynth.leaf.reader import check_user, read_index
from fedsynth.leaf.scan import Scanner


class _Labels(msgspec.Struct):
    x: list[msgspec.Raw]
    y: list[Any]


_decode_labels = msgspec.json.Decoder(_Labels).decode

_LARGE = 4 << 20
"""Bytes of a user's text from which on x is parsed slice by slice: parsed, it takes three times its text."""


class LargeX(Sequence[Any]):
    """The x of a large user, parsed when a slice is taken. Holds the text of each sample."""

    def __init__(self, raw: list[msgspec.Raw]) -> None:
        self._raw = raw

    def __len__(self) -> int:
        return len(self._raw)

    def __getitem__(self, place: Any) -> Any:
        """Return a sample, or the list of those in a slice, as JSON values."""
        one = not isinstance(place, slice)
        text = b"[" + b", ".join([self._raw[place]] if one else self._raw[place]) + b"]"
        try:
            values = orjson.loads(text)
        except ValueError:
            values = json.loads(text)  # strings with unpaired surrogates
        return values[0] if one else values


Values = tuple[str, Sequence[Any], Sequence[Any]]
"""A user's id, x and y; x is raw text where it is not wanted."""


def read_values(path: Path, wants_x: Callable[[], bool], progress: Progress = no_progress) -> Iterator[Values]:
    """Yield the users of a file in the order of its user_data. wants_x: asked before each, whether x is parsed.

    Holds one user's text and values. Raises DataError, naming file and user or byte, just as `read_index` does.
    """
    head = read_head(path)
    sizes = dict(zip(head["users"], head["num_samples"], strict=True))
    found: dict[str, Any] = {}
    with path.open("rb") as file:
        scanner = Scanner(file, path)
        for key in scanner.members():
            if key == "user_data":
                found[key] = yield from _read_users(scanner, sizes, wants_x, progress)
            else:
                found[key] = decode_value(scanner, key)
        scanner.end()
    if found.get("user_data") != len(sizes):
        raise _explained(path)
    check_head(path, found)


def _read_users(
    scanner: Scanner, sizes: dict[str, int], wants_x: Callable[[], bool], progress: Progress
) -> Generator[Values, None, int]:
    """Yield the users and return how many there are."""
    left = dict(sizes)
    for name in scanner.members():
        offset, text = scanner.value()
        x, y = _decode(scanner.path, name, offset, text, wants_x())
        if left.pop(name, None) != len(y):
            raise _explained(scanner.path)
        yield name, x, y
        progress(1)
    return len(sizes) - len(left)


def _explained(path: Path) -> DataError:
    """Return, or raise, what is wrong with a file whose users are not those of its head."""
    read_index(path)
    return DataError(f"{path}: changed while it was read; run the same command again")


def _decode(path: Path, name: str, offset: int, text: bytes, with_x: bool) -> tuple[Sequence[Any], Sequence[Any]]:
    """Parse a user; whatever the fast ways don't take is left to the way that explains what is wrong."""
    try:
        x: Any
        if with_x and len(text) < _LARGE:
            user = orjson.loads(text)
            x, y = user["x"], user["y"]
        else:
            labels = _decode_labels(text if text.isascii() else text.decode())
            x, y = LargeX(labels.x) if with_x else labels.x, labels.y
        if isinstance(x, list | LargeX) and type(y) is list and len(x) == len(y):
            return x, y
    except (ValueError, KeyError, TypeError, RecursionError):  # both decoders' errors are ValueErrors
        pass
    check_user(path, name, offset, text)
    user = json.loads(text)
    return user["x"], user["y"]
