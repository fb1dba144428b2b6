"""Arrays of a user's samples."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fedsynth.errors import DataError, UsageError
from fedsynth.leaf.lazy import LazyLeafFile

Samples = tuple[NDArray[Any], NDArray[Any]]
"""One user's features [n, ...] and labels [n]."""


@dataclass(frozen=True)
class ArrayTypes:
    """What numbers become. Anything else, strings above all, stays in arrays of objects."""

    features: np.dtype[Any]
    labels: np.dtype[Any]

    @classmethod
    def of(cls, dtype: DTypeLike, label_dtype: DTypeLike) -> ArrayTypes:
        """Return the types that these names, classes or dtypes mean. Raises UsageError for types not of numbers."""
        return cls(_number_type("dtype", dtype), _number_type("label_dtype", label_dtype))


def _number_type(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise UsageError(
            f"{name} is {dtype!r}, expected NumPy's name of a type, such as 'float32' ({error})"
        ) from error
    if found.kind not in "biufcO":
        raise UsageError(f"{name} is {dtype!r}, expected a type of numbers, such as 'float32', or object")
    return found


def read_arrays(file: LazyLeafFile, user: int, types: ArrayTypes) -> Samples:
    """Decode a user. Raises DataError if the file is damaged or has changed, or numbers don't fit their type.

    A user without samples has shapes (0, ...) like the file's first user with samples, (0,) if there is none.
    """
    like = _first_with_samples(file) if file.num_samples[user] == 0 else user
    if like != user:
        file.samples(user)  # checks that it has none
    x, y = _read(file, like, types)
    return (x, y) if like == user else (x[:0].copy(), y[:0].copy())


def _first_with_samples(file: LazyLeafFile) -> int:
    """Return 0 if there is none."""
    return next((user for user, size in enumerate(file.num_samples) if size), 0)


def _read(file: LazyLeafFile, user: int, types: ArrayTypes) -> Samples:
    x, y = file.samples(user)
    try:
        return _to_array(x, types.features), _to_array(y, types.labels)
    except ValueError as error:
        raise DataError(f'{file.path}: user "{file.users[user]}" has {error}') from error


def _to_array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if not values:
        return np.empty(0, dtype)
    try:
        array = np.array(values)
    except ValueError:  # samples of different lengths
        return _objects(values)
    if array.dtype.kind not in "fiub":
        return _objects(values)
    if dtype.kind in "biu":
        _check_whole(array, dtype)
    with np.errstate(over="ignore"):
        numbers = array.astype(dtype, copy=False)
    if dtype.kind in "fc" and not np.isfinite(numbers).all():
        raise _unfit(array[~np.isfinite(numbers)][0], dtype, "numbers of its range")
    return numbers


def _check_whole(array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless the type holds these numbers exactly; astype would make others of them."""
    if array.dtype.kind == "f" and (array != np.trunc(array)).any():
        raise _unfit(array[array != np.trunc(array)][0], dtype, "whole numbers")
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    for value in (array.min().item(), array.max().item()) if array.size else ():
        if not least <= value <= most:  # Python's numbers: NumPy would round to compare
            raise _unfit(value, dtype, f"{least} to {most}")


def _unfit(value: Any, dtype: np.dtype[Any], expected: str) -> ValueError:
    return ValueError(f"{value} among values to load as {dtype}, expected {expected}; pass another dtype")


def _objects(values: list[Any]) -> NDArray[Any]:
    """Return an array of objects: [n, m] for samples that are lists of the same length, else [n]."""
    with contextlib.suppress(ValueError):
        return np.array(values, dtype=object)
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):  # array[:] = values fails for lists nested more than 64 deep
        array[position] = value
    return array
