"""The Dirichlet partition: what it guarantees, and its law."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from fedsynth.federated import partition_by_dirichlet_class_distribution as partition
from tests.federated.reference import pfl

LABELS = np.repeat(np.arange(4), [30, 60, 20, 10])


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    alpha=st.sampled_from([1e-300, 1e-3, 0.1, 1.0, 100.0]),
    after=st.integers(1, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_each_index_at_most_once_and_lengths_as_asked(
    sizes: list[int], lengths: list[int], alpha: float, after: int, seed: int
) -> None:
    np.random.seed(seed)
    labels = np.random.permutation(np.repeat(np.arange(len(sizes)) * 7 - 3, sizes))
    source = itertools.cycle(lengths)
    users = partition(labels, alpha, lambda: next(source), after)
    asked = list(
        itertools.takewhile(lambda total: total <= len(labels), itertools.accumulate(itertools.cycle(lengths)))
    )
    assert [len(user) for user in users] == [b - a for a, b in itertools.pairwise([0, *asked])]
    flat = [index for user in users for index in user]
    assert len(set(flat)) == len(flat)
    assert all(type(index) is int and 0 <= index < len(labels) for index in flat)
    for label in set(labels.tolist()):
        taken = [index for index in flat if labels[index] == label]
        assert taken == np.flatnonzero(labels == label)[::-1][: len(taken)].tolist(), "the last remaining one each time"


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["x", "y", "z"] * 20),
        np.array([-5, 10**12, 3] * 20),
        np.array([250, 255, 251] * 20, np.uint8),
        [0.5, 1.5, 2.5] * 20,
        np.array([True, False] * 30),
        np.array([-128, 127, 0] * 20, np.int8),
        np.array([-32768, 32767, 5] * 20, np.int16),
    ],
)
def test_labels_may_be_anything_that_sorts(labels: Any) -> None:
    np.random.seed(0)
    users = partition(labels, 0.1, lambda: 6)
    assert sorted(index for user in users for index in user) == list(range(60))


def test_same_numpy_seed_same_partition() -> None:
    partitions = []
    for _ in range(2):
        np.random.seed(5)
        partitions.append(partition(LABELS, 0.3, lambda: int(np.random.randint(1, 9))))
    assert partitions[0] == partitions[1]


def test_remainder_is_dropped() -> None:
    assert partition(np.zeros(9, int), 1.0, lambda: 4) != []
    assert sum(map(len, partition(np.zeros(9, int), 1.0, lambda: 4))) == 8
    assert partition(np.zeros(3, int), 1.0, lambda: 4) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1.0, lambda: 1), "labels have shape"),
        (([[1, 2]], 1.0, lambda: 1), "labels have shape"),
        (([1], 0.0, lambda: 1), "alpha is 0.0"),
        (([1], -1.0, lambda: 1), "alpha is -1.0"),
        (([1], float("nan"), lambda: 1), "alpha is nan"),
        (([1], np.array([1.0, 2.0]), lambda: 1), "alpha is array"),
        (([1], "1", lambda: 1), "alpha is '1'"),
        ((np.array(["a", 1], object), 1.0, lambda: 1), "labels can't be sorted"),
        (([1], 1.0, lambda: 1.9), r"returned is 1\.9, expected a whole number"),
        (([1, 2], 1.0, iter([1]).__next__), "user_dataset_len_sampler raised StopIteration"),
        (([1], 1.0, lambda: 0), "returned 0, expected at least 1"),
        (([1], 1.0, lambda: 1, 0), "after_num_fails is 0"),
        (([1], 1.0, lambda: 1, 20, 0.0), "percentage is 0.0"),
    ],
)
def test_arguments_that_make_no_sense_are_an_error(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        partition(*arguments)


def test_a_huge_alpha_means_even_shares() -> None:
    np.random.seed(0)
    labels = np.arange(10_000) % 2
    first = partition(labels, 1e308, lambda: 1000)[0]
    assert 400 < labels[first].sum() < 600


def shares(make: Callable[..., list[list[int]]], seeds: range, length: int) -> np.ndarray[Any, Any]:
    """What the law says something about: of each user, early and late, the share of each class and the first label."""
    rows = []
    for seed in seeds:
        np.random.seed(seed)
        users = make(LABELS, 0.1, lambda: length, 1, 0.5)
        rows.append([np.r_[np.bincount(LABELS[user], minlength=4) / length, LABELS[user[0]]] for user in users])
    return np.array(rows)


def smallest_p_value(make: Callable[..., list[list[int]]], length: int, times: int = 1500) -> float:
    mine, theirs = shares(make, range(times), length), shares(pfl().partition, range(10_000, 10_000 + times), length)
    assert mine.shape == theirs.shape
    return min(
        float(ks_2samp(mine[:, user, column], theirs[:, user, column], method="asymp").pvalue)
        for user in range(mine.shape[1])
        for column in range(mine.shape[2])
    )


def test_class_shares_follow_the_references_law() -> None:
    """50 tests, so that a p-value of 1e-4 would be a surprise; the last users go through the capped draws."""
    assert smallest_p_value(partition, length=12) > 1e-4


def greedy(labels: Any, alpha: float, sample_length: Callable[[], int], *_: Any) -> list[list[int]]:
    """Wrong on purpose: redraws a user's proportions instead of spreading them when a class runs out."""
    stock = {label: np.flatnonzero(labels == label).tolist() for label in np.unique(labels).tolist()}
    users = []
    while sum(map(len, stock.values())) >= (length := sample_length()):
        user: list[int] = []
        while len(user) < length:
            label = int(np.random.choice(list(stock), p=np.random.dirichlet([alpha] * len(stock))))
            if stock[label]:
                user.append(stock[label].pop())
        users.append(user)
    return users


def sorted_by_class(labels: Any, *arguments: Any) -> list[list[int]]:
    """Wrong on purpose: the right samples, in the order of their classes."""
    return [sorted(user, key=lambda index: labels[index]) for user in partition(labels, *arguments)]


def without_spreading(labels: Any, alpha: float, sample_length: Any, after: int, percentage: float) -> list[list[int]]:
    """Wrong on purpose: evens proportions out later than asked."""
    return partition(labels, alpha, sample_length, after * 20, percentage)


@pytest.mark.parametrize(("wrong", "times"), [(greedy, 300), (sorted_by_class, 600), (without_spreading, 1500)])
def test_wrong_versions_are_rejected_by_the_same_test(wrong: Callable[..., list[list[int]]], times: int) -> None:
    assert smallest_p_value(wrong, length=12, times=times) < 1e-6
