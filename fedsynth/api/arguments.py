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

_TEXTS = {"model", "stream", "to", "dtype", "sample", "split", "name", "scheme", "scheduler"}
_YES_OR_NO = {"iid", "overwrite", "progress", "checksums", "features", "exact_sizes"}


def check_kinds(values: Mapping[str, Any]) -> None:
    """Raise UsageError for a text, a yes or no, levels or a number of workers that is none. None may be any of them."""
    for name, value in values.items():
        if value is None:
            if name == "workers":
                whole(name, value)
        elif name in _TEXTS and not isinstance(value, str):
            raise UsageError(f"{name} is {value!r:.80}, expected a text")
        elif name in _YES_OR_NO:
            _yes_or_no(name, value)
        elif name == "targets" and not isinstance(value, Mapping):
            raise UsageError(f"{name} is {value!r:.80}, expected levels by measure, such as {{'quantity.gini': 0.5}}")
        elif name == "workers":
            whole(name, value)


def folder_path(name: str, value: Any) -> Path:
    """Return a path. Raises UsageError for all else."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name} is {value!r:.80}, expected a folder's path")
    try:
        possible = b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        possible = False
    if not possible:
        raise UsageError(f"{name} is {value!r:.80}, which no file system can hold; choose another name")
    return Path(value)


def folder_names(name: str, value: Any) -> list[str]:
    """Return a list of folders. Raises UsageError for what is none, and for one folder alone."""
    if isinstance(value, str | bytes | os.PathLike | Mapping) or not isinstance(value, Iterable):
        raise UsageError(f"{name} is {value!r:.80}, expected a list of folders, such as ['train', 'test']")
    return [os.fspath(folder_path(name, one)) for one in value]


def whole_numbers(name: str, value: Any) -> list[int]:
    """Return a list of whole numbers. Raises UsageError for what is none."""
    return [whole(name, one) for one in _listed(name, value)]


def _yes_or_no(name: str, value: Any) -> bool:
    try:
        return bool(value)
    except (TypeError, ValueError):  # an array
        raise UsageError(f"{name} is {value!r:.80}, expected True or False") from None


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
        return _yes_or_no(name, value)
    if name in _LISTS:
        return tuple(_LISTS[name](name, one) for one in _listed(name, value))
    return whole(name, value) if name in _WHOLE else number(name, value)


def _listed(name: str, value: Any) -> Iterable[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise UsageError(f"{name} is {value!r:.80}, expected a list of numbers")
    return value
