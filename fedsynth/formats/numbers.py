"""Samples as JSON has them become arrays of numbers, exactly or not at all: no text is taken for a number."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS = 2048
"""Samples that are looked at together: of an x that is parsed by slices no more than one slice is held."""


def to_numbers(values: Sequence[Any]) -> NDArray[Any] | None:
    """Return samples as an array [n, ...], int64 if all numbers are whole ones of 64 bits, else float64.

    true and false are 1 and 0. None unless all are numbers, and of one shape that has any.
    """
    flat, shape = values, [len(values)]
    while flat and type(flat[0]) is list:
        if set(map(type, flat)) != {list} or len(sizes := set(map(len, flat))) != 1:
            return None
        shape.append(sizes.pop())
        flat = list(chain.from_iterable(flat))
    numbers = _flat_numbers(flat) if flat else None
    return None if numbers is None else numbers.reshape(shape)


def _flat_numbers(values: Sequence[Any]) -> NDArray[Any] | None:
    if type(values[0]) is not float:
        try:
            return np.frombuffer(array("q", values), np.int64)
        except (TypeError, OverflowError):  # a float or no number at all; more than 64 bits
            pass
    try:
        return np.frombuffer(array("d", values), np.float64)
    except (TypeError, OverflowError):
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

