"""The same distribution as flwr-datasets' and FedLab's own partitioners, where they have a scheme: two-sample tests.

Each run gives one user of each, so that samples are independent. A p-value of 1e-4 in 30 tests would be a surprise;
schemes that are wrong on purpose are far below. Where a scheme of theirs is another one, a test says how.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

import fedsynth
from fedsynth.partitioners.by_dirichlet import assign_classes_by_dirichlet
from fedsynth.partitioners.request import Request

pytestmark = [pytest.mark.filterwarnings("ignore")]

LABELS = np.repeat(np.arange(4), [120, 90, 60, 30])
USERS, RUNS = 6, 400
Assigner = Callable[[int, int], Any]
"""A seed and a user -> the user's indices."""


def features(indices_of: Assigner, seeds: range, coarse: int = 1) -> np.ndarray:
    """[runs, 7]: of one user each time, the numbers of samples of each class, of all, of the largest class, classes."""
    rows = []
    for seed in seeds:
        user = seed % USERS if coarse == 1 else 1 + seed % (USERS - 2)
        counts = np.bincount(LABELS[np.asarray(indices_of(seed, user), int)], minlength=4)
        counts = (counts + coarse // 2) // coarse
        rows.append([*counts, counts.sum(), counts.max(), (counts > 0).sum()])
    return np.array(rows)


def smallest_p_value(one: Assigner, other: Assigner, runs: int = RUNS, coarse: int = 1) -> float:
    mine, theirs = features(one, range(runs), coarse), features(other, range(10_000, 10_000 + runs), coarse)
    return min(float(ks_2samp(mine[:, at], theirs[:, at], method="asymp").pvalue) for at in range(mine.shape[1]))


def ours(**own: Any) -> Assigner:
    return lambda seed, user: fedsynth.partition(LABELS, users=USERS, seed=seed, **own)[str(user)]


def before_the_minimum(alpha: float) -> Assigner:
    """Scheme dirichlet alone: theirs leaves users without samples, or draws again, which is another distribution."""

    def indices_of(seed: int, user: int) -> Any:
        request = Request(scheme="dirichlet", users=USERS, alpha=alpha, seed=seed)
        return np.flatnonzero(assign_classes_by_dirichlet(np.bincount(LABELS), request) == user)

    return indices_of


def flowers(name: str, **own: Any) -> Assigner:
    partitioners = pytest.importorskip("flwr_datasets.partitioner")
    datasets = pytest.importorskip("datasets")
    dataset = datasets.Dataset.from_dict({"label": LABELS.tolist(), "row": list(range(len(LABELS)))})
    users = {} if "partition_sizes" in own else {"num_partitions": USERS}

    def indices_of(seed: int, user: int) -> Any:
        partitioner = getattr(partitioners, name)(partition_by="label", seed=seed, **users, **own)
        partitioner.dataset = dataset
        return partitioner.load_partition(user)["row"]

    return indices_of


def fedlab(name: str) -> Callable[..., Any]:
    functions = pytest.importorskip("fedlab.utils.dataset.functional")

    def seeded(seed: int, *arguments: Any, **own: Any) -> Any:
        np.random.seed(seed)
        return getattr(functions, name)(*arguments, **own)

    return seeded


@pytest.mark.parametrize("alpha", [0.1, 0.5, 5.0])
def test_dirichlet_is_flowers_without_self_balancing(alpha: float) -> None:
    """Theirs rounds down what users have together, so that the last one gets what is left of a class, mostly a sample.

    So neither the first nor the last user is looked at, and numbers are compared by threes.
    """
    theirs = flowers("DirichletPartitioner", alpha=alpha, min_partition_size=0, self_balancing=False)
    assert smallest_p_value(before_the_minimum(alpha), theirs, coarse=3) > 1e-4
    assert smallest_p_value(before_the_minimum(alpha * 4), theirs, coarse=3) < 1e-4


def test_inner_dirichlet_is_flowers_with_a_concentration_for_each_class() -> None:
    """Theirs takes alpha q as it is, class by class; theirs, too, draws from what is left when a class runs out."""
    alphas = [4 * share for share in (0.4, 0.3, 0.2, 0.1)]
    theirs = flowers("InnerDirichletPartitioner", partition_sizes=[50] * USERS, alpha=alphas)
    assert smallest_p_value(ours(scheme="inner-dirichlet", alpha=4.0), theirs, 300) > 1e-4
    assert smallest_p_value(ours(scheme="inner-dirichlet", alpha=16.0), theirs, 300) < 1e-4


def test_inner_dirichlet_is_fedlabs_with_equal_classes() -> None:
    """Theirs gives indices of labels in an order that it draws first and doesn't give: here it is drawn again."""
    partition = fedlab("client_inner_dirichlet_partition")
    labels = np.repeat(np.arange(4), 75)

    def theirs(seed: int, user: int) -> Any:
        order = np.random.RandomState(seed).permutation(len(labels))
        found = partition(seed, labels, USERS, 4, 1.0, np.full(USERS, 50), verbose=False)
        return labels_to_positions(labels[order][found[user]])

    def mine(seed: int, user: int) -> Any:
        part = fedsynth.partition(labels, users=USERS, scheme="inner-dirichlet", alpha=4.0, seed=seed)
        return labels_to_positions(labels[part[str(user)]])

    assert smallest_p_value(mine, theirs, 300) > 1e-4


def labels_to_positions(labels: np.ndarray) -> np.ndarray:
    """Indices in LABELS of samples with these labels: what `features` looks up."""
    return np.array([0, 120, 210, 270])[labels]


def test_lognormal_sizes_are_fedlabs() -> None:
    split = fedlab("lognormal_unbalance_split")

    def theirs(seed: int, user: int) -> Any:
        return np.zeros(split(seed, USERS, len(LABELS), 0.7)[user], int)

    def mine(sigma: float) -> Assigner:
        def indices_of(seed: int, user: int) -> Any:
            part = fedsynth.partition(LABELS, users=USERS, scheme="quantity", sigma=sigma, seed=seed)
            return np.zeros(part.num_samples[user], int)

        return indices_of

    assert smallest_p_value(mine(0.7), theirs) > 1e-4
    assert smallest_p_value(mine(1.4), theirs) < 1e-4


def test_shards_are_fedlabs_and_flowers() -> None:
    partition = fedlab("shards_partition")

    def theirs(seed: int, user: int) -> Any:
        return partition(seed, LABELS, USERS, USERS * 2)[user].astype(int)

    mine = ours(scheme="shards", shards=2)
    assert smallest_p_value(mine, theirs) > 1e-4
    assert smallest_p_value(mine, flowers("ShardPartitioner", num_shards_per_partition=2), 300) > 1e-4
    assert smallest_p_value(ours(scheme="shards", shards=4), theirs) < 1e-4


def test_the_classes_of_a_user_are_flowers() -> None:
    """Theirs lets chance say how many users have a class, maybe none, so sizes differ: only who has what."""
    flower = flowers("PathologicalPartitioner", num_classes_per_partition=2)

    def theirs(seed: int, user: int) -> Any:
        while True:
            try:
                return flower(seed, user)
            except ValueError:  # some class would have gone to nobody
                seed += 100_000

    def pairs(indices_of: Assigner, seeds: range) -> list[int]:
        found = (sorted(set(LABELS[np.asarray(indices_of(seed, seed % USERS), int)].tolist())) for seed in seeds)
        return [first * 4 + second for first, second in found]

    mine = pairs(ours(scheme="classes", classes=2), range(RUNS))
    assert ks_2samp(mine, pairs(theirs, range(10_000, 10_000 + RUNS)), method="asymp").pvalue > 1e-4


def test_iid_is_flowers_iid() -> None:
    partitioners = pytest.importorskip("flwr_datasets.partitioner")
    datasets = pytest.importorskip("datasets")

    def theirs(seed: int, user: int) -> Any:
        order = np.random.RandomState(seed).permutation(len(LABELS))  # theirs cuts the rows as they stand
        partitioner = partitioners.IidPartitioner(num_partitions=USERS)
        partitioner.dataset = datasets.Dataset.from_dict({"row": order.tolist()})
        return partitioner.load_partition(user)["row"]

    assert smallest_p_value(ours(scheme="iid"), theirs, 300) > 1e-4
