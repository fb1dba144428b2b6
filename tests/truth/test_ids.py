"""Ids in arrays are the ids, whatever they are, in Python's order."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedsynth.truth import find_ids, id_array

IDS = st.lists(st.text(max_size=4), unique=True, max_size=8)


@given(IDS)
def test_ids_come_back_as_they_were_and_sort_as_in_python(users: list[str]) -> None:
    ids = id_array(users)
    assert ids.tolist() == users
    assert ids[np.argsort(ids, kind="stable")].tolist() == sorted(users)


def test_one_long_id_does_not_make_all_of_them_wide() -> None:
    users = [*map(str, range(1_000)), "x" * 10_000]
    assert id_array(users).nbytes < 10_000
    assert id_array(users).tolist() == users
    assert id_array(users[:-1]).dtype == np.dtype("U3")


def test_an_id_that_ends_in_nul_is_another() -> None:
    ids = id_array(["a\0", "a"])
    assert ids.tolist() == ["a\0", "a"]
    assert not (ids == id_array(["a", "a\0"])).any()


@given(IDS.filter(bool), st.data())
def test_ids_are_found_among_others(users: list[str], data: st.DataObject) -> None:
    some = data.draw(st.lists(st.sampled_from(users)))
    among = id_array(users)
    assert among[find_ids(id_array(some), among)].tolist() == some
    assert find_ids(among, among) == slice(None)


def test_an_id_that_is_not_there_is_found_to_be_another() -> None:
    among = id_array(["b", "d"])
    for strange in ("a", "c", "e"):
        assert among[find_ids(id_array([strange]), among)].tolist() != [strange]
