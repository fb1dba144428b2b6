"""Where a process's draws come from: one sequence, as published programs have it, or a stream for each task.

A process is written once, as a `Law`: what is drawn, and in which order. A stream says from which generator.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.random import RandomState

from fedsynth.processes.blocks import Block, Floats, Ints, cut_blocks
from fedsynth.processes.seeding import own_stream, own_streams
from fedsynth.processes.tasks import Task

Shared = TypeVar("Shared")
Start = TypeVar("Start")

_POPULATION, _TASK = 0, 1
"""First numbers of the keys of independent streams; processes/shifts/ingredients.py has others."""


class Stream(Protocol):
    """The draws of one run. Of one sequence, tasks must be asked for in their order, each once."""

    @property
    def shared_truth(self) -> dict[str, Any]:
        """What the truth says of all users together: `TruthWriter.finish` takes it."""

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw these tasks one after another; holds one."""

    def blocks_of(self, tasks: range, sizes: Sequence[int]) -> Iterator[Block]:
        """Draw these tasks, which have these sizes, in blocks of the small ones; holds a block, or one large task."""


class Law(Protocol[Shared, Start]):
    """What a process draws, each part from the generator that it is given.

    seed, num_tasks: of the run; shape: its dimensions and classes; seeds_twice: whether one sequence starts anew after
    the sizes; log_size: mean and standard deviation of the logarithm of what sizes are made of, the first draws.
    """

    seed: int
    num_tasks: int
    shape: tuple[int, int]
    seeds_twice: bool
    log_size: tuple[float, float]

    def sizes(self, lognormals: Floats) -> Ints:
        """Return the numbers of samples that lognormal draws give."""

    def shared(self, rng: RandomState) -> Shared:
        """Draw what all tasks share."""

    def starts(self, rng: RandomState, tasks: int) -> Sequence[Start]:
        """Draw what each task begins with, all before the first task's samples. tasks: how many."""

    def task(self, rng: RandomState, size: int, shared: Shared, start: Start) -> Task:
        """Draw the rest of a task of `size` samples."""

    def block(
        self, rngs: Iterable[RandomState], sizes: Sequence[int], shared: Shared, starts: Iterable[Start]
    ) -> Block:
        """Draw the rest of several tasks, each from its own generator: the same as `task` by `task`."""

    def shared_truth(self, shared: Shared) -> dict[str, Any]:
        """What the truth says of all users together."""


class SequentialStream:
    """One sequence for all draws, in the order of the published program. Holds every task's size and start."""

    def __init__(self, law: Law[Any, Any]) -> None:
        self._law = law
        self._rng = RandomState(law.seed)
        self._sizes = law.sizes(self._rng.lognormal(*law.log_size, law.num_tasks))
        if law.seeds_twice:
            self._rng = RandomState(law.seed)
        self._shared = law.shared(self._rng)
        self._starts = law.starts(self._rng, law.num_tasks)

    @property
    def shared_truth(self) -> dict[str, Any]:
        """What the truth says of all users together."""
        return self._law.shared_truth(self._shared)

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""
        return list(self._sizes[tasks.start : tasks.stop].tolist())

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw the next tasks one after another; holds one."""
        for task, size in zip(tasks, self.sizes_of(tasks), strict=True):
            yield self._law.task(self._rng, size, self._shared, self._starts[task])

    def blocks_of(self, tasks: range, sizes: Sequence[int]) -> Iterator[Block]:
        """Draw the next tasks in blocks of the small ones; holds a block, or one large task."""
        for several, block_sizes in cut_blocks(tasks, sizes, *self._law.shape):
            starts = self._starts[several.start : several.stop]
            yield self._law.block(repeat(self._rng, len(several)), block_sizes, self._shared, starts)


class IndependentStream:
    """A stream for what tasks share, and one for each task: any can be drawn without the others."""

    def __init__(self, law: Law[Any, Any]) -> None:
        self._law = law
        self._shared = law.shared(own_stream(law.seed, _POPULATION))

    @property
    def shared_truth(self) -> dict[str, Any]:
        """What the truth says of all users together."""
        return self._law.shared_truth(self._shared)

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""
        mean, sigma = self._law.log_size
        drawn = [rng.lognormal(mean, sigma) for rng in own_streams(self._law.seed, _TASK, tasks)]
        return list(self._law.sizes(np.array(drawn)).tolist())

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw these tasks one after another; holds one."""
        for size, rng in zip(self.sizes_of(tasks), self._begun(tasks), strict=True):
            yield self._law.task(rng, size, self._shared, self._law.starts(rng, 1)[0])

    def blocks_of(self, tasks: range, sizes: Sequence[int]) -> Iterator[Block]:
        """Draw these tasks in blocks of the small ones; holds a block, or one large task."""
        begun = self._begun(tasks)
        for several, block_sizes in cut_blocks(tasks, sizes, *self._law.shape):
            rngs = list(islice(begun, len(several)))
            starts = [start for rng in rngs for start in self._law.starts(rng, 1)]
            yield self._law.block(rngs, block_sizes, self._shared, starts)

    def _begun(self, tasks: range) -> Iterator[RandomState]:
        """Yield the tasks' streams after the draw of the size, which `sizes_of` has made already."""
        mean, sigma = self._law.log_size
        for rng in own_streams(self._law.seed, _TASK, tasks):
            rng.lognormal(mean, sigma)
            yield rng
