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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from io import FileIO
from pathlib import Path
from typing import Any

from fedsynth.errors import DataError
from fedsynth.leaf.decode import MAX_DEPTH, decode, is_too_deep
from fedsynth.leaf.runs import LONGEST, SMALL, Run, find_run
from fedsynth.leaf.scan import Readable, Scanner
from fedsynth.records.stamp import FileState

_COUNT_DIGITS = 18
_SHOWN = 60


class LeafWalk:
    """Walk through an open file once: what stands before the data, then the users, then what stands after them.

    Holds one user's text, the head, and the users' names and 16 bytes for each. Raises DataError, naming file and user
    or byte, for what is not valid. What a user's text holds is for the caller to check, with `check_size`.
    """

    head: dict[str, Any]
    """The values of all keys but `user_data` that the walk has come to."""
    order: dict[str, int]
    """The users that the walk has come to, numbered in the order of user_data."""
    offsets: array[int]
    """[users walked] where each user's text starts, in bytes, in the order of user_data; sizes: how long it is."""
    ends_with_data: bool
    """Whether nothing stands after user_data, once the walk is at the end."""

    def __init__(self, file: Readable, path: Path) -> None:
        self.path = path
        self.head = {}
        self.order = {}
        self.offsets, self.sizes = array("q"), array("q")
        self._scanner = Scanner(file, path)
        self._keys = self._scanner.members()
        self._at_data = False
        self._num_samples: dict[str, int] | None = None
        self._found: dict[str, int] = {}
        self._run_again = 0
        self._aligned = 0  # how many users stand where the head has them

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
        if self._num_samples is None and self.head.keys() >= {"users", "num_samples"}:
            self._num_samples = check_head(self.path, self.head)
        return self._num_samples is not None

    def users(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield each user's name, offset and text in the order of user_data; then walk on to the end of the file."""
        for user in self.users_and_runs(None):
            assert not isinstance(user, Run)
            yield user

    def users_and_runs(self, read: Callable[[bytes], Run | None] | None) -> Iterator[tuple[str, int, bytes] | Run]:
        """Yield what `users` does, and runs of small users together where `read` finds one; their sizes are checked."""
        if not self._at_data:
            self.to_data()
        for name in self._scanner.members():
            self._check_name(name)
            offset, text = self._scanner.value()
            if is_too_deep(text):
                raise DataError(
                    f'{self.path}: user "{name}" has values nested too deeply, expected at most {MAX_DEPTH} levels; '
                    "store them flat"
                )
            self._aligned += self._follow([name])
            self.order[name] = len(self.order)
            self.offsets.append(offset)
            self.sizes.append(len(text))
            if self._num_samples is None or name in self._num_samples:  # else the end shows if one is missing
                yield name, offset, text
            small = len(text) < SMALL
            del text
            while read is not None and small and (run := self._run(read)) is not None:
                yield run
        self._finish()

    def pass_users(self) -> LeafWalk:
        """Walk past all users to the end of the file, without reading their samples."""
        for _ in self.users_and_runs(find_run):
            pass
        return self

    def _run(self, read: Callable[[bytes], Run | None]) -> Run | None:
        """Consume the run that comes next if all of it is valid; any other text is read user by user."""
        if self._num_samples is None or self._scanner.offset < self._run_again:
            return None
        text = self._scanner.ahead(b"]}", b', "', LONGEST)
        run = read(text) if text else None
        if run is None or not self._is_new(run, self._num_samples):
            self._run_again = self._scanner.offset + max(len(text), SMALL)
            return None
        first, base = len(self.order), self._scanner.offset
        run = replace(run, offsets=[base + offset for offset in run.offsets])
        self._aligned += len(run.names) * self._follow(run.names)
        self.order.update(zip(run.names, range(first, first + len(run.names)), strict=True))
        self.offsets.extend(run.offsets)
        self.sizes.extend(run.sizes)
        self._scanner.skip(len(text))
        return run

    def _is_new(self, run: Run, num_samples: dict[str, int]) -> bool:
        """Whether a run's users are listed, appear here first, and have as many samples as the head says."""
        if not self._follow(run.names) and not (
            len(set(run.names)) == len(run.names) and self.order.keys().isdisjoint(run.names)
        ):
            return False
        listed = list(map(num_samples.get, run.names))
        return None not in listed and (not run.samples or listed == [len(user.y) for user in run.samples])

    def _follow(self, names: Sequence[str]) -> bool:
        """Whether these users, and all before them, stand where the head, if it came first, has them."""
        first, users = len(self.order), self.head.get("users")
        return self._aligned == first and isinstance(users, list) and users[first : first + len(names)] == names

    def again(self, file: Readable) -> LeafWalk:
        """Return a walk from the start of the file that knows what this one, which is at the end, found out."""
        walk = LeafWalk(file, self.path)
        walk._num_samples = self._num_samples
        return walk

    def check_size(self, name: str, found: int) -> None:
        """Compare a user's number of samples with the head's, at the end of the walk where the head is not known."""
        if self._num_samples is None:
            self._found[name] = found
        elif found != self._num_samples[name]:
            raise DataError(
                f'{self.path}: user "{name}" has {self._num_samples[name]} in num_samples but {found} samples; '
                "generate or fetch the file again"
            )

    def in_head_order(self, values: Sequence[int]) -> array[int]:
        """Return values that are in the order of user_data in the order of `users`, after the walk."""
        if list(self.order) == self.head["users"]:
            return values if isinstance(values, array) else array("q", list(values))
        return array("q", (values[self.order[user]] for user in self.head["users"]))

    def _take(self, key: str) -> None:
        if key in self.head or (key == "user_data" and self._at_data):
            raise DataError(
                f'{self.path}: "{_shown(key)}" stands twice in the file, expected each key once; remove one'
            )
        self.head[key] = _decode_value(self._scanner, key)

    def _check_name(self, name: str) -> None:
        if name in self.order:
            raise DataError(f'{self.path}: user "{name}" appears twice in user_data; merge or rename the two')

    def _finish(self) -> None:
        known = len(self.head)
        for key in self._keys:
            self._take(key)
        self._scanner.end()
        self.ends_with_data = len(self.head) == known
        if self._num_samples is None or not self.ends_with_data:
            self._num_samples = check_head(self.path, self.head)
        for user in self._num_samples:
            if user not in self.order:
                raise DataError(
                    f'{self.path}: user "{user}" has no entry in user_data; generate or fetch the file again'
                )
        for user in self.order:
            if user not in self._num_samples:
                raise DataError(
                    f'{self.path}: user "{user}" has data but is not listed in users; generate or fetch the file again'
                )
        for user, found in self._found.items():
            self.check_size(user, found)


def check_head(path: Path, head: dict[str, Any]) -> dict[str, int]:
    """Return the users of a file's head and how many samples each has; DataError unless all its lists fit together."""
    users = _list_of(path, head, "users", str)
    if len(set(users)) < len(users):
        twice = next(user for user, times in Counter(users).items() if times > 1)
        raise DataError(f'{path}: user "{twice}" is listed twice in users; merge or rename the two')
    counts = _list_of(path, head, "num_samples", int)
    if min(counts, default=0) < 0:
        raise DataError(f"{path}: num_samples holds {min(counts)}, a count can't be negative; generate the file again")
    lists = {"num_samples": counts}
    if head.get("hierarchies") is not None:
        lists["hierarchies"] = _list_of(path, head, "hierarchies", object)
    for key, values in lists.items():
        if len(values) != len(users):
            raise DataError(f"{path}: {len(users)} users but {len(values)} entries in {key}; generate the file again")
    return dict(zip(users, counts, strict=True))


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


def _list_of(path: Path, head: dict[str, Any], key: str, kind: type) -> list[Any]:
    values = head.get(key)
    if not isinstance(values, list):
        found = "none" if key not in head else type(values).__name__
        raise DataError(f'{path}: expected a list "{key}", found {found}; generate or fetch the file again')
    if {*map(type, values)} <= {kind}:
        return values
    for value in values:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found = _shown(repr(value))
            raise DataError(f'{path}: {found} in "{key}", expected only {kind.__name__} values; fix the file')
    return values


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _decode_value(scanner: Scanner, key: str) -> Any:
    """Return the next value, which is `key`'s. Raises DataError if it is not JSON."""
    offset, text = scanner.value()
    if is_too_deep(text):
        raise scanner.error(f'"{_shown(key)}" is nested too deeply, more than {MAX_DEPTH} levels,', offset)
    try:
        value = decode(text)
    except (ValueError, RecursionError) as error:
        raise scanner.error(f'"{_shown(key)}" can not be read ({error})', offset) from error
    if key == "num_samples" and isinstance(value, list):
        whole = value if {*map(type, value)} <= {int} else [count for count in value if isinstance(count, int)]
        if not -(10**_COUNT_DIGITS) < min(whole, default=0) <= max(whole, default=0) < 10**_COUNT_DIGITS:
            raise scanner.error(f'"num_samples" holds a number of more than {_COUNT_DIGITS} digits', offset)
    return value
