"""The fast text of floats is the text of `json.dumps`."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from fedsynth.processes.tasks import Task
from fedsynth.processes.text import encode_rows, task_pieces

finite = st.floats(allow_nan=False, allow_infinity=False)
tiny = st.floats(-1e-3, 1e-3)


@settings(deadline=None, max_examples=300, derandomize=True)
@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=6), elements=st.one_of(finite, tiny)))
def test_rows_read_as_json_dumps_writes_them(rows: np.ndarray) -> None:
    assert f"[{encode_rows(rows).decode()}]" == json.dumps(rows.tolist())


@pytest.mark.parametrize(
    "value",
    [0.0, -0.0, 1e-4, 9.999999999999999e-05, 1e-05, -1.5e-07, 5e-324, 1e15, 1e16, 1.5e16, 1e22, 1e300, 0.1, 1.0],
)
def test_floats_near_the_changes_of_notation(value: float) -> None:
    rows = np.array([[1.0, value], [value, 2.0], [3.0, 4.0]])
    assert f"[{encode_rows(rows).decode()}]" == json.dumps(rows.tolist())


@pytest.mark.parametrize("size", [1, 127, 128, 129, 300])
def test_a_task_of_any_size_is_one_user(size: int) -> None:
    x = np.random.RandomState(0).normal(size=(size, 3))
    task = Task(x, np.arange(size) % 5, {})
    assert b"".join(task_pieces(task)).decode() == json.dumps({"x": x.tolist(), "y": task.y.tolist()})
