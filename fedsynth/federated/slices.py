"""The samples of a dataset: arrays, nested in tuples, lists and dicts, that share their first axis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fedsynth.errors import UsageError

Arrays = Any
"""An array (anything with a shape that can be sliced), or a tuple, list or dict of Arrays."""


def map_arrays(arrays: Arrays, change: Callable[[Any], Any]) -> Arrays:
    """Return the same nest with every array changed."""
    if isinstance(arrays, dict):
        return {key: map_arrays(value, change) for key, value in arrays.items()}
    if isinstance(arrays, tuple) and hasattr(arrays, "_fields"):
        return type(arrays)(*(map_arrays(value, change) for value in arrays))
    if isinstance(arrays, (tuple, list)):
        return type(arrays)([map_arrays(value, change) for value in arrays])
    return change(arrays)


def count_samples(arrays: Arrays) -> int:
    """Return the length of the first axis. Raises UsageError if there is no array, or the lengths differ."""
    count = None
    for array in _each_array(arrays):
        shape = getattr(array, "shape", None)
        if not shape:
            raise UsageError(
                f"raw_data holds {_described(array)}, expected only arrays whose first axis is the samples, nested in "
                "tuples, lists and dicts; make it an array"
            )
        if count is None:
            count = int(shape[0])
        elif shape[0] != count:
            raise UsageError(
                f"raw_data holds arrays of {count} and of {shape[0]} samples, expected the same first axis everywhere"
            )
    if count is None:
        raise UsageError("raw_data holds no array, expected at least one, whose first axis is the samples")
    return count


def slice_samples(arrays: Arrays, start: int, stop: int) -> Arrays:
    """Return the samples from start to stop: views, never copies."""
    return map_arrays(arrays, lambda array: array[start:stop])


def take_samples(arrays: Arrays, indices: Any) -> Arrays:
    """Return copies of the samples at these indices, in their order."""
    return map_arrays(arrays, lambda array: array[indices])


def shape_of(array: Any) -> str:
    """Return the shape of one sample, and its type: `[60] float64`."""
    shape, dtype = [int(size) for size in array.shape[1:]], str(array.dtype).removeprefix("torch.")
    return f"{shape} {dtype}" if shape else dtype


def _each_array(arrays: Arrays) -> Iterator[Any]:
    if isinstance(arrays, dict):
        arrays = arrays.values()
    elif not isinstance(arrays, (tuple, list)):
        yield arrays
        return
    for value in arrays:
        yield from _each_array(value)


def _described(value: Any) -> str:
    return "an array without axes" if hasattr(value, "shape") else f"{value!r:.40} ({type(value).__name__})"
