"""Many users: those who have ids, those made out of a pool of samples, and mixtures of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self

from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import must_return, whole_number
from fedsynth.federated.base import FederatedDatasetBase
from fedsynth.federated.beside_pfl import stands_for
from fedsynth.federated.dataset import AbstractDataset, Dataset
from fedsynth.federated.distributed import DistributedContext
from fedsynth.federated.draws import Draw, by_weight, noted_pins, numpy_seeded
from fedsynth.federated.mixture import FederatedDatasetMixture
from fedsynth.federated.partition import partition_by_dirichlet_class_distribution
from fedsynth.federated.sampling import get_user_sampler
from fedsynth.federated.slices import Arrays, count_samples, take_samples
from fedsynth.words import counted

__all__ = ["ArtificialFederatedDataset", "FederatedDataset", "FederatedDatasetBase", "FederatedDatasetMixture"]


@stands_for("federated_dataset")
class FederatedDataset(FederatedDatasetBase):
    """Users who have ids.

    With weights and several workers, `get_cohort` gives out the heaviest users first, each to the worker with the least
    to do so far, so that none straggles behind the others; users of a `CrossSiloUserSampler` stay on their silo's
    worker.

    Args:
        make_dataset_fn: Makes a user's dataset from the id.
        user_sampler: Draws an id.
        user_id_to_weight: How long each user takes, such as the number of samples.
        seed: See `FederatedDatasetBase`.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import Dataset, FederatedDataset, get_user_sampler
        >>> users = {"a": np.arange(2), "b": np.arange(5)}
        >>> federated = FederatedDataset(
        ...     lambda user_id: Dataset((users[user_id],), user_id=user_id),
        ...     get_user_sampler("minimize_reuse", list(users)),
        ...     seed=1,
        ... )
        >>> [(user.user_id, len(user)) for user, seed in federated.get_cohort(3)]
        [('a', 2), ('b', 5), ('a', 2)]
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
    ) -> Self:
        """Return users whose data is in memory.

        Args:
            data: A mapping of id to raw_data, or a sequence, whose positions are the ids.
            user_sampler: Draws an id.
            seed: See `FederatedDatasetBase`.

        Returns:
            The users, each a `Dataset`. A subclass is called with make_dataset_fn and user_sampler, and with the seed
            if one is given.

        Examples:
            >>> import numpy as np
            >>> from fedsynth import FederatedDataset, MinimizeReuseUserSampler
            >>> data = {"a": (np.arange(2),), "b": (np.arange(5),)}
            >>> federated = FederatedDataset.from_slices(data, MinimizeReuseUserSampler(data), seed=1)
            >>> [len(user) for user, seed in federated.get_cohort(2)]
            [2, 5]
        """
        return cls(partial(_user_of, data), user_sampler, **_given(seed))

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
        """Partition samples into users 0, 1, ... once, by `partition_by_dirichlet_class_distribution`; draw uniformly.

        Args:
            data: Arrays [n, ...].
            labels: [n]; not part of the users' data unless they are in `data` too.
            alpha: See `partition_by_dirichlet_class_distribution`, as for the next three.
            user_dataset_len_sampler: Draws a user's number of samples.
            spread_distribution_after_num_fails: When to spread a user's class proportions.
            spread_distribution_after_fails_percentage: How far.
            seed: See `FederatedDatasetBase`.

        Returns:
            The users; a user's samples are copied when the user is reached. A subclass too returns a plain
            FederatedDataset, as in pfl-research.

        Raises:
            UsageError: Not even one user can be made, or there are more labels than samples.

        Examples:
            >>> import numpy as np
            >>> from fedsynth import FederatedDataset
            >>> labels = np.arange(100) % 4
            >>> federated = FederatedDataset.from_slices_with_dirichlet_class_distribution(
            ...     (np.arange(100),), labels, alpha=0.5, user_dataset_len_sampler=lambda: 10, seed=1
            ... )
            >>> user, seed = next(federated)
            >>> len(user)
            10
        """
        if count_samples(data) < len(labels):
            found = f"{counted(len(labels), 'label')} for {counted(count_samples(data), 'sample')} in data"
            raise UsageError(f"{found}, expected one for each")
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

    def _makes_cohorts_by_next(self, context: DistributedContext) -> bool:
        return False  # as in pfl, where only `next` and mixtures ask a subclass's own `__next__`

    def _draw(self) -> Draw:
        seed = self._get_seed()
        with numpy_seeded(seed), noted_pins() as pins:
            user_id = must_return("user_sampler", self.user_sampler)
        return Draw(seed, user_id, self.make_dataset_fn, pins[-1] if pins else None)

    def _share(self, draws: Sequence[Draw], context: DistributedContext) -> Sequence[Draw]:
        if self._weights is None or context.world_size == 1:
            return super()._share(draws, context)
        return by_weight(draws, [_weight(self._weights, draw.user) for draw in draws], context)


@stands_for("federated_dataset")
class ArtificialFederatedDataset(FederatedDatasetBase):
    """Users made out of a pool of samples that knows no users.

    Args:
        make_dataset_fn: Makes a user's dataset from sample indices.
        data_sampler: Draws as many sample indices as it is called with.
        sample_dataset_len: Draws a user's number of samples.
        seed: See `FederatedDatasetBase`.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import ArtificialFederatedDataset, get_data_sampler
        >>> x, y = np.arange(10), np.arange(10) % 2
        >>> federated = ArtificialFederatedDataset.from_slices(
        ...     (x, y), get_data_sampler("minimize_reuse", max_bound=10), lambda: 4, seed=1
        ... )
        >>> [user.raw_data[0].tolist() for user, seed in federated.get_cohort(2)]
        [[0, 1, 2, 3], [4, 5, 6, 7]]
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
    ) -> Self:
        """Return users made of samples in memory.

        Args:
            data: Arrays [n, ...], one sample an entry.
            data_sampler: Draws as many sample indices as it is called with.
            sample_dataset_len: Draws a user's number of samples.
            create_dataset_fn: Makes a user's dataset from a tuple of copies out of `data`.
            seed: See `FederatedDatasetBase`.

        Returns:
            The users. A subclass is called with make_dataset_fn, data_sampler and sample_dataset_len, and with the
            seed if one is given.
        """
        make = partial(_made_of_samples, data, create_dataset_fn)
        return cls(make, data_sampler, sample_dataset_len, **_given(seed))

    def _draw(self) -> Draw:
        seed = self._get_seed()
        with numpy_seeded(seed):
            size = whole_number(
                "the length that sample_dataset_len returned",
                must_return("sample_dataset_len", self.sample_dataset_len),
            )
            indices = must_return("data_sampler", self.data_sampler, size)
        return Draw(seed, indices, self.make_dataset_fn)


def _given(seed: int | None) -> dict[str, Any]:
    return {} if seed is None else {"seed": seed}


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
