"""Drawing users, and sharing a cohort's draws out among the workers."""

from __future__ import annotations

import contextlib
import heapq
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import must_return
from fedsynth.federated.dataset import AbstractDataset
from fedsynth.federated.distributed import DistributedContext
from fedsynth.words import counted


@dataclass(frozen=True)
class Pin:
    """The worker that a user's silo lives on, of those that there were when the silos were assigned."""

    rank: int
    world_size: int


@dataclass(frozen=True)
class Draw:
    """One user drawn. seed: in [0, 2**32); user: what `make` makes the dataset from, an id or sample indices.

    pin: the one worker that may handle the user, None if any may.
    """

    seed: int
    user: Any
    make: Callable[[Any], AbstractDataset]
    pin: Pin | None = None

    def load(self) -> tuple[AbstractDataset, int]:
        """Make the dataset; return it with the seed."""
        return must_return("make_dataset_fn", self.make, self.user), self.seed


_pins: ContextVar[list[Pin] | None] = ContextVar("fedsynth_pins", default=None)


@contextlib.contextmanager
def noted_pins() -> Iterator[list[Pin]]:
    """Collect what samplers pin in the block, however deep in a caller's own function they are called."""
    pins: list[Pin] = []
    token = _pins.set(pins)
    try:
        yield pins
    finally:
        _pins.reset(token)


def note_pin(pin: Pin) -> None:
    """Say which worker the user that a sampler is about to return lives on."""
    pins = _pins.get()
    if pins is not None:
        pins.append(pin)


@contextlib.contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """Seed NumPy's global state for the block, and restore it after."""
    state = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(state)


def in_turn(draws: Sequence[Draw], context: DistributedContext) -> list[Draw]:
    """Return this worker's of a cohort's draws: those pinned to it, and of the others every world_size-th."""
    return [
        draw
        for position, draw in enumerate(draws)
        if _pinned_rank(draw, context, position % context.world_size) == context.rank
    ]


def one_each(draws: Sequence[Draw], context: DistributedContext) -> Draw:
    """Return this worker's of world_size draws: the one pinned to it, where each worker has one, else by position."""
    ranks = [_pinned_rank(draw, context) for draw in draws]
    return draws[ranks.index(context.rank) if set(ranks) == set(range(context.world_size)) else context.rank]


def longest_first(weights: Sequence[float], num_workers: int, ranks: Sequence[int | None] = ()) -> list[list[int]]:
    """Return for each worker the positions of its jobs, heaviest first: longest-processing-time-first scheduling.

    The jobs, by weight, equal ones in their order, go one by one to the worker with the least total so far, the
    lowest number on ties. No worker then gets more than 4/3 of what the best of all schedules gives its busiest one
    (Graham, 1969). ranks: the jobs that only one worker may do, None for the others; they count from the start.
    """
    workers = list(ranks) or [None] * len(weights)
    totals = [0.0] * num_workers
    for weight, worker in zip(weights, workers, strict=True):
        if worker is not None:
            totals[worker] += weight
    heap = sorted((total, worker) for worker, total in enumerate(totals))
    shares: list[list[int]] = [[] for _ in totals]
    for job in sorted(range(len(weights)), key=lambda job: -weights[job]):
        worker = workers[job]
        if worker is None:
            total, worker = heap[0]
            heapq.heapreplace(heap, (total + weights[job], worker))
        shares[worker].append(job)
    return shares


def by_weight(draws: Sequence[Draw], weights: Sequence[float], context: DistributedContext) -> list[Draw]:
    """Return this worker's of a cohort's draws, heaviest first, see `longest_first`."""
    ranks = [_pinned_rank(draw, context) for draw in draws]
    return [draws[position] for position in longest_first(weights, context.world_size, ranks)[context.rank]]


def _pinned_rank(draw: Draw, context: DistributedContext, otherwise: int | None = None) -> int | None:
    if draw.pin is None:
        return otherwise
    if draw.pin.world_size != context.world_size:
        raise UsageError(
            f"the CrossSiloUserSampler assigned its silos to {counted(draw.pin.world_size, 'worker')}, expected "
            f"{context.world_size}, as there are now; make it once the workers have been started"
        )
    return draw.pin.rank
