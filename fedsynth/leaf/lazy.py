"""Open a LEAF file by its head, find where its users are when the first of them is wanted, and read one at a time."""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import orjson

from fedsynth.errors import DataError
from fedsynth.leaf.decode import decode, may_be_rounded
from fedsynth.leaf.frames import pass_users
from fedsynth.leaf.index import LeafWalk, open_file, open_unchanged
from fedsynth.leaf.samples import MalformedError, read_user
from fedsynth.records.stamp import FileState
from fedsynth.system import read_at

_MANY, _SMALL = 10_000, 4096
"""Users in a file, and bytes of each, for which finding all of them takes as long as reading the head."""


@dataclass(frozen=True)
class _Walked:
    """What one walk through the file finds. offsets, sizes: [users], in the order of the head."""

    offsets: array[int]
    sizes: array[int]
    hierarchies: Sequence[Any] | None
    ends_with_data: bool

    @classmethod
    def of(cls, walk: LeafWalk) -> _Walked:
        """Walk to the end of the file."""
        pass_users(walk)
        return cls(
            offsets=walk.in_head_order(walk.offsets),
            sizes=walk.in_head_order(walk.sizes),
            hierarchies=walk.head.get("hierarchies"),
            ends_with_data=walk.ends_with_data,
        )


class LazyLeafFile:
    """One LEAF file. users, num_samples: [users], as its head has them.

    Opening reads what stands before the data, and the whole file only if users or num_samples stand after it, or if
    users are many and so small that reading the head is much of the work. Asking for the first user walks through it
    once, each user is read when asked for. Holds the head and 16 bytes a user; the file is never left open, so that
    threads and processes may share this, and it pickles without the data. Raises DataError if the file is gone or not
    LEAF's, or changes after it was opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._walked: _Walked | None = None
        self._head_is_early = False
        with open_unchanged(path) as (file, self.state):
            walk = LeafWalk(file, path)
            if not walk.to_data() or not walk.head["users"] or _are_many_and_small(walk, self.state):
                self._walked = _Walked.of(walk)
            self.users: Sequence[str] = walk.head["users"]
            self.num_samples: Sequence[int] = walk.head["num_samples"]
            self._early_hierarchies: Sequence[Any] | None = walk.head.get("hierarchies")

    @property
    def hierarchies(self) -> Sequence[Any] | None:
        """[users], or None. Where they don't stand before the data, the file is walked through to look after it."""
        if self._early_hierarchies is not None or self._head_is_early:
            return self._early_hierarchies
        return self._walk().hierarchies

    @property
    def ends_with_data(self) -> bool:
        """Whether nothing stands after the data; the file is walked through to tell."""
        return self._walk().ends_with_data

    def find_users(self) -> None:
        """Find where the users are now, and not when one is first asked for: copies by pickle know it then."""
        self._walk()

    def first_samples(self) -> tuple[list[Any], list[Any]] | None:
        """Return x and y of the first user in the data with samples, without looking for others; None if there is none.

        Raises DataError for a file that is damaged before or there.
        """
        with self._opened() as file:
            for name, _, text in LeafWalk(file, self.path).users():
                x, y = self._decode(self.users.index(name), text, exact=False)
                if x:
                    return x, y
        return None

    def trust_early_head(self) -> None:
        """Take note that the file, as it is, ends with the data, which another process has found and kept."""
        self._head_is_early = True

    def check_unchanged(self) -> None:
        """Raise DataError if the file is not the one that was opened."""
        try:
            self._check(os.stat(self.path))  # noqa: PTH116 - half the time of Path.stat, and asked for every user
        except FileNotFoundError as error:
            raise self._gone() from error

    def samples(self, user: int, *, exact: bool = False) -> tuple[list[Any], list[Any]]:
        """Return x and y of a user, by position, as Python objects, as many of each as the head says.

        y has the values that the file has. In x a whole number beyond 64 bits is the nearest float, or exact where it
        has no nearest float, or if that is asked for, which takes three times as long. Raises DataError, naming the
        user, for anything else.
        """
        x, y = self._decode(user, self._text(user), exact=exact)
        if not len(x) == len(y) == self.num_samples[user]:
            raise DataError(
                f'{self.path}: user "{self.users[user]}" has {self.num_samples[user]} in num_samples but {len(x)} '
                f"entries in x and {len(y)} in y; generate or fetch the file again"
            )
        return x, y

    def _text(self, user: int) -> bytes:
        self.check_unchanged()
        walked = self._walk()
        with self._opened() as file:
            return read_at(file, walked.offsets[user], walked.sizes[user])

    def _walk(self) -> _Walked:
        # Two threads may both walk: that costs time once, a lock could outlive a fork.
        if self._walked is None:
            with self._opened() as file:
                self._walked = _Walked.of(LeafWalk(file, self.path))
        return self._walked

    @contextlib.contextmanager
    def _opened(self) -> Iterator[FileIO]:
        """Open the file that was opened first, and see that it still is that file at the end."""
        try:
            file = open_file(self.path)
        except DataError as error:
            raise self._gone() from error
        with file:
            self._check(os.fstat(file.fileno()))
            try:
                yield file
            finally:
                self._check(os.fstat(file.fileno()))

    def _check(self, status: os.stat_result) -> None:
        if FileState.of(status) != self.state:
            raise DataError(f"{self.path}: changed since it was opened; open it again once nothing writes to it")

    def _gone(self) -> DataError:
        return DataError(f"{self.path}: is gone since it was opened; make it again and open it again")

    def _decode(self, user: int, text: bytes, *, exact: bool) -> tuple[list[Any], list[Any]]:
        """Parse a user: fast, or after a check of all the text where the fast way can't, or would round labels."""
        try:
            if not exact:
                with contextlib.suppress(orjson.JSONDecodeError, MalformedError):
                    x, y = _lists(orjson.loads(text))
                    if not may_be_rounded(y):
                        return x, y
            return _lists(decode(read_user(text).text))
        except MalformedError as error:
            raise DataError(
                f'{self.path}: user "{self.users[user]}" has {error.problem}; generate or fetch the file again'
            ) from error


def _are_many_and_small(walk: LeafWalk, state: FileState) -> bool:
    users = len(walk.head["users"])
    return users >= _MANY and state.size < _SMALL * users


def _lists(entries: Any) -> tuple[list[Any], list[Any]]:
    return _list_of(entries, "x"), _list_of(entries, "y")


def _list_of(entries: Any, key: str) -> list[Any]:
    values = entries.get(key) if isinstance(entries, dict) else None
    if not isinstance(values, list):
        raise MalformedError(f'no list "{key}"')
    return values
