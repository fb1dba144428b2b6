"""Samples become numbers exactly or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedsynth.formats.numbers import as_type, rows_at_a_time, to_numbers


@pytest.mark.parametrize(
    ("values", "dtype", "shape"),
    [
        ([1, 2, 3], np.int64, (3,)),
        ([1, 2.5], np.float64, (2,)),
        ([0.5, 1], np.float64, (2,)),
        ([True, False], np.int64, (2,)),
        ([[1.0, 2], [3, 4]], np.float64, (2, 2)),
        ([[[1, 2], [3, 4], [5, 6]]], np.int64, (1, 3, 2)),
        ([2**63 - 1, -(2**63)], np.int64, (2,)),
        ([2**70], np.float64, (1,)),
    ],
)
def test_numbers_of_one_shape_are_an_array(values: list[Any], dtype: type, shape: tuple[int, ...]) -> None:
    found = to_numbers(values)
    assert found is not None
    assert (found.dtype, found.shape) == (dtype, shape)
    assert found.tolist() == values


@pytest.mark.parametrize(
    "values",
    [
        [],
        [[]],
        [[], []],
        ["1.5"],
        [1.0, "1.5"],
        [1, "2"],
        [1.0, None],
        [None],
        [{}],
        [[1.0], [1.0, 2.0]],
        [[1.0], 1.0],
        [1.0, [1.0]],
        [[[1.0]], [[1.0, 2.0]]],
        [[1.0], "a"],
        [10**400],
    ],
)
def test_all_else_is_no_array(values: list[Any]) -> None:
    assert to_numbers(values) is None


def test_what_float32_can_not_hold_is_an_error() -> None:
    assert as_type(np.array([0.1]), "float32").dtype == np.float32
    assert as_type(np.array([1]), "float32").dtype == np.int64
    with pytest.raises(ValueError, match=r"1e\+300.* in x, which float32 can't hold; choose float64"):
        as_type(np.array([1.0, 1e300]), "float32")


def test_large_samples_are_taken_few_at_a_time() -> None:
    assert rows_at_a_time(1.0) == rows_at_a_time("text") == rows_at_a_time([0.0] * 60) == 2048
    assert rows_at_a_time([[0.0] * 1024] * 3) == 85
    assert rows_at_a_time([0.0] * 10**6) == 1
