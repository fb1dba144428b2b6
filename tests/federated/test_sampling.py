"""Samplers of users and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedsynth.errors import UsageError
from fedsynth.federated import (
    CrossSiloUserSampler,
    DirichletDataSampler,
    DistributedContext,
    MinimizeReuseDataSampler,
    MinimizeReuseUserSampler,
    get_data_sampler,
    get_user_sampler,
    use_context,
)

SILOS = {0: [0, 1], 1: [2, 3], 2: [4, 5], 3: [6, 7]}


def test_minimize_reuse_cycles_in_order() -> None:
    users = MinimizeReuseUserSampler(["a", "b", "c"])
    assert [users() for _ in range(7)] == ["a", "b", "c", "a", "b", "c", "a"]
    samples = MinimizeReuseDataSampler(3)
    assert [samples(2), samples(0), samples(5)] == [[0, 1], [], [2, 0, 1, 2, 0]]


def test_cross_silo_goes_through_workers_in_rank_order() -> None:
    with use_context(DistributedContext(0, 4, 0, 2)):
        sampler = CrossSiloUserSampler("minimize_reuse", silo_to_user_ids=SILOS)
    assert [sampler() for _ in range(8)] == [0, 4, 2, 6, 1, 5, 3, 7]


def test_cross_silo_takes_a_workers_silos_in_turn() -> None:
    with use_context(DistributedContext(0, 2, 0, 2)):
        sampler = CrossSiloUserSampler("minimize_reuse", silo_to_user_ids=SILOS)
    assert [sampler() for _ in range(8)] == [0, 2, 4, 6, 1, 3, 5, 7]


def test_cross_silo_wraps_so_that_every_worker_has_one() -> None:
    with use_context(DistributedContext(0, 4, 0, 4)):
        sampler = CrossSiloUserSampler("minimize_reuse", silo_to_user_ids={"a": [0, 1], "b": [2, 3]})
    assert [sampler() for _ in range(8)] == [0, 2, 1, 3, 0, 2, 1, 3]


def test_cross_silo_deals_users_to_as_many_silos_as_workers() -> None:
    with use_context(DistributedContext(0, 3, 0, 3)):
        sampler = CrossSiloUserSampler("minimize_reuse", user_ids=dict.fromkeys(range(7)).keys())  # type: ignore[arg-type]
    assert [sampler() for _ in range(9)] == [0, 1, 2, 3, 4, 5, 6, 1, 2]


def test_each_round_draws_from_every_silo() -> None:
    sampler = CrossSiloUserSampler("random", silo_to_user_ids=SILOS)
    np.random.seed(0)
    for _ in range(20):
        assert sorted(sampler() // 2 for _ in SILOS) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "neither user_ids nor silo_to_user_ids"),
        ({"user_ids": [1, 2], "num_silos": 3}, "silo 2 has no users"),
        ({"silo_to_user_ids": {0: [1], 1: [1]}}, "user 1 is in silos 0 and 1"),
        ({"user_ids": [1, 2], "num_silos": 0}, "num_silos is 0"),
        ({"user_ids": [1, 2], "num_silos": -1}, "num_silos is -1"),
        ({"silo_to_user_ids": {}}, "silo_to_user_ids is empty"),
        ({"sampling_type": "best", "user_ids": [1]}, "unknown user sampler 'best', expected one of 'random', 'minimi"),
    ],
)
def test_silos_that_make_no_sense_are_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CrossSiloUserSampler(**arguments)


def test_a_node_without_a_silo_is_an_error() -> None:
    with (
        use_context(DistributedContext(0, 4, 0, 2)),
        pytest.raises(UsageError, match="1 silos for 2 nodes"),
    ):
        CrossSiloUserSampler(silo_to_user_ids={0: [1]})


def test_nodes_of_different_sizes_are_an_error() -> None:
    with use_context(DistributedContext(0, 3, 0, 2)), pytest.raises(UsageError, match="as many on every node"):
        CrossSiloUserSampler(user_ids=[1, 2, 3])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: get_user_sampler("x", [1]), "unknown user sampler 'x', expected one of 'random', 'minimize_reuse'"),
        (lambda: get_data_sampler("x", 1), "unknown data sampler 'x', expected .*'dirichlet'"),
        (lambda: get_data_sampler("random"), "the 'random' data sampler got no max_bound"),
        (lambda: get_data_sampler("dirichlet", alpha=1.0), "got no labels"),
        (lambda: get_data_sampler("random", 0), "max_bound is 0"),
        (lambda: get_user_sampler("minimize_reuse", []), "user_ids are empty"),
        (lambda: DirichletDataSampler([1.0, 2.0], np.array([0, 1, 2])), "one number for each of 3 classes"),
        (lambda: DirichletDataSampler([1.0, -2.0], np.array([0, 1])), "expected positive numbers"),
        (lambda: DirichletDataSampler("x", np.array([0, 1])), "alpha is 'x', expected numbers"),  # type: ignore[arg-type]
        (lambda: DirichletDataSampler(1.0, np.array(["a", 1], object)), "labels can't be sorted"),
        (lambda: DirichletDataSampler(1.0, np.array([])), "labels are empty"),
    ],
)
def test_wrong_arguments_are_an_error(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_dirichlet_sampler_follows_its_law() -> None:
    """Shares of classes have the mean and variance of a Dirichlet-multinomial; samples of a class come alike."""
    labels = np.array([0, 1, 1, 2, 2, 2])
    alpha, n, users = np.array([1.0, 2.0, 3.0]), 20, 4000
    np.random.seed(1)
    sampler = DirichletDataSampler(alpha, labels)
    drawn = np.array([sampler(n) for _ in range(users)])
    counts = np.stack([(labels[drawn] == label).sum(axis=1) for label in range(3)], axis=1)
    mean = n * alpha / alpha.sum()
    variance = mean * (1 - mean / n) * (n + alpha.sum()) / (1 + alpha.sum())
    assert np.abs(counts.mean(axis=0) - mean).max() < 4 * np.sqrt(variance.max() / users)
    assert np.allclose(counts.var(axis=0), variance, rtol=0.1)
    assert np.allclose(np.bincount(drawn.ravel(), minlength=6)[3:] / (drawn >= 3).sum(), 1 / 3, atol=0.02)


def test_dirichlet_sampler_with_a_tiny_alpha_draws_one_class() -> None:
    np.random.seed(0)
    labels = np.array(["a", "b", "b"])
    sampler = DirichletDataSampler(1e-300, labels)
    drawn = [set(labels[sampler(5)]) for _ in range(50)]
    assert all(len(classes) == 1 for classes in drawn)
    assert {"a"} in drawn
    assert {"b"} in drawn


def test_dirichlet_sampler_with_a_huge_alpha_draws_evenly() -> None:
    np.random.seed(0)
    drawn = DirichletDataSampler(1e308, np.array([0, 1]))(1000)
    assert 400 < sum(drawn) < 600
