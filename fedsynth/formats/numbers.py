"""Samples as JSON has them become arrays of numbers, exactly or not at all: no text is taken for a number."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 2048
"""Samples that are looked at together: of an x that is parsed by slices no more than one slice is held."""
_NUMBERS = 1 << 18
"""Numbers that are looked at together, but for a sample that has more."""


def rows_at_a_time(sample: Any) -> int:
    """Return how many samples like this one to look at together."""
    size = 1
    while type(sample) is list and sample:
        size *= len(sample)
        sample = sample[0]
    return max(1, min(ROWS, _NUMBERS // size))


def to_numbers(values: Sequence[Any]) -> NDArray[Any] | None:
    """Return samples as an array [n, ...], int64 if all numbers are whole ones of 64 bits, else float64.

    true and false are 1 and 0. None unless all are numbers, and of one shape that has any.
    """
    level, shape = values, [len(values)]
    while level and type(level[0]) is list:
        if set(map(type, level)) != {list} or len(sizes := set(map(len, level))) != 1:
            return None
        shape.append(sizes.pop())
        if not shape[-1]:
            return None
        if type(level[0][0]) is not list:
            numbers = _packed(level[0][0], partial(chain.from_iterable, level), math.prod(shape))
            return None if numbers is None else numbers.reshape(shape)
        level = list(chain.from_iterable(level))
    return _packed(values[0], partial(iter, values), len(values)) if values else None


def _packed(first: Any, values: Callable[[], Iterable[Any]], size: int) -> NDArray[Any] | None:
    """Return numbers as an array [size]. They are packed: NumPy would take texts for numbers too, in more time."""
    if type(first) is not float:
        try:
            return np.frombuffer(struct.pack(f"{size}q", *values()), np.int64)
        except struct.error:  # a float, no number at all, or more than 64 bits
            pass
    try:
        return np.frombuffer(struct.pack(f"{size}d", *values()), np.float64)
    except (struct.error, OverflowError):
        return None


def as_type(numbers: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return fractions in this type; whole numbers stay what they are. Raises ValueError for what it can't hold."""
    if numbers.dtype.kind != "f":
        return numbers
    with np.errstate(over="ignore"):
        found = numbers.astype(dtype, copy=False)
    if not np.isfinite(found).all():
        value = numbers[~np.isfinite(found)][0]
        raise ValueError(f"{value!r} in x, which {dtype} can't hold; choose float64, or scale the samples")
    return found
