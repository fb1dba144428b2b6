"""Many users written at once are those written one by one, and what `json.dumps` writes."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from fedsynth.leaf.block_text import block_text
from fedsynth.leaf.block_writer import BlockWriter
from fedsynth.leaf.reader import read_index
from fedsynth.leaf.text import user_pieces
from fedsynth.records.stamp import stamp_file

odd = st.sampled_from([0.0, -0.0, 1e-4, 9.999999999999999e-05, -1.5e-07, 5e-324, 1e15, 1e16, -1.5e16, 1e22, 1e300, 1.0])
numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e-3, 1e-3), odd)


@st.composite
def blocks(draw: st.DrawFn) -> tuple[list[int], NDArray[np.float64], NDArray[np.int64]]:
    sizes = draw(st.lists(st.integers(0, 4), min_size=1, max_size=6))
    x = draw(arrays(np.float64, (sum(sizes), draw(st.integers(1, 4))), elements=numbers))
    return sizes, x, draw(arrays(np.int64, sum(sizes), elements=st.integers(-(2**63), 2**63 - 1)))


@settings(deadline=None, max_examples=400, derandomize=True)
@given(blocks())
def test_a_block_is_its_users_one_by_one(block: tuple[list[int], NDArray[np.float64], NDArray[np.int64]]) -> None:
    sizes, x, y = block
    users = [str(user) for user in range(100, 100 + len(sizes))]
    ends = np.cumsum(sizes)
    parts = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    text = block_text(users, sizes, x, y)
    single = [f'"{user}": '.encode() + b"".join(user_pieces(x[p], y[p])) for user, p in zip(users, parts, strict=True)]
    assert text == b", ".join(single)
    data = {user: {"x": x[p].tolist(), "y": y[p].tolist()} for user, p in zip(users, parts, strict=True)}
    assert f"{{{text.decode()}}}" == json.dumps(data)


def test_one_odd_float_of_thousands_is_written_as_python_does() -> None:
    x = np.random.RandomState(0).standard_normal((3000, 5))
    for row in (0, 1, 1499, 2999):
        x[row, 2] = 1.25e-5
    x[1500, 0] = 3e17
    users, y = [str(user) for user in range(1000)], np.arange(3000) % 5
    parts = [slice(3 * number, 3 * number + 3) for number in range(1000)]
    data = {user: {"x": x[p].tolist(), "y": y[p].tolist()} for user, p in zip(users, parts, strict=True)}
    assert f"{{{block_text(users, [3] * 1000, x, y).decode()}}}" == json.dumps(data)


@pytest.mark.parametrize("cut", [[4], [1, 3], [1, 1, 1, 1], [2, 1, 1]])
def test_file_of_blocks_is_what_json_dump_writes(cut: list[int], tmp_path: Path) -> None:
    """However users come, in blocks or one by one."""
    sizes, users = [40, 2, 1, 3], ["a", "b", "7", "8"]
    x, y = np.random.RandomState(1).standard_normal((46, 3)), np.arange(46) % 4
    bounds = np.cumsum([0, *sizes])
    with BlockWriter(tmp_path / "all_data.json", users, sizes) as writer:
        for end, number in zip(np.cumsum(cut), cut, strict=True):
            rows = slice(bounds[end - number], bounds[end])
            writer.write(sizes[end - number : end], x[rows], y[rows])
        stamp = writer.finish()
    rows = [slice(start, end) for start, end in pairwise(bounds)]
    data = {user: {"x": x[r].tolist(), "y": y[r].tolist()} for user, r in zip(users, rows, strict=True)}
    text = json.dumps({"users": users, "num_samples": sizes, "user_data": data})
    assert (tmp_path / "all_data.json").read_text() == text
    assert stamp == stamp_file(tmp_path / "all_data.json")
    assert list(read_index(tmp_path / "all_data.json").counts.users) == users


def test_left_with_an_error_a_file_is_no_whole_one(tmp_path: Path) -> None:
    with pytest.raises(KeyError), BlockWriter(tmp_path / "all_data.json", ["a", "b"], [1, 1]) as writer:
        writer.write([1], np.ones((1, 2)), np.zeros(1, np.int64))
        raise KeyError
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads((tmp_path / "all_data.json").read_text())
