"""Indexes and raw reading of whole files; what can be wrong with one is in test_bad_input."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from fedsynth.errors import DataError
from fedsynth.leaf.head import read_head
from fedsynth.leaf.reader import SampleReader, read_index
from tests.conftest import WriteLeaf


def test_index_tells_users_counts_and_offsets(write_leaf: WriteLeaf) -> None:
    path = write_leaf({"a": ([1, 2], [0, 1]), "é": ([3], [1])}, hierarchies=["h", "i"])
    index = read_index(path)
    assert (list(index.counts.users), list(index.counts.num_samples), index.counts.hierarchies) == (
        ["a", "é"],
        [2, 1],
        ["h", "i"],
    )
    data = path.read_bytes()
    texts = [data[at : at + size] for at, size in zip(index.offsets, index.sizes, strict=True)]
    assert texts == [b'{"x": [1, 2], "y": [0, 1]}', b'{"x": [3], "y": [1]}']
    assert list(index.standard) == [1, 1]


def test_data_may_stand_in_another_order_than_users(write_leaf: WriteLeaf) -> None:
    data = {"b": {"x": [3], "y": [1]}, "a": {"x": [1, 2], "y": [0, 1]}}
    index = read_index(write_leaf({"a": ([1, 2], [0, 1]), "b": ([3], [1])}, user_data=data), samples=True)
    assert list(index.counts.data_order) == [1, 0]
    with SampleReader(index) as reader:
        assert reader.text(0) == b'{"x": [1, 2], "y": [0, 1]}'
        x, y = reader.pooled([0, 2])
        assert (x, y) == ([b"3", b"2"], [b"1", b"1"])


def test_keys_may_come_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    content = {"user_data": {"a": {"x": [1], "y": [2]}}, "version": {"n": 1}, "num_samples": [1], "users": ["a"]}
    path.write_text(json.dumps(content, indent=2))
    assert list(read_index(path).counts.users) == ["a"]
    assert read_head(path)["num_samples"] == [1]


def test_head_is_read_without_the_data(write_leaf: WriteLeaf) -> None:
    path = write_leaf({"a": ([1], [2])})
    path.write_bytes(path.read_bytes()[:-10])
    assert read_head(path)["users"] == ["a"]
    with pytest.raises(DataError, match="too early"):
        read_index(path)


def test_file_that_shrinks_is_noticed(write_leaf: WriteLeaf) -> None:
    path = write_leaf({"a": ([1], [2]), "b": ([3], [4])})
    index = read_index(path)
    with pytest.raises(DataError, match="changed while it was read"), SampleReader(index) as reader:
        path.write_bytes(path.read_bytes()[:60])
        with pytest.raises(DataError, match="shorter"):
            reader.text(1)


def test_progress_counts_users(write_leaf: WriteLeaf) -> None:
    done: list[int] = []
    read_index(write_leaf({"a": ([1], [2]), "b": ([3], [4])}), done.append)
    assert sum(done) == 2


def test_any_users_can_be_read_together(write_leaf: WriteLeaf) -> None:
    """Neighbours, with others between them or not, in any order, of ids that are hard to read."""
    ids = ["a", "", "é", 'q"\\', "}, ", "f"]
    path = write_leaf({name: ([f"{name}{n}" for n in range(n)], list(range(n))) for n, name in enumerate(ids, 1)})
    index = read_index(path)
    with SampleReader(index) as reader:
        for users in (*itertools.permutations(range(6), 3), *itertools.combinations(range(6), 4), range(6)):
            found = [([bytes(x) for x in user.x], [bytes(y) for y in user.y]) for user in reader.samples_of(users)]
            alone = [reader.samples(user) for user in users]
            assert found == [([bytes(x) for x in user.x], [bytes(y) for y in user.y]) for user in alone]
            assert reader.texts(users) == [reader.text(user) for user in users]
