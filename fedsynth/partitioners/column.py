"""A column of somebody's data as classes: whole numbers in the order of the values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import DataError, UsageError, named

Values = NDArray[Any]


@dataclass(frozen=True)
class Column:
    """What classes samples are of. codes: [n] int32, positions in values; values: [classes], sorted, each in use."""

    codes: NDArray[np.int32]
    values: Sequence[Any]

    @property
    def totals(self) -> NDArray[np.int64]:
        """How many samples are of each class: [classes], none of them 0."""
        return np.bincount(self.codes, minlength=len(self.values))


def to_column(values: Any, *, name: str = "labels", bins: int | None = None) -> Column:
    """Return values [n] as classes: whole numbers, texts, true and false; bins: how many to cut numbers into.

    Raises DataError for what is no class, such as numbers that are not whole, or nothing at all; UsageError for bins
    that make no sense.
    """
    array = as_values(values, name)
    if bins is not None:
        return cut(array, bins, name)
    if array.dtype.kind == "f":
        array = _whole(array, name)
    if array.dtype.kind in "biu":
        return _of_integers(array)
    found, codes = np.unique(array, return_inverse=True)
    return Column(codes.astype(np.int32), found.tolist())


def as_values(values: Any, name: str) -> Values:
    """Return values as a NumPy array [n] of numbers or texts. Raises DataError if they are nothing of the kind."""
    if hasattr(values, "detach"):  # a tensor, wherever it is
        values = values.detach().cpu().numpy()
    array = np.asarray(values)
    if array.dtype.kind in "OT":
        array = _of_objects(array, name)
    if array.ndim != 1:
        raise DataError(f"{name} have shape {array.shape}, expected one value for each sample; take one column of them")
    if not len(array):
        raise DataError(f"{name} are empty, expected one value for each sample")
    if array.dtype.kind not in "biufU":
        raise DataError(f"{name} are of type {array.dtype}, expected whole numbers, texts, true or false; convert them")
    return array


def cut(array: Values, bins: int, name: str) -> Column:
    """Return numbers [n] as bins of nearly equal counts, by rank; equal numbers stay together.

    A bin's value is its lowest number. There may be fewer bins than asked for, where many numbers are equal. Raises
    DataError for texts and NaN, UsageError for fewer than 2 bins or more than there are numbers.
    """
    if array.dtype.kind not in "biuf" or np.isnan(array).any():
        raise DataError(
            f"{name} are not all numbers, expected numbers to cut into bins; leave {named('bins')} out, or fix them"
        )
    if not 2 <= bins <= len(array):
        raise UsageError(f"{named('bins')} is {bins}, expected 2 to {len(array)}, the number of samples")
    found, codes, counts = np.unique(array, return_inverse=True, return_counts=True)
    bin_of_value = (np.cumsum(counts) - counts) * bins // len(array)
    starts = np.flatnonzero(np.diff(bin_of_value, prepend=-1))
    bin_of_found = np.repeat(np.arange(len(starts), dtype=np.int32), np.diff(starts, append=len(found)))
    return Column(bin_of_found[codes], found[starts].tolist())


def _of_integers(array: Values) -> Column:
    """Sorting all is the slow way, for numbers that lie far apart."""
    low, high = int(array.min()), int(array.max())
    if high - low > 4 * len(array) + 1000 or high >= 2**63:
        found, codes = np.unique(array, return_inverse=True)
        return Column(codes.astype(np.int32), found.tolist())
    shifted = array.astype(np.int64) - low
    present = np.bincount(shifted) > 0
    values = np.flatnonzero(present) + low
    rank = (np.cumsum(present) - 1).astype(np.int32)
    return Column(rank[shifted], values.astype(bool).tolist() if array.dtype.kind == "b" else values.tolist())


def _whole(array: Values, name: str) -> Values:
    broken = np.flatnonzero((array != np.floor(array)) | (np.abs(array) >= 2.0**53))  # NaN is not equal to itself
    if len(broken):
        row = int(broken[0])
        raise DataError(
            f"{name} hold {array[row].item()} at position {row}, which is no class; cut them into {named('bins')}, or "
            "name a "
            "column of classes"
        )
    return array.astype(np.int64)


def _of_objects(array: Values, name: str) -> Values:
    """Take Python's own texts and numbers, all of one kind."""
    values = array.tolist()
    kinds = {type(value) for value in values} if array.ndim == 1 else set()
    if kinds == {str}:
        return np.array(values, np.str_)
    if kinds and kinds <= {int, bool, float}:
        return np.array(values)
    absent = next((row for row, value in enumerate(values) if value is None), None) if array.ndim == 1 else None
    found = f"nothing at position {absent}" if absent is not None else ", ".join(sorted(k.__name__ for k in kinds))
    raise DataError(f"{name} hold {found or 'lists'}, expected numbers or texts, all of one kind; convert them")


class Gatherer:
    """A column that comes in parts, in the order of the samples. Holds 8 bytes a number, 4 a text."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._texts: dict[str, int] = {}
        self._parts: list[Values] = []
        self.samples = 0

    def add(self, values: Any) -> None:
        """Take the next values, numbers or texts. Raises DataError for others, and for both in one column."""
        array = np.asarray(values)
        if array.dtype.kind in "OTU":
            array = self._codes(values if isinstance(values, list) else array.tolist())
        elif self._texts or array.ndim != 1 or array.dtype.kind not in "biuf":
            raise self._strange(array[0] if len(array) else array)
        self._parts.append(array)
        self.samples += len(array)

    def values(self) -> Values:
        """Return all numbers. Texts are in `column`."""
        if self._texts:
            raise DataError(f"{self._name} are texts, expected numbers; name another column")
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.int64)

    def column(self, bins: int | None = None) -> Column:
        """Return all as classes; see `to_column`."""
        if not self._texts or bins is not None:
            return to_column(self.values(), name=self._name, bins=bins)
        names = sorted(self._texts)
        rank = np.empty(len(names), np.int32)
        rank[[self._texts[name] for name in names]] = np.arange(len(names))
        return Column(rank[np.concatenate(self._parts)], names)

    def _codes(self, values: list[Any]) -> Values:
        if (self._parts and not self._texts) or not all(isinstance(value, str) for value in values):
            raise self._strange(next((value for value in values if not isinstance(value, str)), values[0]))
        texts = self._texts
        return np.fromiter((texts.setdefault(value, len(texts)) for value in values), np.int32, len(values))

    def _strange(self, value: Any) -> DataError:
        return DataError(
            f"{self._name} hold {str(value)[:40]!r} in rows {self.samples:,} and on, expected numbers alone or texts "
            "alone, one for each sample; convert them"
        )
