"""Drawing users, and sharing a cohort's draws out among the workers."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedsynth.federated.arguments import ask
from fedsynth.federated.dataset import AbstractDataset


@dataclass(frozen=True)
class Draw:
    """One user drawn. seed: in [0, 2**32); user: what `make` makes the dataset from, an id or sample indices."""

    seed: int
    user: Any
    make: Callable[[Any], AbstractDataset]

    def load(self) -> tuple[AbstractDataset, int]:
        """Make the dataset; return it with the seed."""
        return ask("make_dataset_fn", self.make, self.user), self.seed


@contextlib.contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global state for the block, and restore it after."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def longest_first(weights: Sequence[float], num_workers: int) -> list[list[int]]:
    """Return for each worker the positions of its jobs, heaviest first: longest-processing-time-first scheduling.

    The jobs, by weight, equal ones in their order, go one by one to the worker with the least total so far, the
    lowest number on ties. No worker then gets more than 4/3 of what the best of all schedules gives its busiest one
    (Graham, 1969).
    """
    totals = [(0.0, worker) for worker in range(num_workers)]
    shares: list[list[int]] = [[] for _ in range(num_workers)]
    for job in sorted(range(len(weights)), key=lambda job: -weights[job]):
        total, worker = totals[0]
        shares[worker].append(job)
        heapq.heapreplace(totals, (total + weights[job], worker))
    return shares
