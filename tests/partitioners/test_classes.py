"""Scheme classes: exactly `classes` each, and the minimum within them wherever it is possible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from fedsynth.errors import UsageError
from fedsynth.partitioners.assign import assign, assign_sorted
from fedsynth.partitioners.column import Column
from fedsynth.partitioners.request import Request
from fedsynth.partitioners.within_classes import Holdings
from tests.partitioners.cases import wishes


def table(by: Column, request: Request) -> np.ndarray:
    """Users x classes."""
    found = assign(by, by, request)
    counts = np.zeros((len(found.users), len(by.values)), int)
    np.add.at(counts, (found.user_of, by.codes), 1)
    return counts


@settings(max_examples=300, deadline=None, derandomize=True)
@given(wishes("classes"))
def test_each_user_has_exactly_so_many_classes_and_each_class_as_many_users(wish: tuple[Column, Request]) -> None:
    by, request = wish
    counts = table(by, request)
    assert ((counts > 0).sum(axis=1) == request.classes).all()
    sharing = (counts > 0).sum(axis=0)
    assert sharing.max() - sharing.min() <= 1
    for column in counts.T:
        parts = column[column > 0]
        assert parts.max() - parts.min() <= 1, "a class goes in equal parts to those who have it"


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 99)), min_size=1, max_size=6),
    st.integers(1, 12),
    st.integers(0, 99),
)
def test_the_minimum_is_met_whenever_these_classes_allow_it_by_the_fewest_moves(
    num_users: int, extra: list[tuple[int, int]], least: int, seed: int
) -> None:
    """Against linear programming, which says whether there is a way at all, and what the shortest takes."""
    rng = np.random.RandomState(seed)
    each = rng.randint(1, len(extra) + 1)
    owned = np.array([rng.permutation(len(extra))[:each] for _ in range(num_users)], np.int32)
    owners = [np.flatnonzero((owned == number).any(axis=1)) for number in range(len(extra))]
    totals = [len(users) + more if len(users) else 0 for users, (more, _) in zip(owners, extra, strict=True)]
    amounts = [np.ones(len(users), np.int64) for users in owners]
    for part, total in zip(amounts, totals, strict=True):
        for _ in range(total - len(part)):
            part[rng.randint(len(part))] += 1
    before = [part.copy() for part in amounts]
    fewest = fewest_moves(owners, before, num_users, least)
    holdings = Holdings(owned, owners, amounts)
    if fewest is None:
        with pytest.raises(UsageError, match=f"min_samples is {least}"):
            holdings.raise_to(least)
        return
    holdings.raise_to(least)
    sizes = np.bincount(np.concatenate(owners), np.concatenate(amounts), num_users)
    assert sizes.min() >= least
    assert [int(part.sum()) for part in amounts] == totals
    assert all(part.min() >= 1 for part in amounts if len(part))
    assert moves(before, amounts) == fewest


def moves(before: list[np.ndarray], after: list[np.ndarray]) -> int:
    return sum(int(np.maximum(new - old, 0).sum()) for old, new in zip(before, after, strict=True))


def fewest_moves(owners: list[np.ndarray], before: list[np.ndarray], num_users: int, least: int) -> int | None:
    """Variables: what each user gets of each of their classes, then what they give."""
    cells = [(number, user) for number, users in enumerate(owners) for user in users.tolist()]
    held = np.concatenate(before)
    by_class = np.array([[float(cell[0] == number) for cell in cells] for number in range(len(owners))])
    by_user = np.array([[float(cell[1] == user) for cell in cells] for user in range(num_users)])
    found = linprog(
        np.repeat([1.0, 0.0], len(cells)),
        A_ub=np.hstack([-by_user, by_user]),
        b_ub=by_user @ held - least,
        A_eq=np.hstack([by_class, -by_class]),
        b_eq=np.zeros(len(owners)),
        bounds=[(0, None)] * len(cells) + [(0, most) for most in (held - 1).tolist()],
    )
    return round(found.fun) if found.status == 0 else None


def test_a_chain_undoes_a_move_of_one_before_it() -> None:
    """Found by trying: chains that only add moves take 20 here."""
    codes = np.repeat(np.arange(6, dtype=np.int32), [14, 14, 160, 4, 19, 5])
    by = Column(codes, list(range(6)))
    before, after = (
        table(by, Request(scheme="classes", users=6, classes=4, min_samples=least, seed=296)) for least in (1, 20)
    )
    assert after.sum(axis=1).min() == 20
    assert np.maximum(after - before, 0).sum() == 19


def test_a_chain_of_users_helps_where_no_neighbour_can() -> None:
    """User 0 shares a class with 1 only, 1 with 2, and 2 alone has plenty."""
    owned = np.array([[0, 1], [1, 2], [2, 3]], np.int32)
    owners = [np.array([0]), np.array([0, 1]), np.array([1, 2]), np.array([2])]
    amounts = [np.array([1]), np.array([1, 5]), np.array([1, 50]), np.array([9])]
    Holdings(owned, owners, amounts).raise_to(6)
    assert [part.tolist() for part in amounts] == [[1], [5, 1], [5, 46], [9]]


def test_schemes_to_choose_from_are_in_order() -> None:
    """Of those that need no column."""
    schemes = "classes, dirichlet, iid, inner-dirichlet, quantity, shards"
    with pytest.raises(UsageError, match=f"expected one of {schemes}$"):
        assign_sorted(np.array([5, 5]), Request(scheme="natural"))
