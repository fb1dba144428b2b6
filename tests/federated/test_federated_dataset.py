"""Many users: order, seeds, cohorts, mixtures."""

from __future__ import annotations

import gc
import itertools
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsynth.errors import UsageError
from fedsynth.federated import (
    ArtificialFederatedDataset,
    Dataset,
    DistributedContext,
    FederatedDataset,
    FederatedDatasetBase,
    FederatedDatasetMixture,
    get_data_sampler,
    get_user_sampler,
    use_context,
)
from fedsynth.federated.draws import longest_first

USERS = list(range(20))
SLICES = {user: (np.arange(user + 1),) for user in USERS}
Make = Callable[[], FederatedDatasetBase]


def make_plain() -> FederatedDataset:
    return FederatedDataset.from_slices(SLICES, get_user_sampler("random", USERS))


def make_weighted() -> FederatedDataset:
    weights = {user: user + 1 for user in USERS}
    return FederatedDataset(
        lambda user: Dataset(SLICES[user], user_id=user), get_user_sampler("random", USERS), weights
    )


def make_artificial() -> ArtificialFederatedDataset:
    return ArtificialFederatedDataset.from_slices([np.arange(30)], get_data_sampler("random", 30), lambda: 3)


def make_mixture(seed: int | None = 5) -> FederatedDatasetMixture:
    return FederatedDatasetMixture([1, 3], [make_plain(), make_artificial()], seed=seed)


def key(user: Any) -> tuple[Any, ...]:
    return (user.user_id, *user.raw_data[0].tolist())


def pairs(drawn: Any) -> list[tuple[Any, int]]:
    return [(key(user), seed) for user, seed in drawn]


ALL = [make_plain, make_weighted, make_artificial, make_mixture]


def run_workers(make: Make, world_size: int, sizes: list[int]) -> list[list[list[tuple[Any, int]]]]:
    """Each worker's cohorts, every worker seeded alike."""
    cohorts = []
    for rank in range(world_size):
        np.random.seed(7)
        with use_context(DistributedContext(rank, world_size)):
            dataset = make()
            cohorts.append([pairs(dataset.get_cohort(size)) for size in sizes])
    return cohorts


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_share_the_users_of_one_worker_out(make: Make, world_size: int) -> None:
    sizes = [1, 5, 7, 3, 0, 10]
    alone = run_workers(make, 1, sizes)[0]
    shared = run_workers(make, world_size, sizes)
    for number, cohort in enumerate(alone):
        assert Counter(pair for worker in shared for pair in worker[number]) == Counter(cohort)
    seeds = [seed for worker in shared for cohort in worker for _, seed in cohort]
    assert len(set(seeds)) == len(seeds) == sum(sizes)


def test_without_weights_worker_r_has_every_position_r() -> None:
    alone = run_workers(make_plain, 1, [7])[0][0]
    shared = run_workers(make_plain, 3, [7])
    assert [worker[0] for worker in shared] == [alone[rank::3] for rank in range(3)]


@pytest.mark.parametrize("make", ALL)
def test_next_returns_each_worker_another_user(make: Make) -> None:
    np.random.seed(7)
    alone = pairs(itertools.islice(make(), 9))
    for rank in range(3):
        np.random.seed(7)
        with use_context(DistributedContext(rank, 3)):
            assert pairs(itertools.islice(make(), 3)) == alone[rank::3]


@pytest.mark.parametrize("make", ALL)
def test_abandoned_cohorts_leave_workers_in_step(make: Make) -> None:
    np.random.seed(7)
    whole = make()
    list(whole.get_cohort(5))
    expected = pairs(whole.get_cohort(4))
    np.random.seed(7)
    abandoned = make()
    next(iter(abandoned.get_cohort(5)))
    assert pairs(abandoned.get_cohort(4)) == expected


def test_weights_are_shared_longest_first() -> None:
    alone = run_workers(make_weighted, 1, [6])[0][0]
    heaviest_first = sorted(alone, key=lambda pair: -pair[0][0])
    totals = [0, 0]
    expected: list[list[Any]] = [[], []]
    for pair in heaviest_first:
        worker = totals.index(min(totals))
        totals[worker] += pair[0][0] + 1
        expected[worker].append(pair)
    assert [worker[0] for worker in run_workers(make_weighted, 2, [6])] == expected


def test_ties_go_to_the_lowest_rank_in_order() -> None:
    assert longest_first([1, 1, 1, 1, 1], 3) == [[0, 3], [1, 4], [2]]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=7), st.integers(2, 3))
