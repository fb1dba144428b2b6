"""What chance alone gives: against scikit-learn, SciPy, all redistributions, and simulation."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from numpy.random import default_rng
from sklearn.metrics.cluster import expected_mutual_information

from fedsynth.stats import chance
from fedsynth.stats.chance import Margins, can_expect, chance_levels, expect, hellinger, redistribute, shuffle
from fedsynth.stats.labels import LabelCounter, label_measures

MEASURES = ("label.jensen_shannon", "label.hellinger", "label.total_variation")


@st.composite
def margins(draw: st.DrawFn) -> Margins:
    """Sizes of users and totals of classes of the same samples."""
    sizes = draw(st.lists(st.integers(1, 60), min_size=1, max_size=12))
    labels = draw(st.lists(st.integers(0, 4), min_size=sum(sizes), max_size=sum(sizes)))
    totals = np.bincount(labels)
    return Margins(np.array(sizes), totals[totals > 0])


def redistributed(found: Margins, seed: int) -> np.ndarray:
    """A table, [users by size, classes], with these margins."""
    return np.stack([drawn for _, drawn in redistribute(found, default_rng(seed))], axis=1)


@given(margins(), st.integers(0, 99))
def test_redistribution_keeps_sizes_and_labels(found: Margins, seed: int) -> None:
    table = redistributed(found, seed)
    assert table.sum(axis=1).tolist() == sorted(found.sizes.tolist())
    assert table.sum(axis=0).tolist() == found.totals.tolist()
    assert table.min() >= 0


@given(margins(), st.integers(0, 99))
def test_expected_information_is_that_of_sklearn(found: Margins, seed: int) -> None:
    theirs = expected_mutual_information(redistributed(found, seed).astype(np.int64), found.samples)
    assert expect(found).information * found.entropy == pytest.approx(max(theirs, 0), abs=1e-9)


def test_expected_information_of_a_large_dataset_is_that_of_sklearn() -> None:
    rng = default_rng(1)
    sizes = np.minimum(np.exp(rng.normal(3, 2, 300)).astype(int) + 5, 1000)
    totals = rng.multinomial(sizes.sum(), [0.6, 0.3, 0.09, 0.01])
    found = Margins(sizes, totals)
    theirs = expected_mutual_information(redistributed(found, 2).astype(np.int64), found.samples)
    assert expect(found).information * found.entropy == pytest.approx(theirs, rel=1e-7)


@given(margins())
def test_expected_distance_and_roots_are_sums_over_scipys_hypergeometric(found: Margins) -> None:
    distance, roots = 0.0, np.zeros(len(found.totals))
    for size, (label, total) in itertools.product(found.sizes.tolist(), enumerate(found.totals.tolist())):
        number = np.arange(size + 1)
        weight = scipy.stats.hypergeom.pmf(number, found.samples, total, size)
        distance += size / found.samples * float(weight @ np.abs(number / size - total / found.samples)) / 2
        roots[label] += float(weight @ np.sqrt(number / size))
    assert expect(found).distance == pytest.approx(distance, abs=1e-9)
    np.testing.assert_allclose(expect(found).roots, roots, atol=1e-9)


def test_levels_are_the_mean_over_all_redistributions() -> None:
    """Three users of two samples each, labels a a a b b c: every order counts the same."""
    values = []
    for labels in set(itertools.permutations("aaabbc")):
        counter = LabelCounter()
        for user in range(3):
            counter.add(user, labels[2 * user : 2 * user + 2])
        measured = label_measures(counter.table(), default_rng(0))
        values.append([measured[key] for key in MEASURES])
    levels = chance_levels(Margins(np.array([2, 2, 2]), np.array([3, 2, 1])), default_rng(3))
    expected = np.mean(values, axis=0)
    assert levels["label.jensen_shannon"] == pytest.approx(expected[0], abs=1e-12)
    assert levels["label.total_variation"] == pytest.approx(expected[2], abs=1e-12)
    assert levels["label.hellinger"] == pytest.approx(expected[1], abs=0.01), "400 shuffles of three users"


def test_few_shuffles_of_many_users_hold_in_three_digits() -> None:
    rng = default_rng(4)
    found = Margins(rng.integers(5, 200, 500), np.zeros(4, int))
    found = Margins(found.sizes, rng.multinomial(found.samples, [0.4, 0.3, 0.2, 0.1]))
    levels = [chance_levels(found, default_rng(seed))["label.hellinger"] for seed in range(20)]
    assert np.std(levels) < 0.0003
    plain = np.mean([hellinger(500, shuffle(found, rng).roots) for _ in range(100)])
    assert np.mean(levels) == pytest.approx(plain, abs=0.002)


def test_where_the_exact_way_is_too_long_shuffles_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Margins(np.array([5, 40, 40, 60, 7, 90] * 20), np.array([2_000, 1_500, 1_340]))
    assert can_expect(found)
    exact = chance_levels(found, default_rng(5))
    monkeypatch.setattr(chance, "MOST_TERMS", 10)
    assert not can_expect(found)
    assert chance_levels(found, default_rng(6)) == pytest.approx(exact, abs=0.003)


def test_adjusted_is_zero_for_what_chance_shows_and_one_for_all_that_can_be() -> None:
    rng, counter = default_rng(7), LabelCounter()
    for user in range(400):
        counter.add(user, rng.integers(0, 3, 40).tolist())
    by_chance = label_measures(counter.table(), default_rng(0))
    apart = LabelCounter()
    for user in range(40):
        apart.add(user, [user % 4] * 40)
    whole = label_measures(apart.table(), default_rng(0))
    assert whole["label.jensen_shannon_adjusted"] == pytest.approx(1)
    for key in MEASURES:
        assert by_chance[f"{key}_adjusted"] == pytest.approx(0, abs=0.01)
        level = whole[f"{key}_chance"]
        assert whole[f"{key}_adjusted"] == pytest.approx((whole[key] - level) / (1 - level))


def test_users_of_one_sample_are_apart_by_chance_alone() -> None:
    counter = LabelCounter()
    for user, label in enumerate([0, 1, 1, 2]):
        counter.add(user, [label])
    measured = label_measures(counter.table(), default_rng(0))
    assert measured["label.jensen_shannon_chance"] == pytest.approx(1)
    assert "label.jensen_shannon_adjusted" not in measured
    assert "label.hellinger_adjusted" in measured
