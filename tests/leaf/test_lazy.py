"""Opening by the head, finding users when asked."""

from __future__ import annotations

import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from fedsynth.errors import DataError
from fedsynth.leaf import lazy
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


def test_places_are_found_once(write_leaf: WriteLeaf, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Path] = []
    find = lazy._user_places

    def counted(path: Path) -> Any:
        searched.append(path)
        return find(path)

    monkeypatch.setattr(lazy, "_user_places", counted)
    file = LazyLeafFile(write_leaf(MANY))
    assert searched == []
    for user in (3, 1, 3):
        file.samples(user)
    pickle.loads(pickle.dumps(file)).samples(2)
    assert searched == [file.path]


def test_a_file_cut_off_is_an_error_when_opened(write_leaf: WriteLeaf) -> None:
    path = write_leaf(MANY)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="the text ends too early at byte"):
        LazyLeafFile(path)
