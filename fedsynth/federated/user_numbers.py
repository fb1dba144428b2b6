"""Numbering the users of several files."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from fedsynth.errors import DataError
from fedsynth.leaf.lazy import LazyLeafFile


def number_users(files: Sequence[LazyLeafFile]) -> dict[str, int]:
    """Number the users of all files, in their order. Raises DataError for a user in two of them."""
    numbers = {user: number for number, user in enumerate(chain.from_iterable(file.users for file in files))}
    if len(numbers) < sum(len(file.users) for file in files):
        raise _twice(files)
    return numbers


def _twice(files: Sequence[LazyLeafFile]) -> DataError:
    seen: dict[str, LazyLeafFile] = {}
    for file in files:
        user = next((user for user in file.users if user in seen), None)
        if user is not None:
            return DataError(
                f'user "{user}" is in {seen[user].path} and in {file.path}, expected each user in one file; rename one '
                "of the two"
            )
        seen.update(dict.fromkeys(file.users, file))
    raise AssertionError  # opening a file refuses users who are twice in it
