"""The users that a file's head lists, and which of them a walk through its data has come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from fedsynth.errors import DataError

_SHOWN = 60


class Listed:
    """The users of a checked head, each once, and how many samples each has."""

    def __init__(self, users: list[str], num_samples: list[int]) -> None:
        self.users, self.num_samples = users, num_samples

    @cached_property
    def samples_of(self) -> dict[str, int]:
        """The same by user; it is not made for a file whose data is in the order of its head."""
        return dict(zip(self.users, self.num_samples, strict=True))


class Found:
    """The users that a walk has come to, in the order of user_data.

    While each stands where a checked head has them, nothing is held: they are its first ones.
    """

    def __init__(self) -> None:
        self.listed: Listed | None = None
        self._count = 0
        self._numbers: dict[str, int] | None = None
        """The users and their numbers, once one was not where the head has them, or if there was no head before."""

    def __len__(self) -> int:
        return self._count

    def __contains__(self, user: str) -> bool:
        return user in self.numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self.numbers)

    @property
    def numbers(self) -> dict[str, int]:
        """The users, numbered."""
        if self._numbers is None:
            first = [] if self.listed is None else self.listed.users[: self._count]
            self._numbers = dict(zip(first, range(len(first)), strict=True))
        return self._numbers

    @property
    def as_listed(self) -> bool:
        """Whether all stand where the head has them, which came first."""
        return self._numbers is None and self.listed is not None

    def follows(self, users: Sequence[str]) -> bool:
        """Whether all stand where the head has them, and so would these if they came next."""
        listed = self.listed
        return self.as_listed and listed is not None and listed.users[self._count : self._count + len(users)] == users

    def add(self, users: Sequence[str]) -> bool:
        """Take the users that come next; return False, and take none, if one of them was there before."""
        if not self.follows(users):
            numbers = self.numbers
            if len(set(users)) < len(users) or not numbers.keys().isdisjoint(users):
                return False
            numbers.update(zip(users, range(self._count, self._count + len(users)), strict=True))
        self._count += len(users)
        return True

    def may_be_listed(self, user: str) -> bool:
        """Whether a user who was added is in the head, as far as it is known."""
        return self.listed is None or self.as_listed or user in self.listed.samples_of

    def check_all(self, path: Path) -> None:
        """Raise DataError unless these are all that the head lists, at the end of the walk."""
        assert self.listed is not None
        if self.as_listed and self._count == len(self.listed.users):
            return
        for user in self.listed.users:
            if user not in self:
                raise DataError(f'{path}: user "{user}" has no entry in user_data; generate or fetch the file again')
        for user in self:
            if user not in self.listed.samples_of:
                raise DataError(
                    f'{path}: user "{user}" has data but is not listed in users; generate or fetch the file again'
                )


def check_head(path: Path, head: dict[str, Any]) -> Listed:
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
    return Listed(users, counts)


def _list_of(path: Path, head: dict[str, Any], key: str, kind: type) -> list[Any]:
    values = head.get(key)
    if not isinstance(values, list):
        found = "none" if key not in head else type(values).__name__
        raise DataError(f'{path}: expected a list "{key}", found {found}; generate or fetch the file again')
    if {*map(type, values)} <= {kind}:
        return values
    for value in values:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            found = shown(repr(value))
            raise DataError(f'{path}: {found} in "{key}", expected only {kind.__name__} values; fix the file')
    return values


def shown(text: str) -> str:
    """Return a text of a file, cut off where it is too long for a message."""
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
