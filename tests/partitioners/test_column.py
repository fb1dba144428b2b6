"""What is taken for classes, and bins of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.errors import DataError, UsageError
from fedsynth.partitioners.column import to_column


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        ([3, 1, 3], [1, 3]),
        (["b", "a", "b"], ["a", "b"]),
        ([True, False, True], [False, True]),
        (np.array([250, 3, 250], np.uint8), [3, 250]),
        (np.array([2**64 - 1, 3, 2**64 - 1], np.uint64), [3, 2**64 - 1]),
        (np.array([-(2**63), 2**63 - 1, -(2**63)]), [-(2**63), 2**63 - 1]),
        ([2.0, 1.0, 2.0], [1, 2]),
        (np.array(["x", "ab", "x"], object), ["ab", "x"]),
        (np.array([2, 1, 2], object), [1, 2]),
    ],
)
def test_classes_are_sorted_and_keep_their_type(values: Any, classes: list[Any]) -> None:
    column = to_column(values)
    assert column.values == classes
    assert [column.values[code] for code in column.codes] == list(values)
    assert column.totals.tolist() == [list(values).count(value) for value in classes]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, 1.0], "labels hold 0.5 at position 0, which is no class; cut them into bins"),
        ([1.0, float("nan")], "nan at position 1"),
        ([1.0, float("inf")], "inf at position 1"),
        ([1e300], "1e.300 at position 0"),
        ([], "labels are empty"),
        ([[1], [2]], r"shape \(2, 1\)"),
        ([None, 1], "labels hold nothing at position 0"),
        (np.array(["a", 1], object), "labels hold int, str, expected numbers or texts"),
        (np.array([1 + 2j]), "of type complex128"),
    ],
)
def test_what_is_no_class_is_an_error(values: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_column(values)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=300), st.integers(2, 20))
def test_bins_of_numbers_that_differ_are_equal_within_one(values: list[float], bins: int) -> None:
    values = sorted(set(values))
    if len(values) < bins:
        return
    column = to_column(np.array(values)[::-1], bins=bins)
    assert len(column.values) == bins
    assert column.totals.max() - column.totals.min() <= 1
    assert (np.diff(column.codes) <= 0).all()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 9), min_size=5, max_size=60), st.integers(2, 5))
def test_equal_numbers_share_a_bin_whose_value_is_its_lowest(values: list[int], bins: int) -> None:
    column = to_column(values, bins=bins)
    assert len(column.values) <= bins
    for value in set(values):
        assert len({code for code, other in zip(column.codes, values, strict=True) if other == value}) == 1
    for code, lowest in enumerate(column.values):
        assert lowest == min(value for value, other in zip(values, column.codes, strict=True) if other == code)


def test_bins_that_make_no_sense_are_an_error() -> None:
    for bins in (1, 4):
        with pytest.raises(UsageError, match=f"bins is {bins}, expected 2 to 3"):
            to_column([1.5, 2.5, 3.5], bins=bins)
    for values in (["a", "b"], [1.0, float("nan")]):
        with pytest.raises(DataError, match="are not all numbers"):
            to_column(values, bins=2)
