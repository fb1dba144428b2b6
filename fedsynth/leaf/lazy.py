"""Open a LEAF file by its head, find its users' places when the first of them is wanted, and read one at a time."""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fedsynth.errors import DataError
from fedsynth.leaf.head import check_head, decode_value, read_head
from fedsynth.leaf.samples import MalformedError, read_user
from fedsynth.leaf.scan import Scanner
from fedsynth.records.stamp import FileState
from fedsynth.system import read_at

_TAIL = 4096
_USER_KEYS = (b"x", b"y")
_KEY = re.compile(rb'"([^"]*)"\s*:')


@dataclass(frozen=True)
class _Places:
    offsets: array[int]
    sizes: array[int]


class LazyLeafFile:
    """One LEAF file. users, num_samples: [users], as its head has them; hierarchies: the same, or None.

    Opening reads the head, asking for the first user walks through the file once, each user is read when asked for.
    Holds the head and 16 bytes a user; the file is never left open, so that threads and processes may share this, and
    it pickles without the data. Raises DataError if the file is not LEAF's, or changes after it was opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.state = FileState.of(path.stat())
        head = _whole_head(path)
        self.users: Sequence[str] = head["users"]
        self.num_samples: Sequence[int] = head["num_samples"]
        self.hierarchies: Sequence[Any] | None = head.get("hierarchies")
        self._places: _Places | None = None

    def check_unchanged(self) -> None:
        """Raise DataError if the file is not the one that was opened."""
        try:
            self._check(os.stat(self.path))  # noqa: PTH116 - half the time of Path.stat, and asked for every user
        except FileNotFoundError as error:
            raise DataError(f"{self.path}: is gone since it was opened; make it again and open it again") from error

    def samples(self, user: int) -> tuple[list[Any], list[Any]]:
        """Return x and y of a user, by position, as Python objects, as many of each as the head says.

        Raises DataError, naming the user, for anything else.
        """
        x, y = self._decode(user, self._text(user))
        if not len(x) == len(y) == self.num_samples[user]:
            raise DataError(
                f'{self.path}: user "{self.users[user]}" has {self.num_samples[user]} in num_samples but {len(x)} '
                f"entries in x and {len(y)} in y; generate or fetch the file again"
            )
        return x, y

    def _text(self, user: int) -> bytes:
        # Two threads may both look for the places: that costs time once, a lock could outlive a fork.
        self.check_unchanged()
        if self._places is None:
            self._places = self._find_places()
        with self.path.open("rb", buffering=0) as file:
            self._check(os.fstat(file.fileno()))
            text = read_at(file, self._places.offsets[user], self._places.sizes[user])
            self._check(os.fstat(file.fileno()))
            return text

    def _check(self, status: os.stat_result) -> None:
        if FileState.of(status) != self.state:
            raise DataError(f"{self.path}: changed since it was opened; open it again once nothing writes to it")

    def _decode(self, user: int, text: bytes) -> tuple[list[Any], list[Any]]:
        """Parse a user: fast, or after a check of all the text where the fast way can't."""
        try:
            try:
                entries = orjson.loads(text)
                return _list_of(entries, "x"), _list_of(entries, "y")
            except (orjson.JSONDecodeError, MalformedError):
                entries = json.loads(read_user(text).text)
                return _list_of(entries, "x"), _list_of(entries, "y")
        except MalformedError as error:
            raise DataError(
                f'{self.path}: user "{self.users[user]}" has {error.problem}; generate or fetch the file again'
            ) from error
        except (ValueError, RecursionError) as error:
            raise DataError(
                f'{self.path}: user "{self.users[user]}" has a value that Python can not hold ({error}), expected '
                "numbers, strings and lists; fix the file"
            ) from error

    def _find_places(self) -> _Places:
        found = _user_places(self.path)
        for user in self.users:
            if user not in found:
                raise DataError(f'{self.path}: user "{user}" has no entry in user_data; fetch the file again')
        if len(found) > len(self.users):
            extra = next(iter(found.keys() - set(self.users)))
            raise DataError(f'{self.path}: user "{extra}" has data but is not listed in users; fetch the file again')
        return _Places(*(array("q", (found[user][part] for user in self.users)) for part in (0, 1)))


def _whole_head(path: Path) -> dict[str, Any]:
    """Read the head, and what stands after the data where the file doesn't end with it; then the file is read once."""
    head = read_head(path)
    if not head["users"] or _ends_with_a_user(path):
        return head
    head = {}
    with path.open("rb") as file:
        scanner = Scanner(file, path)
        for key in scanner.members():
            if key == "user_data":
                for _ in scanner.members():
                    scanner.value()
            else:
                head[key] = decode_value(scanner, key)
        scanner.end()
    check_head(path, head)
    return head


def _ends_with_a_user(path: Path) -> bool:
    """Whether the text ends with a list of a user's samples, as far as its end tells; when in doubt, it doesn't."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        tail = file.read()
    keys = _KEY.findall(tail)
    return b"".join(tail.split()).endswith(b"]}}}") and (not keys or keys[-1] in _USER_KEYS)


def _user_places(path: Path) -> dict[str, tuple[int, int]]:
    """Return each user's offset and size; holds one user's text at a time."""
    places: dict[str, tuple[int, int]] = {}
    with path.open("rb") as file:
        scanner = Scanner(file, path)
        for key in scanner.members():
            if key != "user_data":
                scanner.value()
                continue
            for name in scanner.members():
                if name in places:
                    raise DataError(f'{path}: user "{name}" appears twice in user_data; merge or rename the two')
                offset, text = scanner.value()
                places[name] = offset, len(text)
        scanner.end()
    return places


def _list_of(entries: Any, key: str) -> list[Any]:
    values = entries.get(key) if isinstance(entries, dict) else None
    if not isinstance(values, list):
        raise MalformedError(f'no list "{key}"')
    return values
