"""What callers may pass: checked for its kind here, for its bounds below."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from operator import index
from pathlib import Path
from typing import Any

from fedsynth.errors import UsageError
from fedsynth.processes.registry import PROCESSES

_WHOLE = {"num_tasks", "num_classes", "num_dim", "seed", "min_samples", "max_samples", "concept_dims"}
_FLAGS = {"iid"}


def folder_path(name: str, value: Any) -> Path:
    """Return a path. Raises UsageError for all else."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name} is {value!r:.80}, expected a folder's path")
    return Path(value)


def whole(name: str, value: Any) -> int:
    """Return a whole number of any library as Python's. Raises UsageError for all else, 2.0 too."""
    try:
        return index(value)
    except TypeError:
        raise UsageError(f"{name} is {value!r:.80}, expected a whole number; convert it with int()") from None


def number(name: str, value: Any) -> float:
    """Return a number of any library as Python's. Raises UsageError for all else, and NaN."""
    try:
        found = float("nan") if isinstance(value, str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if found != found:
        raise UsageError(f"{name} is {value!r:.80}, expected a number")
    return found


_LISTS: dict[str, Callable[[str, Any], float]] = {"prob_clusters": number, "sizes": whole}


def parameters_given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those values that are parameters of a process and not None, as it takes them. Raises UsageError."""
    names = {name: None for process in PROCESSES.values() for name in process.options}
    return {name: _converted(name, values[name]) for name in names if values[name] is not None}


def _converted(name: str, value: Any) -> Any:
    if name in _FLAGS:
        return bool(value)
    if name in _LISTS:
        return tuple(_LISTS[name](name, one) for one in _listed(name, value))
    return whole(name, value) if name in _WHOLE else number(name, value)


def _listed(name: str, value: Any) -> Iterable[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise UsageError(f"{name} is {value!r:.80}, expected a list of numbers")
    return value
