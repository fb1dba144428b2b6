"""Packed ids and masks, and indexes on disk, are what went into them."""

from __future__ import annotations

import pickle
from array import array
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.leaf.names import Names
from fedsynth.leaf.offsets import LeafIndex, ShelvedIndex, shelved, unshelved
from fedsynth.leaf.plan import Counts, FilePlan, MaskedUsers, PooledUsers
from fedsynth.records.stamp import FileState


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=5), unique=True, max_size=20))
def test_names_are_a_sequence_of_ids(users: list[str]) -> None:
    names = pickle.loads(pickle.dumps(Names.of(users)))
    assert list(names) == [names[position] for position in range(len(users))] == users
    assert names[-3:] == users[-3:]
    assert list(names.pick(range(len(users) - 1, -1, -1))) == users[::-1]
    with pytest.raises(IndexError):
        names[len(users)]


@settings(derandomize=True)
@given(st.lists(st.lists(st.booleans(), max_size=9), max_size=9))
def test_masks_are_packed_and_sent_as_bits(masks: list[list[bool]]) -> None:
    mask = b"".join(map(bytes, masks))
    packed = MaskedUsers.of(range(len(masks)), map(len, masks), mask)
    assert len(packed.bits) == (len(mask) + 7) // 8
    again = pickle.loads(pickle.dumps(packed))
    assert again.masks(0, len(masks)) == [bytes(mask) for mask in masks]


def test_pooled_users_are_sent_as_arrays() -> None:
    picks = PooledUsers(array("q", [5, 3, 1]), array("q", [1, 2]))
    assert pickle.loads(pickle.dumps(picks)) == picks
    assert [list(pick.samples) for pick in picks] == [[5], [3, 1]]


def index(users: int) -> LeafIndex:
    numbers = range(users)
    counts = Counts(Names.of(map(str, numbers)), array("q", numbers), None, array("q", numbers[::-1]))
    places = array("q", numbers)
    return LeafIndex(Path("a.json"), counts, places, places, bytes(users), exact=True, state=FileState(1, 2, 3, 4))


def test_an_index_comes_back_from_the_shelf(tmp_path: Path) -> None:
    whole = index(2000)
    kept = shelved(whole, tmp_path)
    assert isinstance(kept, ShelvedIndex)
    assert kept.num_samples == whole.num_samples
    assert len(pickle.dumps(replace(kept, num_samples=()))) < 500
    found = unshelved(replace(kept, path=Path("moved.json")))
    assert list(found.counts.users) == list(whole.counts.users)
    assert found == replace(whole, path=Path("moved.json"), counts=replace(whole.counts, users=found.counts.users))


@pytest.mark.parametrize("change", [{}, {"hierarchies": ["h"] * 2000}])
def test_indexes_that_are_small_or_hold_other_values_stay(change: dict[str, object], tmp_path: Path) -> None:
    whole = index(2000 if change else 10)
    whole = replace(whole, counts=replace(whole.counts, **change))  # type: ignore[arg-type]
    assert shelved(whole, tmp_path) is whole
    assert shelved(whole, None) is whole
    assert list(tmp_path.iterdir()) == []


def test_a_plan_of_all_users_in_order_is_a_copy() -> None:
    whole = index(5)
    assert FilePlan.of_whole_users(whole, range(5)).copies(whole)
    assert not FilePlan.of_whole_users(whole, range(4)).copies(whole)
