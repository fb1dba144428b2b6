"""Opening by the head, finding users when asked."""

from __future__ import annotations

import json
import pickle
import tracemalloc
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from fedsynth.errors import DataError
from fedsynth.federated import LeafDataset
from fedsynth.leaf import lazy
from fedsynth.leaf.index import LeafWalk, open_file
from fedsynth.leaf.lazy import LazyLeafFile
from tests.conftest import WriteLeaf

MANY = {f"user {number}": ([["text " * 40]] * 50, list(range(50))) for number in range(400)}


def test_opening_holds_and_reads_little(write_leaf: WriteLeaf) -> None:
    path = write_leaf(MANY)
    size = path.stat().st_size
    assert size > 4_000_000
    tracemalloc.start()
    file = LazyLeafFile(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 3, "one block of 1 MiB and the head"
    assert (len(file.users), file.num_samples[7]) == (400, 50)


def test_reading_one_user_holds_one_user(write_leaf: WriteLeaf) -> None:
    path = write_leaf(MANY)
    file = LazyLeafFile(path)
    tracemalloc.start()
    x, y = file.samples(399)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (x[0], y[-1]) == (["text " * 40], 49)
    assert peak < path.stat().st_size


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are walked through, each time."""
    walked: list[Path] = []
    users = LeafWalk.users_and_runs

    def counted(walk: LeafWalk, *args: Any) -> Any:
        walked.append(walk.path)
        return users(walk, *args)

    monkeypatch.setattr(LeafWalk, "users_and_runs", counted)
    return walked


def test_offsets_are_found_once(write_leaf: WriteLeaf, walked: list[Path]) -> None:
    file = LazyLeafFile(write_leaf(MANY))
    assert walked == []
    for user in (3, 1, 3):
        file.samples(user)
    pickle.loads(pickle.dumps(file)).samples(2)
    assert file.hierarchies is None
    assert walked == [file.path]


def test_hierarchies_before_the_data_are_known_at_once(write_leaf: WriteLeaf, walked: list[Path]) -> None:
    path = write_leaf({"a": ([1], [2])})
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"hierarchies": ["h"], **content}))
    assert LazyLeafFile(path).hierarchies == ["h"]
    assert walked == []
    path.write_text(json.dumps({**content, "hierarchies": ["h"]}))
    file = LazyLeafFile(path)
    assert walked == []
    assert file.hierarchies == ["h"]
    assert file.samples(0) == ([1], [2])
    assert walked == [path]


def test_a_head_after_the_data_is_walked_to_when_opened(write_leaf: WriteLeaf, walked: list[Path]) -> None:
    path = write_leaf({"a": ([1], [2])})
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    file = LazyLeafFile(path)
    assert (file.users, file.samples(0), walked) == (["a"], ([1], [2]), [path])


def test_a_file_that_vanishes_is_an_error(write_leaf: WriteLeaf) -> None:
    path = write_leaf({"a": ([1], [2])})
    file = LazyLeafFile(path)
    path.unlink()
    with pytest.raises(DataError, match=r"all_data\.json: is gone, expected"):
        LazyLeafFile(path)
    with pytest.raises(DataError, match="is gone since it was opened"):
        file.samples(0)


@pytest.mark.parametrize("when", [0, 1, 2])
def test_a_file_that_vanishes_at_any_call_is_an_error(
    when: int, write_leaf: WriteLeaf, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_leaf({"a": ([1], [2])})
    file = LazyLeafFile(path)
    calls = iter(range(9))

    def vanishing(name: Path) -> FileIO:
        if next(calls) == when:
            name.unlink()
        return open_file(name)

    monkeypatch.setattr(lazy, "open_file", vanishing)
    if when == 2:
        assert file.samples(0) == ([1], [2])
        path.unlink()
    with pytest.raises(DataError, match="is gone since it was opened"):
        file.samples(0)


def test_numbers_beyond_64_bits_stay_apart(write_leaf: WriteLeaf) -> None:
    labels = [2**64 + 1, 2**64 + 2, 10**5000, -(10**30), 1e300]
    path = write_leaf({"a": ([], [])})
    text = f'{{"x": [1, 2, 3, 4, 5], "y": [{2**64 + 1}, {2**64 + 2}, 1{"0" * 5000}, {-(10**30)}, 1e300]}}'
    path.write_text(path.read_text().replace('{"x": [], "y": []}', text).replace("[0]", "[5]"))
    assert LazyLeafFile(path).samples(0) == ([1, 2, 3, 4, 5], labels)


def test_a_file_cut_off_is_an_error_when_the_first_user_is_asked_for(write_leaf: WriteLeaf) -> None:
    path = write_leaf(MANY)
    path.write_bytes(path.read_bytes()[:-1000])
    file = LazyLeafFile(path)
    with pytest.raises(DataError, match="the text ends too early at byte"):
        file.samples(0)
    with pytest.raises(DataError, match="the text ends too early at byte"):
        _ = file.hierarchies


@pytest.mark.parametrize("late", [False, True])
def test_a_cached_file_is_not_walked_through_again(late: bool, write_leaf: WriteLeaf, walked: list[Path]) -> None:
    path = write_leaf({"a": ([[1]], [2])}, **({"hierarchies": ["h"]} if late else {}))
    for _ in range(2):
        dataset = LeafDataset(path, cache=True)
        assert dataset["a"].metadata == ({"hierarchy": "h"} if late else {})
        assert dataset["a"].labels.tolist() == [2]
    assert walked == [path] * (2 if late else 1)
