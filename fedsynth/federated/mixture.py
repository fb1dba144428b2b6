"""Users out of several federated datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import AssertedError, must_return
from fedsynth.federated.base import FederatedDatasetBase
from fedsynth.federated.beside_pfl import stands_for
from fedsynth.federated.dataset import AbstractDataset
from fedsynth.federated.distributed import DistributedContext, current_context, use_context
from fedsynth.federated.draws import Draw


@stands_for("federated_dataset")
class FederatedDatasetMixture(FederatedDatasetBase):
    """Users out of several federated datasets: draws a component by weight, then a user and seed from it.

    With `seed`, or several workers, the components are drawn from this dataset's own generator, so that workers stay in
    step whatever else draws; without, from NumPy's global state, each when its user is reached, as in pfl-research.

    Args:
        mixture_weights: [components] non-negative, scaled to add up to 1.
        mixture_component_datasets: The federated datasets.
        seed: See `FederatedDatasetBase`.

    Raises:
        UsageError: The weights are no distribution, or not one for each component.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import FederatedDataset, FederatedDatasetMixture, MinimizeReuseUserSampler
        >>> small, large = (
        ...     FederatedDataset.from_slices([(np.arange(size),)], MinimizeReuseUserSampler([0]), seed=1)
        ...     for size in (2, 50)
        ... )
        >>> mixture = FederatedDatasetMixture([0.5, 0.5], [small, large], seed=1)
        >>> sorted({len(user) for user, seed in mixture.get_cohort(20)})
        [2, 50]
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

    def _draws_from_numpy(self, context: DistributedContext) -> bool:
        return not self._seeded and context.world_size == 1

    def _makes_cohorts_by_next(self, context: DistributedContext) -> bool:
        return self._has_own_next() or self._draws_from_numpy(context)

    def _next(self) -> tuple[AbstractDataset, int]:
        if self._draws_from_numpy(current_context()):
            return next(self._choose(np.random.choice))
        return super()._next()

    def _draw(self) -> Draw:
        numpy = self._draws_from_numpy(current_context())
        return _draw_one(self._choose(np.random.choice if numpy else self._random_state.choice))

    def _choose(self, choice: Callable[..., Any]) -> FederatedDatasetBase:
        component: int = choice(len(self._mixture_weights), p=self._mixture_weights)
        return self._mixture_component_datasets[component]


def _draw_one(dataset: FederatedDatasetBase) -> Draw:
    """Draw the next pair, the same on every worker: by `__next__` where a subclass has its own."""
    if isinstance(dataset, FederatedDatasetBase) and not dataset._has_own_next():
        return dataset._draw()
    with use_context(DistributedContext()):
        user, seed = must_return("__next__", next, dataset)
    return Draw(seed, user, _itself)


def _itself(dataset: AbstractDataset) -> AbstractDataset:
    return dataset


def _distribution(weights: Sequence[float] | NDArray[np.floating], num_components: int) -> NDArray[np.float64]:
    array: NDArray[np.float64] = np.asarray(weights, np.float64)
    if array.shape != (num_components,) or num_components == 0:
        raise AssertedError(
            f"mixture_weights have shape {array.shape}, expected one number for each of {num_components} components"
        )
    if not (np.isfinite(array).all() and (array >= 0).all() and array.sum() > 0):
        raise UsageError(f"mixture_weights are {array.tolist()}, expected non-negative numbers, not all 0")
    return array / np.sum(array)
