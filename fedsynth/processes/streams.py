"""Where a process's draws come from: one sequence, as published programs have it, or a stream for each task.

A process is written once, as a law: what is drawn, and in which order. The streams say from which generator. Of
independent streams each is NumPy's PCG64 seeded by SeedSequence with the run's seed and a key, the task's number for
example, behind the legacy RandomState, whose draws, unlike the newer Generator's, NumPy promises never to change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.random import PCG64, RandomState, SeedSequence
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

from fedsynth.processes.tasks import Ints, Task

Shared = TypeVar("Shared")
Start = TypeVar("Start")

_SEED_WORDS = 4
"""Words of 64 bits that PCG64 is seeded with."""

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


class Law(Protocol[Shared, Start]):
    """What a process draws, each part from the generator that it is given.

    seed, num_tasks: of the run; seeds_twice: whether one sequence starts anew after the sizes.
    """

    seed: int
    num_tasks: int
    seeds_twice: bool

    def sizes(self, rng: RandomState, tasks: int) -> Ints:
        """Draw the numbers of samples of so many tasks."""

    def shared(self, rng: RandomState) -> Shared:
        """Draw what all tasks share."""

    def starts(self, rng: RandomState, tasks: int) -> Sequence[Start]:
        """Draw what so many tasks begin with, all before the first task's samples."""

    def task(self, rng: RandomState, size: int, shared: Shared, start: Start) -> Task:
        """Draw the rest of a task, with so many samples."""

    def shared_truth(self, shared: Shared) -> dict[str, Any]:
        """What the truth says of all users together."""


class SequentialStream:
    """One sequence for all draws, in the order of the published program. Holds every task's size and start."""

    def __init__(self, law: Law[Any, Any]) -> None:
        self._law = law
        self._rng = RandomState(law.seed)
        self._sizes = law.sizes(self._rng, law.num_tasks)
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
        return [self._begin(task)[1] for task in tasks]

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw these tasks one after another; holds one."""
        for task in tasks:
            rng, size = self._begin(task)
            start = self._law.starts(rng, 1)[0]
            yield self._law.task(rng, size, self._shared, start)

    def _begin(self, task: int) -> tuple[RandomState, int]:
        rng = own_stream(self._law.seed, _TASK, task)
        return rng, int(self._law.sizes(rng, 1)[0])


def own_stream(seed: int, *key: int) -> RandomState:
    """Return the independent stream of a key, from its start."""
    return RandomState(PCG64(SeedSequence(seed, spawn_key=key)))


class StreamSet:
    """Several independent streams of one key, told apart by a number below `streams`; each costs 1 us, not 10."""

    def __init__(self, streams: int, seed: int, *key: int) -> None:
        self._words = SeedSequence(seed, spawn_key=key).generate_state(_SEED_WORDS * streams, np.uint64)

    def open(self, number: int) -> RandomState:
        """Return a stream from its start."""
        words: Any = _Words(self._words[_SEED_WORDS * number : _SEED_WORDS * (number + 1)])
        return RandomState(PCG64(words))  # whose types don't know other seeds than its own


class _Words(ISeedSequence):
    """A seed that is drawn already."""

    def __init__(self, words: NDArray[Any]) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """Return the words; PCG64 asks for four of 64 bits."""
        return self._words
