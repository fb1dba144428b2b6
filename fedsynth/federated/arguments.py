"""Checks of arguments, so that each wrong one is an error with a sentence, where it is given."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fedsynth.errors import UsageError


class AssertedError(UsageError, AssertionError):
    """A wrong argument that pfl-research finds by an assertion, which programs written for it may expect."""


def whole_number(name: str, value: Any) -> int:
    """Return an integer of any library as Python's. Raises UsageError for all else, 2.0 too."""
    try:
        return operator.index(value)
    except TypeError:
        raise UsageError(f"{name} is {value!r}, expected a whole number; convert it with int()") from None


def check_positive(name: str, value: Any) -> None:
    """Raise UsageError unless this is one number that is positive and finite."""
    try:
        right = math.isfinite(value) and value > 0
    except (TypeError, ValueError, OverflowError):
        right = False
    if not right:
        raise UsageError(f"{name} is {value!r}, expected a positive number".replace("\n", " "))


def must_return(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that must return; one that raises StopIteration would silently end the caller's loop."""
    try:
        return function(*arguments)
    except StopIteration as error:
        raise UsageError(
            f"{name} raised StopIteration, expected a value each time it is called; cycle through a list that may end"
        ) from error


def unknown_name(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not among the known ones."""
    return UsageError(f"unknown {what} {name!r}, expected one of {', '.join(map(repr, known))}")


def check_description(user_id: Any, **others: Any) -> None:
    """Raise UsageError for a user_id that can't be a key, and for other arguments that are neither a dict nor None."""
    try:
        hash(user_id)
    except TypeError:
        raise UsageError(
            f"user_id is {user_id!r:.80}, expected a string or another value that can be a key; give the arguments by "
            "name"
        ) from None
    for name, value in others.items():
        if not (value is None or isinstance(value, Mapping)):
            raise UsageError(f"{name} is {value!r:.80}, expected a dict or None; give the arguments by name")
