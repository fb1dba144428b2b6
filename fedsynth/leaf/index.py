"""One walk over a LEAF file, and one answer to whether it is one: what reads LEAF's files reads them through this.

Valid is UTF-8 text, with or without a byte order mark, of one JSON object, nested at most 500 levels deep in each of
its values, in which no key stands twice and `user_data` is an object with just the ids listed in `users`, each once.
`num_samples`, and `hierarchies` unless it is null, are as long as `users`. A user is an object whose `x` and `y` are
lists, as long as `num_samples` says; in it, and in what is deeper, the last of duplicate keys counts, as in Python.
"""

from __future__ import annotations

import contextlib
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Any

from fedsynth.errors import DataError
from fedsynth.leaf.decode import MAX_DEPTH, decode, is_too_deep
from fedsynth.leaf.listed import Found, Listed, check_head, shown
from fedsynth.leaf.runs import LONGEST, SMALL, Run
from fedsynth.leaf.scan import Readable, Scanner
from fedsynth.records.stamp import FileState

_COUNT_DIGITS = 18


class LeafWalk:
    """Walk through an open file once: what stands before the data, then the users, then what stands after them.

    Holds one user's text, the head, and 16 bytes for each user; where the data is not in the order of a head before it,
    also the users' names. Raises DataError, naming file and user or byte, for what is not valid. What a user's text
    holds is for the caller to check, with `check_size`.
    """

    head: dict[str, Any]
    """The values of all keys but `user_data` that the walk has come to."""
    found: Found
    """The users that the walk has come to, in the order of user_data."""
    offsets: array[int]
    """[users walked] where each user's text starts, in bytes, in the order of user_data; sizes: how long it is."""
    ends_with_data: bool
    """Whether nothing stands after user_data, once the walk is at the end."""

    def __init__(self, file: Readable, path: Path) -> None:
        self.path = path
        self.head = {}
        self.found = Found()
        self.offsets, self.sizes = array("q"), array("q")
        self._scanner = Scanner(file, path)
        self._keys = self._scanner.members()
        self._at_data = False
        self._unchecked: dict[str, int] = {}  # sizes, until the head is known
        self._run_again = 0

    @property
    def offset(self) -> int:
        """Where in the file the walk is, in bytes."""
        return self._scanner.offset

    def to_data(self) -> bool:
        """Walk to where the data starts; return whether users and num_samples stand before it."""
        for key in self._keys:
            if key == "user_data":
                self._at_data = True
                break
            self._take(key)
        else:
            self._scanner.end()
            raise DataError(f'{self.path}: no "user_data", which every LEAF file has; generate or fetch the file again')
        if self.found.listed is None and self.head.keys() >= {"users", "num_samples"}:
            self.found.listed = check_head(self.path, self.head)
        return self.found.listed is not None

    def users(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield each user's name, offset and text in the order of user_data; then walk on to the end of the file."""
        for user in self.users_and_runs(None):
            assert not isinstance(user, Run)
            yield user

    def users_and_runs(
        self, read: Callable[[bytes, int], Run | None] | None, longest: int = LONGEST
    ) -> Iterator[tuple[str, int, bytes] | Run]:
        """Yield what `users` does, and runs of small users together where `read` finds one; their sizes are checked.

        read: takes a text of at most `longest` bytes, and its offset.
        """
        if not self._at_data:
            self.to_data()
        for name in self._scanner.members():
            if not self.found.add([name]):
                raise DataError(f'{self.path}: user "{name}" appears twice in user_data; merge or rename the two')
            offset, text = self._scanner.value()
            if is_too_deep(text):
                raise DataError(
                    f'{self.path}: user "{name}" has values nested too deeply, expected at most {MAX_DEPTH} levels; '
                    "store them flat"
                )
            self.offsets.append(offset)
            self.sizes.append(len(text))
            if self.found.may_be_listed(name):  # else the end shows if one is missing
                yield name, offset, text
            small = len(text) < SMALL
            del text
            while read is not None and small and (run := self._run(read, longest)) is not None:
                yield run
        self._finish()

    def _run(self, read: Callable[[bytes, int], Run | None], longest: int) -> Run | None:
        """Consume the run that comes next if all of it is valid; any other text is read user by user."""
        if self.found.listed is None or self._scanner.offset < self._run_again:
            return None
        text = self._scanner.ahead(b"]}", b', "', longest)
        run = read(text, self._scanner.offset) if text else None
        if run is None or not self._is_right(run, self.found.listed) or not self.found.add(run.names):
            self._run_again = self._scanner.offset + max(len(text), SMALL)
            return None
        self.offsets.extend(run.offsets)
        self.sizes.extend(run.sizes)
        self._scanner.skip(len(text))
        return run

    def _is_right(self, run: Run, listed: Listed) -> bool:
        """Whether a run's users are listed, and have as many samples as the head says."""
        if self.found.follows(run.names):
            first = len(self.found)
            counts: list[int | None] = [*listed.num_samples[first : first + len(run.names)]]
        else:
            counts = [*map(listed.samples_of.get, run.names)]
        return None not in counts and (not run.samples or counts == [len(user.y) for user in run.samples])

    def again(self, file: Readable) -> LeafWalk:
        """Return a walk from the start of the file that knows what this one, which is at the end, found out."""
        walk = LeafWalk(file, self.path)
        walk.found.listed = self.found.listed
        return walk

    def check_size(self, name: str, found: int) -> None:
        """Compare a user's number of samples with the head's, at the end of the walk where the head is not known."""
        listed = self.found.listed
        if listed is None:
            self._unchecked[name] = found
        elif found != (expected := listed.samples_of[name]):
            raise DataError(
                f'{self.path}: user "{name}" has {expected} in num_samples but {found} samples; '
                "generate or fetch the file again"
            )

    def in_head_order(self, values: Sequence[int]) -> array[int]:
        """Return values that are in the order of user_data in the order of `users`, after the walk."""
        if self.found.as_listed or list(self.found) == self.head["users"]:
            return values if isinstance(values, array) else array("q", list(values))
        return array("q", (values[self.found.numbers[user]] for user in self.head["users"]))

    def _take(self, key: str) -> None:
        if key in self.head or (key == "user_data" and self._at_data):
            raise DataError(f'{self.path}: "{shown(key)}" stands twice in the file, expected each key once; remove one')
        self.head[key] = _decode_value(self._scanner, key)

    def _finish(self) -> None:
        known = len(self.head)
        for key in self._keys:
            self._take(key)
        self._scanner.end()
        self.ends_with_data = len(self.head) == known
        if self.found.listed is None or not self.ends_with_data:
            checked = check_head(self.path, self.head)
            self.found.listed = self.found.listed or checked
        self.found.check_all(self.path)
        for user, found in self._unchecked.items():
            self.check_size(user, found)


def open_file(path: Path) -> FileIO:
    """Open a file for reading. Raises DataError if it has vanished since it was found."""
    try:
        return FileIO(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: is gone, expected the file that was there; make it again, or leave it out") from error


@contextlib.contextmanager
def open_unchanged(path: Path) -> Iterator[tuple[FileIO, FileState]]:
    """Open a file to read all of it. Raises DataError if it is gone, or is another at the end than at the start."""
    with open_file(path) as file:
        state = FileState.of(os.fstat(file.fileno()))
        try:
            yield file, state
        except DataError:  # of a file that changed, whatever is wrong with it comes from that
            check_unchanged(path, state, os.fstat(file.fileno()))
            raise
        check_unchanged(path, state, os.fstat(file.fileno()))


def check_unchanged(path: Path, state: FileState, status: os.stat_result) -> None:
    """Raise DataError unless an open file still has this state; its ctime may differ, which moving it changes."""
    now = FileState.of(status)
    if (now.size, now.mtime_ns, now.inode) != (state.size, state.mtime_ns, state.inode):
        raise DataError(f"{path}: changed while it was read; run the same command again once nothing writes to it")


def _decode_value(scanner: Scanner, key: str) -> Any:
    """Return the next value, which is `key`'s. Raises DataError if it is not JSON."""
    offset, text = scanner.value()
    if is_too_deep(text):
        raise scanner.error(f'"{shown(key)}" is nested too deeply, more than {MAX_DEPTH} levels,', offset)
    try:
        value = decode(text)
    except (ValueError, RecursionError) as error:
        raise scanner.error(f'"{shown(key)}" can not be read ({error})', offset) from error
    if key == "num_samples" and isinstance(value, list):
        whole = value if {*map(type, value)} <= {int} else [count for count in value if isinstance(count, int)]
        if not -(10**_COUNT_DIGITS) < min(whole, default=0) <= max(whole, default=0) < 10**_COUNT_DIGITS:
            raise scanner.error(f'"num_samples" holds a number of more than {_COUNT_DIGITS} digits', offset)
    return value
