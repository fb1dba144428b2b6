"""Many users: iterators of (user dataset, seed), and cohorts of them shared out among workers.

Every worker draws the same sequence of (seed, user) pairs, so that all stay in step without talking to each other and
the users don't depend on the number of workers: the seed from the dataset's own generator, then the user with NumPy's
global state seeded by it for just that draw. With one worker, users and seeds are those of pfl-research 0.6 under the
same `np.random.seed`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import ask, whole_number
from fedsynth.federated.dataset import AbstractDataset, Dataset
from fedsynth.federated.distributed import DistributedContext, current_context
from fedsynth.federated.draws import Draw, longest_first, numpy_seeded
from fedsynth.federated.partition import partition_by_dirichlet_class_distribution
from fedsynth.federated.sampling import get_user_sampler
from fedsynth.federated.slices import Arrays, count_samples, take_samples

_SEEDS = 2**32


class FederatedDatasetBase:
    """An endless iterator of (user dataset, seed).

    The seed, in [0, 2**32), is new at each call and different on each worker, so that noise drawn from it for local
    differential privacy never repeats. seed: where the seeds come from; None draws it from NumPy's global state, so
    that workers which seed that alike draw alike.

    A subclass says how a user is drawn in `_draw`; one that has `__next__` and `get_cohort` of its own needs none.
    """

    def __init__(self, *, seed: int | None = None) -> None:
        self._random_state = _random_state(seed)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[AbstractDataset, int]:
        """Draw a pair for each worker; return this worker's."""
        context = current_context()
        return [self._draw() for _ in range(context.world_size)][context.rank].load()

    def next(self) -> tuple[AbstractDataset, int]:
        """Return the next pair, as `next(dataset)` does."""
        return next(self)

    def get_cohort(self, cohort_size: int) -> Iterable[tuple[AbstractDataset, int]]:
        """Draw a cohort; return an iterator of (user dataset, seed) over those users that this worker is to handle.

        Over all workers that is each of the `cohort_size` users drawn, once. They are drawn at once, so that workers
        stay in step whether or not they iterate to the end; each dataset is made only when reached.
        Raises UsageError for a negative size.
        """
        cohort_size = whole_number("cohort_size", cohort_size)
        if cohort_size < 0:
            raise UsageError(f"cohort_size is {cohort_size}, expected 0 or more")
        draws = [self._draw() for _ in range(cohort_size)]
        return self._load_all(self._share(draws, current_context()))

    def _draw(self) -> Draw:
        """Draw the next pair, the same on every worker."""
        if type(self).__next__ is FederatedDatasetBase.__next__:
            raise NotImplementedError(f"{type(self).__name__} must define _draw, or __next__ and get_cohort")
        dataset, seed = next(self)
        return Draw(seed, dataset, _itself)

    def _draw_seed(self) -> int:
        return int(self._random_state.randint(0, _SEEDS, dtype=np.uint32))

    def _share(self, draws: Sequence[Draw], context: DistributedContext) -> Sequence[Draw]:
        return draws[context.rank :: context.world_size]

    def _load_all(self, draws: Sequence[Draw]) -> Iterator[tuple[AbstractDataset, int]]:
        return (draw.load() for draw in draws)


class FederatedDataset(FederatedDatasetBase):
    """Users who have ids.

    make_dataset_fn: makes a user's dataset from the id; user_sampler: draws an id; user_id_to_weight: how long each
    user takes, such as the number of samples. With weights and several workers, `get_cohort` gives out the heaviest
    users first, each to the worker with the least to do so far, so that none straggles behind the others.
    """

    def __init__(
        self,
        make_dataset_fn: Callable[[Any], AbstractDataset],
        user_sampler: Callable[[], Any],
        user_id_to_weight: Mapping[Any, float] | None = None,
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed=seed)
        self.make_dataset_fn = make_dataset_fn
        self.user_sampler = user_sampler
        self._weights = user_id_to_weight

    @classmethod
    def from_slices(
        cls, data: Mapping[Any, Arrays] | Sequence[Arrays], user_sampler: Callable[[], Any], *, seed: int | None = None
    ) -> FederatedDataset:
        """Return the users in `data`: a mapping of id to raw_data, or a sequence, whose positions are the ids."""
        return FederatedDataset(partial(_user_of, data), user_sampler, seed=seed)

    @classmethod
    def from_slices_with_dirichlet_class_distribution(
        cls,
        data: Arrays,
        labels: NDArray[Any],
        alpha: float,
        user_dataset_len_sampler: Callable[[], int],
        spread_distribution_after_num_fails: int = 20,
        spread_distribution_after_fails_percentage: float = 0.02,
        *,
        seed: int | None = None,
    ) -> FederatedDataset:
        """Partition `data` into users 0, 1, ... once, by `partition_by_dirichlet_class_distribution`; draw uniformly.

        data: arrays [n, ...]; labels: [n], not part of the users' data unless they are in `data` too. A user's
        samples are copied when the user is reached. Raises UsageError if not even one user can be made, and for more
        labels than samples.
        """
        if count_samples(data) < len(labels):
            raise UsageError(f"{len(labels)} labels for {count_samples(data)} samples in data, expected one for each")
        users = partition_by_dirichlet_class_distribution(
            labels,
            alpha,
            user_dataset_len_sampler,
            spread_distribution_after_num_fails,
            spread_distribution_after_fails_percentage,
        )
        if not users:
            raise UsageError(
                f"{len(labels)} labels are fewer than the first user's length, expected enough for one user; draw "
                "shorter lengths"
            )
        make = partial(_user_of_samples, data, users)
        return FederatedDataset(make, get_user_sampler("random", range(len(users))), seed=seed)

    def _draw(self) -> Draw:
        seed = self._draw_seed()
        with numpy_seeded(seed):
            user_id = ask("user_sampler", self.user_sampler)
        return Draw(seed, user_id, self.make_dataset_fn)

    def _share(self, draws: Sequence[Draw], context: DistributedContext) -> Sequence[Draw]:
        if self._weights is None or context.world_size == 1:
            return super()._share(draws, context)
        weights = [_weight(self._weights, draw.user) for draw in draws]
        return [draws[position] for position in longest_first(weights, context.world_size)[context.rank]]


