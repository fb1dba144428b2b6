"""Side by side with pfl-research: the same NumPy seeds must give the same users, seeds, batches and splits."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from fedsynth import federated
from fedsynth.federated import DistributedContext, use_context
from tests.federated.reference import pfl

USERS = [f"u{number}" for number in range(17)]
SLICES = {user: (np.arange(number + 1), np.arange(number + 1) * 2) for number, user in enumerate(USERS)}
POOL = [np.arange(40), np.arange(40) % 3]


def same_samples(mine: Any, theirs: Any) -> None:
    if isinstance(mine, dict):
        assert mine.keys() == theirs.keys()
        mine, theirs = mine.values(), theirs.values()
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert np.array_equal(a, b)
        assert a.dtype == b.dtype


def same_pairs(mine: Any, theirs: Any) -> None:
    for (my_user, my_seed), (their_user, their_seed) in zip(mine, theirs, strict=True):
        assert my_seed == their_seed
        same_samples(my_user.raw_data, their_user.raw_data)
        assert my_user.user_id == their_user.user_id


def from_slices(m: Any, sampler: str = "random") -> Any:
    return m.FederatedDataset.from_slices(SLICES, m.get_user_sampler(sampler, USERS))


def weighted(m: Any) -> Any:
    weights = {user: number for number, user in enumerate(USERS)}
    sampler = m.get_user_sampler("random", USERS)
    return m.FederatedDataset(lambda user: m.Dataset(SLICES[user], user_id=user), sampler, weights)


def artificial(m: Any, sampler: Any = None) -> Any:
    sampler = sampler or m.get_data_sampler("random", max_bound=40)
    return m.ArtificialFederatedDataset.from_slices(POOL, sampler, lambda: max(1, np.random.poisson(5)))


def dirichlet(m: Any) -> Any:
    return artificial(m, m.get_data_sampler("dirichlet", alpha=np.array([0.5, 1.0, 3.0]), labels=POOL[1]))


def reuse(m: Any) -> Any:
    return artificial(m, m.get_data_sampler("minimize_reuse", max_bound=40))


def silos(m: Any) -> Any:
    return m.FederatedDataset.from_slices(SLICES, m.CrossSiloUserSampler("random", user_ids=USERS, num_silos=4))


def mixture(m: Any) -> Any:
    return m.FederatedDatasetMixture([1, 3, 2], [from_slices(m), artificial(m), from_slices(m, "minimize_reuse")])


MAKERS = [from_slices, weighted, artificial, dirichlet, reuse, silos, mixture]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("seed", [0, 1, 2**31])
def test_users_and_seeds_are_the_same(make: Any, seed: int) -> None:
    def run(m: Any) -> Any:
        np.random.seed(seed)
        dataset = make(m)
        drawn = list(itertools.islice(dataset, 20))
        return drawn, list(dataset.get_cohort(15)), list(itertools.islice(dataset, 3)), np.random.random()

    (*mine, my_state), (*theirs, their_state) = run(federated), run(pfl())
    for my_part, their_part in zip(mine, theirs, strict=True):
        same_pairs(my_part, their_part)
    assert my_state == their_state


@pytest.mark.parametrize("size", [1, 2, 3, 5, 10])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 3, 100])
def test_batches_are_the_same(size: int, batch_size: int | None) -> None:
    x, y = np.arange(size * 3).reshape(size, 3), np.arange(size)
    mine, theirs = (m.TabularDataset(x, y).iter(batch_size) for m in (federated, pfl()))
    for my_batch, their_batch in itertools.zip_longest(mine, theirs):
        same_samples(my_batch, their_batch)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("fraction", [None, 0.0, 0.1, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("minima", [(None, None), (2, 3), (0, 0), (5, None)])
def test_splits_are_the_same(size: int, fraction: float | None, minima: tuple[int | None, int | None]) -> None:
    def sizes(m: Any) -> Any:
        try:
            return [part.raw_data[0].tolist() for part in m.Dataset((np.arange(size),)).split(fraction, *minima)]
        except ValueError:
            return "ValueError"

    assert sizes(federated) == sizes(pfl())


@pytest.mark.parametrize(("num_silos", "num_nodes"), [(4, 2), (3, 2), (7, 1), (2, 2), (8, 3), (9, 3)])
@pytest.mark.parametrize("num_local", [1, 2, 3, 4])
def test_silos_are_assigned_the_same(num_silos: int, num_nodes: int, num_local: int) -> None:
    mine, theirs = (
        m.CrossSiloUserSampler.assign_silo_to_process(num_silos, num_nodes, num_local) for m in (federated, pfl())
    )
    assert mine == dict(theirs)


@pytest.mark.parametrize("sampling_type", ["random", "minimize_reuse"])
def test_cross_silo_sequences_are_the_same(sampling_type: str) -> None:
    given = {"a": ["x", "y"], "b": ["z"], "c": ["v", "w"]}
    for arguments in ({"silo_to_user_ids": given}, {"user_ids": USERS, "num_silos": 5}, {"user_ids": USERS}):
        sequences = []
        for m in (federated, pfl()):
            np.random.seed(3)
            sampler = m.CrossSiloUserSampler(sampling_type, **arguments)
            sequences.append([sampler() for _ in range(40)])
        assert sequences[0] == sequences[1]


def test_tensor_dicts_have_the_same_batches() -> None:
    torch = pytest.importorskip("torch")
    tensors = {"a": torch.arange(5), "b": torch.arange(10.0).reshape(5, 2)}
    for batch_size in (None, 2):
        mine, theirs = (list(m.PyTorchTensorDataset(tensors).iter(batch_size)) for m in (federated, pfl()))
        for my_batch, their_batch in zip(mine, theirs, strict=True):
            same_samples(my_batch, their_batch)


def test_pytorch_users_and_seeds_are_the_same() -> None:
    torch = pytest.importorskip("torch")

    class Users(torch.utils.data.Dataset[Any]):
        def __getitem__(self, user: int) -> list[Any]:
            return [torch.full((user + 1, 2), user), torch.arange(user + 1)]

    runs = []
    for m in (federated, pfl()):
        np.random.seed(3)
        dataset = m.PyTorchFederatedDataset(Users(), m.get_user_sampler("random", range(20)))
        runs.append([([t.tolist() for t in user.raw_data], int(seed)) for user, seed in dataset.get_cohort(10)])
    assert runs[0] == runs[1]


# Where the reference is wrong or incomplete, on purpose different.


def test_split_keeps_the_class_where_the_reference_loses_it() -> None:
    x = np.arange(5)
    assert type(pfl().TabularDataset(x, x).split()[0]) is pfl().Dataset
    assert type(federated.TabularDataset(x, x).split()[0]) is federated.TabularDataset


def test_val_indices_work_where_the_reference_ignores_them() -> None:
    parts = [m.Dataset((np.arange(5),), val_indices=[0]).split()[1].raw_data[0].tolist() for m in (federated, pfl())]
    assert parts == [[0], [4]]


def test_partition_keeps_the_description_where_the_reference_drops_it() -> None:
    parts = [m.Dataset((np.arange(5),), user_id="u").get_worker_partition() for m in (federated, pfl())]
    assert [part.user_id for part in parts] == ["u", None]


def test_dict_samples_nest_where_the_reference_fails() -> None:
    raw = (np.arange(3), {"a": np.arange(3)})
    with pytest.raises(AssertionError):
        list(pfl().Dataset(raw).iter(2))
    assert [len(batch[1]["a"]) for batch in federated.Dataset(raw).iter(2)] == [2, 1]


def test_all_labels_count_where_the_reference_loses_some() -> None:
    labels = np.array([3, 3, 9, 9])
    np.random.seed(0)
    users = federated.partition_by_dirichlet_class_distribution(labels, 100.0, lambda: 2)
    assert sorted(index for user in users for index in user) == [0, 1, 2, 3]


def test_workers_stay_in_step_where_the_references_do_not() -> None:
    """Cohorts of 5 for 3 workers: the users are those of one worker alone, each once."""
    np.random.seed(0)
    alone = pfl_cohorts(from_slices(pfl()))
    shares = []
    for rank in range(3):
        np.random.seed(0)
        with use_context(DistributedContext(rank, 3)):
            shares.append(pfl_cohorts(from_slices(federated)))
    for number, cohort in enumerate(alone):
        assert sorted(pair for share in shares for pair in share[number]) == sorted(cohort)


def pfl_cohorts(dataset: Any) -> list[list[tuple[str, int]]]:
    return [[(user.user_id, int(seed)) for user, seed in dataset.get_cohort(5)] for _ in range(6)]
