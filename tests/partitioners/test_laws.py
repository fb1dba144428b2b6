"""What holds of every scheme, in hundreds of random cases each."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.partitioners.assign import assign, assign_naturally
from fedsynth.partitioners.column import Column, to_column
from fedsynth.partitioners.minimum import meet_minimum
from fedsynth.partitioners.request import Request
from fedsynth.partitioners.sizes import raise_sizes
from fedsynth.partitioners.swaps import draw_swaps
from tests.commands import ROOT, environment
from tests.partitioners.cases import SCHEMES, wishes

LAW = settings(max_examples=200, deadline=None, derandomize=True)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_sample_goes_to_one_user_and_nobody_has_too_few(scheme: str) -> None:
    @LAW
    @given(wishes(scheme))
    def law(wish: tuple[Column, Request]) -> None:
        by, request = wish
        found = assign(by, by, request)
        assert len(found.user_of) == len(by.codes)
        assert found.user_of.min() >= 0 and found.user_of.max() < request.users
        assert found.num_samples.min() >= request.min_samples
        assert len(found.users) == request.users

    law()


@LAW
@given(st.lists(st.integers(0, 9), min_size=10, max_size=200), st.integers(1, 20), st.integers(0, 9))
def test_the_minimum_moves_exactly_the_samples_that_are_missing(users: list[int], least: int, seed: int) -> None:
    before = np.array(users, np.int32)
    least = min(least, len(before) // 10)
    after = meet_minimum(before, 10, least, seed)
    sizes = np.bincount(before, minlength=10)
    assert (before != after).sum() == np.maximum(least - sizes, 0).sum()
    assert np.bincount(after, minlength=10).min() >= least


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_same_seed_gives_the_same_and_another_one_something_else(scheme: str) -> None:
    by = to_column(np.arange(2000) % 7)
    own = {"quantity": {"sigma": 1.0}, "classes": {"classes": 2}, "shards": {"shards": 2}}.get(scheme, {})
    own |= {"alpha": 0.5} if "dirichlet" in scheme else {}
    first, again, other = (
        assign(by, by, Request(scheme=scheme, users=20, seed=seed, **own)).user_of for seed in (5, 5, 6)
    )
    assert (first == again).all()
    assert (first != other).any()


def test_all_schemes_give_what_they_gave_whatever_the_order_of_hashes() -> None:
    """Two processes with other hashes of texts, and the bytes that were found when this was written."""
    script = (
        "import hashlib, json, numpy as np\n"
        "from fedsynth.partitioners.assign import assign\n"
        "from fedsynth.partitioners.column import to_column\n"
        "from fedsynth.partitioners.request import Request\n"
        "by = to_column(np.array(['cat', 'dog', 'emu', 'fox', 'gnu'])[np.arange(3000) * np.arange(3000) % 5])\n"
        "own = {'quantity': {'sigma': 1.0}, 'dirichlet': {'alpha': 0.3}, 'inner-dirichlet': {'alpha': 0.3},"
        " 'classes': {'classes': 2}, 'shards': {'shards': 2}, 'iid': {}}\n"
        "wishes = {scheme: Request(scheme=scheme, users=30, min_samples=20, seed=7, clusters=3, swap_labels=2, **more)"
        " for scheme, more in own.items()}\n"
        "found = {scheme: assign(by, by, wish) for scheme, wish in wishes.items()}\n"
        "texts = {s: [f.user_of.tolist(), f.clusters.tolist(), f.swaps.tolist()] for s, f in found.items()}\n"
        "print(json.dumps({s: hashlib.md5(json.dumps(t).encode()).hexdigest() for s, t in texts.items()}))"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=environment(PYTHONHASHSEED=seed),
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert printed[0] == printed[1]
    assert json.loads(printed[0]) == GOLDENS


GOLDENS = {
    "quantity": "cfbae692d40b735e6007fcf4ae945691",
    "dirichlet": "78645e05297102ed2735eaa209961d66",
    "inner-dirichlet": "52580d689ed5c3f05cecca82531b64f1",
    "classes": "882da087355842f9b63c485c9f64731d",
    "shards": "bc987781c7869f7d7328112cea14d2b8",
    "iid": "dd8f535584a1838c03d976aafd723a32",
}


@LAW
@given(st.lists(st.integers(0, 60), min_size=1, max_size=30), st.integers(1, 20), st.floats(0, 1, exclude_max=True))
def test_sizes_are_raised_by_exactly_the_samples_that_are_missing(sizes: list[int], least: int, offset: float) -> None:
    before = np.array(sizes)
    least = min(least, int(before.sum()) // len(sizes))
    after = raise_sizes(before, least, offset)
    assert after.min() >= least
    missing = np.maximum(least - before, 0).sum()
    assert np.maximum(after - before, 0).sum() == np.maximum(before - after, 0).sum() == missing


@LAW
@given(wishes("iid"), st.integers(0, 99))
def test_the_order_of_the_samples_makes_no_difference_to_iid(wish: tuple[Column, Request], shuffle: int) -> None:
    """Who gets how much of a class is a fair draw: the same one for labels that are sorted."""
    by, request = wish
    order = np.random.RandomState(shuffle).permutation(len(by.codes))
    shuffled = Column(by.codes[order], by.values)
    for column in (by, shuffled, Column(np.sort(by.codes), by.values)):
        found = assign(column, column, request)
        counts = np.zeros((len(found.users), len(by.values)), int)
        np.add.at(counts, (found.user_of, column.codes), 1)
        if column is by:
            expected = counts
        assert (counts == expected).all()


@LAW
@given(st.lists(st.integers(0, 20), min_size=1, max_size=60))
def test_natural_users_have_what_their_name_stands_beside(names: list[int]) -> None:
    found = assign_naturally(to_column(names), to_column([0] * len(names)), Request(scheme="natural"))
    assert [found.users[user] for user in found.user_of] == [str(name) for name in names]
    assert found.users == [str(name) for name in sorted(set(names))]


@LAW
@given(wishes("dirichlet"), st.integers(2, 4), st.integers(2, 4))
def test_clusters_are_even_and_each_exchanges_so_many_labels_in_a_cycle(
    wish: tuple[Column, Request], clusters: int, size: int
) -> None:
    by, request = wish
    size = min(size, len(by.values))
    if size < 2 or clusters > min(request.users, 1 + math.comb(len(by.values), size) * math.factorial(size - 1)):
        return
    found = assign(by, by, dataclasses.replace(request, clusters=clusters, swap_labels=size))
    assert found.clusters is not None and found.swaps is not None
    counts = np.bincount(found.clusters, minlength=clusters)
    assert counts.max() - counts.min() <= 1 and len(counts) == clusters
    assert (found.swaps[0] == np.arange(len(by.values))).all()
    assert len({tuple(row) for row in found.swaps.tolist()}) == clusters
    for row in found.swaps[1:].tolist():
        moved = [label for label, other in enumerate(row) if label != other]
        assert len(moved) == size and sorted(row) == list(range(len(row)))
        at, cycle = row[moved[0]], 1
        while at != moved[0]:
            at, cycle = row[at], cycle + 1
        assert cycle == size


def test_every_cycle_of_labels_comes_up_once() -> None:
    for num_classes, size, ways in ((4, 2, 6), (4, 3, 8), (5, 5, 24), (5, 4, 30)):
        request = Request(scheme="iid", users=100, clusters=ways + 1, swap_labels=size)
        swaps = draw_swaps(num_classes, request)
        assert len({tuple(row) for row in swaps.tolist()}) == ways + 1