class ArtificialFederatedDataset(FederatedDatasetBase):
    """Users made out of a pool of samples that knows no users.

    make_dataset_fn: makes a user's dataset from sample indices; data_sampler: draws that many sample indices;
    sample_dataset_len: draws a user's number of samples.
    """

    def __init__(
        self,
        make_dataset_fn: Callable[[Any], AbstractDataset],
        data_sampler: Callable[[int], Any],
        sample_dataset_len: Callable[[], int],
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed=seed)
        self.make_dataset_fn = make_dataset_fn
        self.data_sampler = data_sampler
        self.sample_dataset_len = sample_dataset_len

    @classmethod
    def from_slices(
        cls,
        data: Sequence[Arrays],
        data_sampler: Callable[[int], Any],
        sample_dataset_len: Callable[[], int],
        create_dataset_fn: Callable[[Any], AbstractDataset] = Dataset,
        *,
        seed: int | None = None,
    ) -> ArtificialFederatedDataset:
        """Return users whose raw_data is a tuple of copies out of `data`, a sequence of arrays [n, ...]."""
        make = partial(_made_of_samples, data, create_dataset_fn)
        return ArtificialFederatedDataset(make, data_sampler, sample_dataset_len, seed=seed)

    def _draw(self) -> Draw:
        seed = self._draw_seed()
        with numpy_seeded(seed):
            size = whole_number(
                "the length that sample_dataset_len returned", ask("sample_dataset_len", self.sample_dataset_len)
            )
            indices = ask("data_sampler", self.data_sampler, size)
        return Draw(seed, indices, self.make_dataset_fn)


class FederatedDatasetMixture(FederatedDatasetBase):
    """Users out of several federated datasets: draws a component by weight, then a user and seed from it.

    mixture_weights: [components] non-negative, scaled to add up to 1. With `seed`, or several workers, the components
    are drawn from this dataset's own generator, so that workers stay in step whatever else draws; without, from
    NumPy's global state, as in pfl-research.
    Raises UsageError for weights that are no distribution, or not one for each component.
    """

    def __init__(
        self,
        mixture_weights: Sequence[float] | NDArray[np.floating],
        mixture_component_datasets: Sequence[FederatedDatasetBase],
        *,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed=seed)
        self._seeded = seed is not None
        self._mixture_weights = _distribution(mixture_weights, len(mixture_component_datasets))
        self._mixture_component_datasets = list(mixture_component_datasets)

    def _draw(self) -> Draw:
        own = self._seeded or current_context().world_size > 1
        choose = self._random_state.choice if own else np.random.choice
        component = choose(len(self._mixture_weights), p=self._mixture_weights)
        return self._mixture_component_datasets[component]._draw()


def _random_state(seed: int | None) -> RandomState:
    if seed is None:
        return RandomState(np.random.randint(0, _SEEDS, dtype=np.uint32))
    if not 0 <= whole_number("seed", seed) < _SEEDS:
        raise UsageError(f"seed is {seed}, expected 0 to {_SEEDS - 1}")
    return RandomState(seed)


def _itself(dataset: AbstractDataset) -> AbstractDataset:
    return dataset


def _user_of(data: Mapping[Any, Arrays] | Sequence[Arrays], user_id: Any) -> Dataset:
    return Dataset(data[user_id], user_id=user_id)


def _user_of_samples(data: Arrays, users: Sequence[Sequence[int]], user_id: Any) -> Dataset:
    return Dataset(take_samples(data, users[user_id]), user_id=user_id)


def _made_of_samples(
    data: Sequence[Arrays], create_dataset_fn: Callable[[Any], AbstractDataset], indices: Any
) -> AbstractDataset:
    return create_dataset_fn(tuple(take_samples(arrays, indices) for arrays in data))


def _weight(weights: Mapping[Any, float], user_id: Any) -> float:
    try:
        return weights[user_id]
    except KeyError:
        raise UsageError(f"user_id_to_weight has no weight for user {user_id!r}, expected one for every user") from None


def _distribution(weights: Sequence[float] | NDArray[np.floating], num_components: int) -> NDArray[np.float64]:
    array: NDArray[np.float64] = np.asarray(weights, np.float64)
    if array.shape != (num_components,) or num_components == 0:
        raise UsageError(
            f"mixture_weights have shape {array.shape}, expected one number for each of {num_components} components"
        )
    if not (np.isfinite(array).all() and (array >= 0).all() and array.sum() > 0):
        raise UsageError(f"mixture_weights are {array.tolist()}, expected non-negative numbers, not all 0")
    return array / np.sum(array)
