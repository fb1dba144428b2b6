"""The head of a LEAF file: its users and how many samples each has, which stand before the data."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from fedsynth.errors import DataError
from fedsynth.leaf.scan import Scanner


def read_head(path: Path) -> dict[str, Any]:
    """Return the values of `users`, `num_samples` and, where it stands before the data, `hierarchies`.

    Reads no further than the head, so what it says of the data is not checked; should the data come first, it is
    skipped user by user. Raises DataError if the head is not LEAF's.
    """
    head: dict[str, Any] = {}
    with path.open("rb") as file:
        scanner = Scanner(file, path)
        for key in scanner.members():
            if key != "user_data":
                head[key] = decode_value(scanner, key)
            elif {"users", "num_samples"} <= head.keys():
                break
            else:
                for _ in scanner.members():
                    scanner.value()
    check_head(path, head)
    return head


def decode_value(scanner: Scanner, key: str) -> Any:
    """Return the next value, which is `key`'s, parsed. Raises DataError if it is not JSON."""
    offset, text = scanner.value()
    try:
        return json.loads(text.decode(), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise scanner.error(f'"{key}" can not be read ({error})', offset) from error


def _reject_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def check_head(path: Path, head: dict[str, Any]) -> list[str]:
    """Return the users of a file's head. Raises DataError unless users, num_samples and hierarchies fit together."""
    users = _list_of(path, head, "users", str)
    if len(set(users)) < len(users):
        twice = next(user for user, times in Counter(users).items() if times > 1)
        raise DataError(f'{path}: user "{twice}" is listed twice in users; merge or rename the two')
    counts = _list_of(path, head, "num_samples", int)
    if any(count < 0 for count in counts):
        raise DataError(f"{path}: num_samples holds {min(counts)}, a count can't be negative; generate the file again")
    lists = {"num_samples": counts}
    if head.get("hierarchies") is not None:
        lists["hierarchies"] = _list_of(path, head, "hierarchies", object)
    for key, values in lists.items():
        if len(values) != len(users):
            raise DataError(f"{path}: {len(users)} users but {len(values)} entries in {key}; generate the file again")
    return users


def _list_of(path: Path, head: dict[str, Any], key: str, kind: type) -> list[Any]:
    values = head.get(key)
    if not isinstance(values, list):
        found = "none" if key not in head else type(values).__name__
        raise DataError(f'{path}: expected a list "{key}", found {found}; generate or fetch the file again')
    for value in values:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise DataError(f'{path}: {value!r} in "{key}", expected only {kind.__name__} values; fix the file')
    return values
