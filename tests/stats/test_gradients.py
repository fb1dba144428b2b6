"""How far apart users' gradients are: against automatic and numerical derivatives, and by law."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng
from numpy.typing import NDArray

from fedsynth.stats.gradients import TOO_LARGE, TOO_LONG, TOO_MANY_WEIGHTS, GradientMeter
from fedsynth.stats.optimum import Sample, fit_pooled

User = tuple[NDArray[np.float64], list[Any]]


def users_of(seed: int, count: int, shift: float, classes: int = 3, features: int = 4) -> list[User]:
    """Users whose labels come from models, and whose models and means are `shift` apart."""
    rng = default_rng(seed)
    common, users = rng.normal(size=(features, classes)), []
    for _ in range(count):
        x = rng.normal(size=(int(rng.integers(1, 60)), features)) + shift * rng.normal(size=features)
        logits = x @ (common + shift * rng.normal(size=common.shape)) + rng.gumbel(size=(len(x), classes))
        users.append((x, np.argmax(logits, axis=1).tolist()))
    return users


def measured(users: Sequence[User], parts: int = 1) -> dict[str, dict[str, float]]:
    """Through meters of consecutive parts of the users, as workers have them."""
    sizes = [len(y) for _, y in users]
    whole = GradientMeter.draw([f"{number:04}" for number in range(len(users))], sizes, default_rng(1))
    for numbers in np.array_split(np.arange(len(users)), parts):
        part = whole.part(range(numbers[0], numbers[-1] + 1))
        for number in numbers.tolist():
            part.add(number, *users[number])
        whole.merge(part)
    found, why = whole.measure(sizes)
    assert bool(why) == ("optimum" not in found)
    return found


def gradient(x: NDArray[np.float64], y: Sequence[int], model: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean loss's gradient by central differences."""

    def loss(weights: NDArray[np.float64]) -> float:
        logits = np.c_[np.ones(len(x)), x] @ weights.reshape(model.shape)
        return float(np.mean(scipy.special.logsumexp(logits, axis=1) - logits[np.arange(len(y)), y]))

    step = 1e-5 * np.eye(model.size)
    return np.array([(loss(model.ravel() + one) - loss(model.ravel() - one)) / 2e-5 for one in step])


def dissimilarity(users: Sequence[User], model: NDArray[np.float64]) -> dict[str, float]:
    """G and B by their definitions."""
    weights = np.array([len(y) for _, y in users]) / sum(len(y) for _, y in users)
    gradients = np.array([gradient(x, y, model) for x, y in users])
    pooled = weights @ gradients
    own = float(weights @ (gradients**2).sum(axis=1))
    return {"G": float(weights @ ((gradients - pooled) ** 2).sum(axis=1)) ** 0.5, "B": (own / (pooled @ pooled)) ** 0.5}


@settings(max_examples=20)
@given(st.integers(0, 1_000), st.integers(2, 8), st.floats(0, 3))
def test_at_zero_weights_it_is_the_definition(seed: int, count: int, shift: float) -> None:
    users = users_of(seed, count, shift)
    classes = len({label for _, y in users for label in y})
    numbers = {label: number for number, label in enumerate(sorted({label for _, y in users for label in y}))}
    expected = dissimilarity([(x, [numbers[label] for label in y]) for x, y in users], np.zeros((5, classes)))
    assert measured(users)["zero"] == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_users_alike_are_not_dissimilar() -> None:
    x, y = default_rng(2).normal(size=(12, 3)), [0, 1, 2] * 4
    assert measured([(x, y)] * 5)["zero"] == pytest.approx({"G": 0, "B": 1}, abs=1e-6)


def test_the_pooled_fit_is_the_optimum_of_scipy() -> None:
    rng = default_rng(3)
    x = rng.normal(size=(600, 3)) @ rng.normal(size=(3, 3)) + 5
    y = np.argmax(x @ rng.normal(size=(3, 3)) + 8 * rng.gumbel(size=(600, 3)), axis=1)
    sample = Sample(x, np.eye(3)[y], np.zeros(600, np.int64), np.ones(1))

    def loss(weights: NDArray[np.float64]) -> float:
        logits = np.c_[np.ones(600), x] @ weights.reshape(4, 3)
        return float(np.mean(scipy.special.logsumexp(logits, axis=1) - logits[np.arange(600), y]))

    best = scipy.optimize.minimize(loss, np.zeros(12), tol=1e-10).fun
    assert loss(fit_pooled(sample).ravel()) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_at_the_optimum_it_is_about_the_definition(shift: float) -> None:
    users = users_of(4, 200, shift)
    sizes = [len(y) for _, y in users]
    everything = Sample(
        np.concatenate([x for x, _ in users]),
        np.eye(3)[np.concatenate([y for _, y in users])],
        np.repeat(np.arange(200), sizes),
        np.array(sizes) / sum(sizes),
    )
    expected = dissimilarity(users, fit_pooled(everything))["G"]
    assert measured(users)["optimum"]["G"] == pytest.approx(expected, rel=0.15)


def test_parts_and_orders_give_the_same() -> None:
    users = users_of(5, 300, 1.0)
    whole, parts = measured(users), measured(users, 7)
    assert parts["zero"] == pytest.approx(whole["zero"], rel=1e-12)
    assert parts["optimum"] == pytest.approx(whole["optimum"], rel=1e-9)
    assert measured(users, 7) == parts, "to the last digit"


def test_one_class_leaves_nothing_to_learn() -> None:
    assert measured([(np.ones((3, 2)), [1, 1, 1]), (np.zeros((2, 2)), [1, 1])])["zero"] == {"G": 0.0}


def test_what_can_not_be_measured_says_why() -> None:
    meter = GradientMeter.draw(["a", "b"], [2, 2], default_rng(0))
    for user, value in enumerate((1e300, -1e300)):
        meter.add(user, np.full((2, 2), value), [0, 1])
    assert meter.measure([2, 2]) == ({}, TOO_LARGE)
    many = GradientMeter.draw(["a"], [4], default_rng(0))
    many.add(0, np.ones((4, 600)), [0, 1, 0, 1])
    found, why = many.measure([4])
    assert (set(found), why) == ({"zero"}, TOO_LONG)
    wide = GradientMeter.draw(["a"], [2], default_rng(0))
    wide.add(0, np.ones((2, 600_000)), [0, 1])
    assert wide.measure([2]) == ({}, TOO_MANY_WEIGHTS)
