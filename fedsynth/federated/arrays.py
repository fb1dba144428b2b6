"""Arrays of a user's samples."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fedsynth.errors import DataError, UsageError
from fedsynth.leaf.decode import may_be_rounded
from fedsynth.leaf.lazy import LazyLeafFile

_EXACT = 2**53
"""From here on not every whole number is a float."""

_SHOWN_DIGITS = 40

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


def read_first(file: LazyLeafFile, types: ArrayTypes) -> Samples | None:
    """Decode the first user in the data who has samples, None if nobody has. Raises DataError as `read_arrays`."""
    found = file.first_samples()
    try:
        return None if found is None else (_to_array(found[0], types.features), _to_array(found[1], types.labels))
    except ValueError as error:
        raise DataError(f"{file.path}: its first user has {error}") from error


def _first_with_samples(file: LazyLeafFile) -> int:
    """Return the position of the first user who has samples, 0 if there is none."""
    return next((user for user, size in enumerate(file.num_samples) if size), 0)


def _read(file: LazyLeafFile, user: int, types: ArrayTypes) -> Samples:
    x, y = file.samples(user)
    try:
        features = _to_array(x, types.features)
        if features.dtype.kind == "O" and may_be_rounded(x):  # an array of numbers would round them itself
            x, y = file.samples(user, exact=True)
            features = _to_array(x, types.features)
        return features, _to_array(y, types.labels)
    except ValueError as error:
        raise DataError(f'{file.path}: user "{file.users[user]}" has {error}') from error


def _to_array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if not values:
        return np.empty(0, dtype)
    try:
        array = np.array(values)
    except ValueError:  # samples of different lengths
        return _objects(values)
    if dtype.kind != "O" and _needs_python(array, dtype):
        array = np.array(values, dtype=object)
        _check_each(array, dtype)
    elif array.dtype.kind not in "fiub":
        return _objects(values)
    elif dtype.kind in "biu":
        _check_whole(array, dtype)
    with np.errstate(over="ignore"):
        numbers = array.astype(dtype, copy=False)
    if dtype.kind in "fc" and not np.isfinite(numbers).all():
        raise _unfit(array[~np.isfinite(numbers)][0], dtype, "numbers of its range")
    return numbers


def _needs_python(array: NDArray[Any], dtype: np.dtype[Any]) -> bool:
    """Whether NumPy has no type for all of these numbers: beyond 64 bits, or large and rounded beside floats."""
    if array.dtype.kind == "O":
        return all(isinstance(value, int | float) for value in array.flat)
    return bool(array.dtype.kind == "f" and dtype.kind in "biu" and array.size and np.abs(array).max() >= _EXACT)


def _check_whole(array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless the type holds these numbers exactly; astype would make others of them."""
    if array.dtype.kind == "f" and (array != np.trunc(array)).any():
        raise _unfit(array[array != np.trunc(array)][0], dtype, "whole numbers")
    least, most = _range(dtype)
    for value in (array.min().item(), array.max().item()) if array.size else ():
        if not least <= value <= most:  # Python's numbers: NumPy would round to compare
            raise _unfit(value, dtype, f"{least} to {most}")


def _check_each(array: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Raise ValueError unless the type has room for each of Python's numbers, and for whole ones holds it exactly."""
    for value in array.flat:
        if dtype.kind in "fc":
            try:
                float(value)
            except OverflowError:
                raise _unfit(value, dtype, "numbers of its range") from None
            continue
        least, most = _range(dtype)
        if not least <= value <= most:
            raise _unfit(value, dtype, f"{least} to {most}")
        if value != int(value):
            raise _unfit(value, dtype, "whole numbers")


def _range(dtype: np.dtype[Any]) -> tuple[int, int]:
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _unfit(value: Any, dtype: np.dtype[Any], expected: str) -> ValueError:
    digits = len(str(value))
    shown = value if digits <= _SHOWN_DIGITS else f"a number of {digits:,} digits"
    return ValueError(f"{shown} among values to load as {dtype}, expected {expected}; pass another dtype")


def _objects(values: list[Any]) -> NDArray[Any]:
    """Return an array of objects: [n, m] for samples that are lists of the same length, else [n]."""
    with contextlib.suppress(ValueError):
        return np.array(values, dtype=object)
    array = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):  # array[:] = values fails for lists nested more than 64 deep
        array[position] = value
    return array
