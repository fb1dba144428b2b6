"""How well two users are told apart by x alone."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from numpy.random import default_rng
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from fedsynth.stats.domains import MOST_NUMBERS, TOO_FEW, TOO_LARGE, TOO_WIDE, DomainMeter, tell_apart


def measured(users: list[np.ndarray], parts: int = 1) -> tuple[float | None, str]:
    """Through meters of consecutive parts of the users, as workers have them."""
    whole = DomainMeter.draw([str(number) for number in range(len(users))], list(map(len, users)), default_rng(1))
    for numbers in np.array_split(np.arange(len(users)), parts):
        part = whole.part(range(numbers[0], numbers[-1] + 1))
        for number in numbers.tolist():
            part.add(number, users[number])
        whole.merge(part)
    return whole.measure()


def test_users_alike_are_told_apart_by_chance_alone() -> None:
    rng = default_rng(2)
    value, _ = measured([rng.normal(size=(40, 8)) for _ in range(300)])
    assert value == pytest.approx(0.5, abs=0.03)


def test_users_far_apart_are_always_told_apart() -> None:
    rng = default_rng(3)
    assert measured([rng.normal(10 * number, 1, (20, 5)) for number in range(20)]) == (1.0, "")


def test_two_normal_users_are_told_apart_as_well_as_can_be() -> None:
    """The best accuracy for means d deviations apart is Phi(d / 2)."""
    rng = default_rng(4)
    found = [tell_apart(rng.normal(0, 1, (100, 3)), rng.normal([1, 0, 0], 1, (100, 3))) for _ in range(400)]
    assert np.mean(found) == pytest.approx(scipy.stats.norm.cdf(0.5), abs=0.015)


def test_the_classifier_is_the_one_of_sklearn() -> None:
    """Scikit-learn shrinks in another scale; without much shrinkage and with many samples both say the same."""
    rng = default_rng(5)
    mix = rng.normal(size=(4, 4))
    one, other = rng.normal(size=(600, 4)) @ mix, rng.normal([1, 0.5, 0, 0], 1, (600, 4)) @ mix
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=[0.5, 0.5]).fit(
        np.concatenate([one[:300], other[:300]]), [0] * 300 + [1] * 300
    )
    expected = (np.mean(theirs.predict(one[300:]) == 0) + np.mean(theirs.predict(other[300:]) == 1)) / 2
    assert tell_apart(one, other) == pytest.approx(expected, abs=0.02)


def test_constant_features_tell_nobody_apart_and_different_ones_do() -> None:
    assert tell_apart(np.ones((4, 3)), np.ones((6, 3))) == 0.5
    assert tell_apart(np.ones((4, 3)), np.zeros((6, 3))) == 1.0


def test_parts_give_the_same_number() -> None:
    rng = default_rng(6)
    users = [rng.normal(rng.normal(), 1, (int(rng.integers(1, 90)), 3)) for _ in range(60)]
    assert measured(users) == measured(users, 7)


def test_what_can_not_be_told_says_why() -> None:
    assert measured([np.ones((3, 2)), np.ones((9, 2))]) == (None, TOO_FEW)
    assert measured([np.full((8, 2), 1e300), np.full((8, 2), -1e300)]) == (None, TOO_LARGE)
    wide = np.broadcast_to(np.float64(1), (4, MOST_NUMBERS))
    assert measured([wide, wide]) == (None, TOO_WIDE)


@pytest.mark.parametrize("features", [10, 3_000])
def test_no_more_is_kept_than_a_million_numbers(features: int) -> None:
    meter = DomainMeter.draw([str(number) for number in range(300)], [80] * 300, default_rng(7))
    for user in range(300):
        meter.add(user, np.broadcast_to(np.float64(user), (80, features)))
    assert 0 < sum(rows.size for rows in meter._kept.rows.values()) <= MOST_NUMBERS
    assert meter.measure()[0] == 1.0