def test_makespan_is_at_most_4_thirds_of_the_best(weights: list[int], num_workers: int) -> None:
    def makespan(worker_of: Any) -> int:
        totals = Counter[int]()
        for job, worker in enumerate(worker_of):
            totals[worker] += weights[job]
        return max(totals.values())

    best = min(makespan(schedule) for schedule in itertools.product(range(num_workers), repeat=len(weights)))
    shares = longest_first(weights, num_workers)
    assert sorted(job for share in shares for job in share) == list(range(len(weights)))
    assert 3 * max(sum(weights[job] for job in share) for share in shares) <= 4 * best


def test_datasets_are_made_only_when_reached() -> None:
    made: list[Any] = []

    def make(user: Any) -> Dataset:
        made.append(user)
        return Dataset(SLICES[user])

    cohort = iter(FederatedDataset(make, get_user_sampler("minimize_reuse", USERS)).get_cohort(5))
    assert made == []
    next(cohort)
    next(cohort)
    assert made == [0, 1]


def test_seed_argument_decides_and_leaves_numpy_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].tolist()
    first, second = (FederatedDataset.from_slices(SLICES, get_user_sampler("random", USERS), seed=5) for _ in range(2))
    assert pairs(first.get_cohort(5)) == pairs(second.get_cohort(5))
    assert np.random.get_state()[1].tolist() == before


def test_drawing_restores_numpys_state_even_after_an_error() -> None:
    def fail() -> int:
        raise ZeroDivisionError

    dataset = FederatedDataset(lambda user: Dataset(SLICES[user]), fail, seed=1)
    np.random.seed(3)
    with pytest.raises(ZeroDivisionError):
        next(dataset)
    drawn = np.random.random()
    np.random.seed(3)
    assert drawn == np.random.random()


def test_seeds_are_whole_numbers_below_2_to_the_32() -> None:
    seeds = [seed for _, seed in make_plain().get_cohort(200)]
    assert all(type(seed) is int and 0 <= seed < 2**32 for seed in seeds)
    assert max(seeds) > 2**31


def test_from_slices_takes_sequences() -> None:
    dataset = FederatedDataset.from_slices(
        [(np.arange(2),), (np.arange(5),)], get_user_sampler("minimize_reuse", [0, 1])
    )
    assert [(user.user_id, len(user)) for user, _ in dataset.get_cohort(3)] == [(0, 2), (1, 5), (0, 2)]


def test_dirichlet_slices_are_a_partition() -> None:
    labels = np.repeat(["a", "b"], 50)
    np.random.seed(0)
    dataset = FederatedDataset.from_slices_with_dirichlet_class_distribution(
        (np.arange(100), labels), labels, 0.5, lambda: 10
    )
    users = {user.user_id: user for user, _ in dataset.get_cohort(300)}
    assert sorted(users) == list(range(10))
    samples = np.concatenate([user.raw_data[0] for user in users.values()])
    assert sorted(samples.tolist()) == list(range(100))
    assert all((labels[user.raw_data[0]] == user.raw_data[1]).all() for user in users.values())


def test_too_few_samples_for_one_dirichlet_user_is_an_error() -> None:
    with pytest.raises(UsageError, match="3 labels are fewer than the first user's length"):
        FederatedDataset.from_slices_with_dirichlet_class_distribution(
            (np.arange(3),), np.zeros(3, int), 1.0, lambda: 4
        )


def test_mixture_follows_its_weights() -> None:
    np.random.seed(0)
    mixture = make_mixture()
    from_first = sum(user.user_id is not None for user, _ in mixture.get_cohort(4000))
    assert abs(from_first / 4000 - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)


def test_a_mixtures_seed_decides_which_components_come() -> None:
    drawn = []
    for numpy_seed in (1, 2):
        components = [FederatedDataset.from_slices(SLICES, lambda user=user: user, seed=user) for user in range(2)]
        mixture = FederatedDatasetMixture([1, 1], components, seed=5)
        np.random.seed(numpy_seed)
        drawn.append(pairs(mixture.get_cohort(30)))
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize("seed", [None, 5])
def test_workers_of_a_mixture_stay_in_step_when_they_draw_unevenly(seed: int | None) -> None:
    drawn: list[tuple[Any, int]] = []
    for rank in range(3):
        np.random.seed(7)
        with use_context(DistributedContext(rank, 3)):
            mixture = make_mixture(seed)
            for size in [7] * 6:
                share = pairs(mixture.get_cohort(size))
                np.random.random(len(share))
                drawn += share
    assert len(set(drawn)) == len(drawn) == 42
    np.random.seed(7)
    if seed is not None:
        assert Counter(drawn) == Counter(pairs(make_mixture(seed).get_cohort(42)))


