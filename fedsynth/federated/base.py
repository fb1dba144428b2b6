"""Many users: iterators of (user dataset, seed), and cohorts of them shared out among workers.

Every worker draws the same sequence of (seed, user) pairs, so that all stay in step without talking to each other and
the users don't depend on the number of workers: the seed from the dataset's own generator, then the user with NumPy's
global state seeded by it for just that draw. With one worker, users and seeds are those of pfl-research 0.6 under the
same `np.random.seed`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.random import RandomState

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import must_return, whole_number
from fedsynth.federated.beside_pfl import introduce, stands_for
from fedsynth.federated.dataset import AbstractDataset
from fedsynth.federated.distributed import DistributedContext, current_context
from fedsynth.federated.draws import Draw, in_turn, one_each

_SEEDS = 2**32


@stands_for("federated_dataset")
class FederatedDatasetBase:
    """An endless iterator of (user dataset, seed).

    The seed, in [0, 2**32), is new at each call and different on each worker, so that noise drawn from it for local
    differential privacy never repeats. A subclass says how a user is drawn in `_draw`, or has a `__next__` of its own,
    which then makes the cohorts too.

    Args:
        seed: Where the seeds come from; None draws it from NumPy's global state, so that workers which seed that alike
            draw alike.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import Dataset, FederatedDatasetBase
        >>> class OneUser(FederatedDatasetBase):
        ...     def __next__(self):
        ...         return Dataset((np.arange(3),), user_id="only"), self._get_seed()
        >>> [user.user_id for user, seed in OneUser(seed=1).get_cohort(2)]
        ['only', 'only']
    """

    def __init__(self, *, seed: int | None = None) -> None:
        introduce()
        self._random_state = _random_state(seed)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[AbstractDataset, int]:
        """Draw a pair for each worker; return this worker's."""
        return self._next()

    def next(self) -> tuple[AbstractDataset, int]:
        """Return the next pair, as `next(dataset)` does."""
        return next(self)

    @property
    def sampler(self) -> Iterator[tuple[Any, int]]:
        """An endless iterator of (user id or sample indices, seed), out of the same sequence as the datasets."""
        while True:
            draw = self._draw_own()
            yield draw.user, draw.seed

    def get_cohort(self, cohort_size: int) -> Iterable[tuple[AbstractDataset, int]]:
        """Draw a cohort.

        Users are drawn at once, so that workers stay in step whether or not they iterate to the end; each dataset is
        made only when reached. Where a subclass's own `__next__` draws them, it is called when they are reached, as in
        pfl-research; several workers stay in step then if each begins to iterate.

        Args:
            cohort_size: The number of users to draw, over all workers.

        Returns:
            An iterator of (user dataset, seed) over the users that this worker is to handle: over all workers, each
            user drawn, once.

        Raises:
            UsageError: The size is negative.
        """
        cohort_size = whole_number("cohort_size", cohort_size)
        if cohort_size < 0:
            raise UsageError(f"cohort_size is {cohort_size}, expected 0 or more")
        context = current_context()
        if self._makes_cohorts_by_next(context):
            return self._cohort_by_next(cohort_size, context)
        draws = [self._draw() for _ in range(cohort_size)]
        return self._load_all(self._share(draws, context))

    def _next(self) -> tuple[AbstractDataset, int]:
        return self._draw_own().load()

    def _draw(self) -> Draw:
        """Draw the next pair, the same on every worker."""
        raise NotImplementedError(f"{type(self).__name__} must define _draw, or __next__ and get_cohort")

    def _draw_own(self) -> Draw:
        """Draw a pair for each worker; return this worker's."""
        context = current_context()
        return one_each([self._draw() for _ in range(context.world_size)], context)

    def _has_own_next(self) -> bool:
        return type(self).__next__ is not FederatedDatasetBase.__next__

    def _makes_cohorts_by_next(self, context: DistributedContext) -> bool:
        return self._has_own_next()

    def _cohort_by_next(self, size: int, context: DistributedContext) -> Iterator[tuple[AbstractDataset, int]]:
        """Yield what `__next__` gives. Where that is a pair on each worker, all call it as often, to stay in step."""
        left = len(range(0, size, context.world_size))
        try:
            for _ in range(context.rank, size, context.world_size):
                left -= 1
                yield must_return("__next__", next, self)
        finally:
            for _ in range(left if context.world_size > 1 else 0):
                must_return("__next__", next, self)

    def _get_seed(self) -> int:
        return int(self._random_state.randint(0, _SEEDS, dtype=np.uint32))

    def _share(self, draws: Sequence[Draw], context: DistributedContext) -> Sequence[Draw]:
        return in_turn(draws, context)

    def _load_all(self, draws: Sequence[Draw]) -> Iterator[tuple[AbstractDataset, int]]:
        return (draw.load() for draw in draws)


def _random_state(seed: int | None) -> RandomState:
    if seed is None:
        return RandomState(np.random.randint(0, _SEEDS, dtype=np.uint32))
    if not 0 <= whole_number("seed", seed) < _SEEDS:
        raise UsageError(f"seed is {seed}, expected 0 to {_SEEDS - 1}")
    return RandomState(seed)