def stop() -> Any:
    raise StopIteration


@pytest.mark.parametrize(
    "make",
    [
        lambda: FederatedDataset(Dataset, stop),
        lambda: FederatedDataset(lambda user: stop(), lambda: 1),
        lambda: ArtificialFederatedDataset(Dataset, lambda n: [0] * n, stop),
        lambda: ArtificialFederatedDataset(Dataset, lambda n: stop(), lambda: 1),
    ],
)
def test_a_function_that_stops_iterating_does_not_end_the_callers_loop(make: Make) -> None:
    with pytest.raises(UsageError, match="raised StopIteration, expected a value each time"):
        for _ in make():
            pass


@pytest.mark.parametrize("seed", [-1, 2**32, "a", 1.0])
def test_seeds_that_are_none_are_an_error(seed: Any) -> None:
    with pytest.raises(UsageError, match="seed is"):
        FederatedDataset(Dataset, lambda: 1, seed=seed)


def test_lengths_and_cohorts_are_whole_numbers() -> None:
    with pytest.raises(UsageError, match=r"cohort_size is 2\.0, expected a whole number"):
        make_plain().get_cohort(2.0)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"sample_dataset_len returned is 1\.9"):
        next(ArtificialFederatedDataset(Dataset, lambda n: [0] * n, lambda: 1.9))  # type: ignore[arg-type,return-value]


def test_more_labels_than_samples_is_an_error_at_once() -> None:
    with pytest.raises(UsageError, match="20 labels for 5 samples"):
        FederatedDataset.from_slices_with_dirichlet_class_distribution(
            (np.arange(5),), np.arange(20) % 2, 1.0, lambda: 5
        )


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [np.nan, 1.0], [[1.0, 1.0]]])
def test_mixture_weights_that_are_no_distribution_are_an_error(weights: Any) -> None:
    with pytest.raises(UsageError, match="mixture_weights"):
        FederatedDatasetMixture(weights, [make_plain(), make_plain()])


def test_a_subclass_with_next_and_get_cohort_is_enough() -> None:
    class Own(FederatedDatasetBase):
        def __next__(self) -> tuple[Dataset, int]:
            return Dataset(SLICES[3]), 42

        def get_cohort(self, cohort_size: int) -> Any:
            return [next(self) for _ in range(cohort_size)]

    assert pairs(FederatedDatasetMixture([1.0], [Own()]).get_cohort(2)) == [((None, 0, 1, 2, 3), 42)] * 2
    assert Own().next()[1] == 42


def test_a_subclass_that_defines_nothing_says_so() -> None:
    with pytest.raises(NotImplementedError, match="must define _draw"):
        next(FederatedDatasetBase())


def test_a_user_without_weight_is_an_error() -> None:
    dataset = FederatedDataset(lambda user: Dataset(SLICES[user]), lambda: 3, {0: 1})
    with use_context(DistributedContext(0, 2)), pytest.raises(UsageError, match="no weight for user 3"):
        dataset.get_cohort(2)


def test_a_negative_cohort_is_an_error() -> None:
    with pytest.raises(UsageError, match="cohort_size is -1"):
        make_plain().get_cohort(-1)


@pytest.mark.parametrize("sampler", ["random", "minimize_reuse", "silos"])
def test_federated_datasets_pickle_in_the_middle(sampler: str) -> None:
    silos = {0: USERS[:5], 1: USERS[5:8], 2: USERS[8:]} if sampler == "silos" else None
    kind = "minimize_reuse" if sampler == "silos" else sampler
    dataset = FederatedDataset.from_slices(SLICES, get_user_sampler(kind, USERS, silos))
    list(dataset.get_cohort(3))
    copy = pickle.loads(pickle.dumps(dataset))
    assert pairs(copy.get_cohort(4)) == pairs(dataset.get_cohort(4))


def test_cohorts_hold_no_datasets() -> None:
    cohort = make_plain().get_cohort(100)
    gc.collect()
    before = sum(type(thing) is Dataset for thing in gc.get_objects())
    seen = [len(user) for user, _ in cohort]
    gc.collect()
    assert len(seen) == 100
    assert sum(type(thing) is Dataset for thing in gc.get_objects()) <= before + 1
