"""Where the draws of LEAF's process come from: `leaf`, the one sequence of LEAF's program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from numpy.random import RandomState

from fedsynth.processes.parameters import Parameters
from fedsynth.processes.tasks import Ints, Population, Task, draw_population, draw_sizes, draw_task


class LeafStream:
    """All draws of one run, in LEAF's order. sizes: [num_tasks]; population: what the tasks share.

    LEAF seeds twice, once before the sizes and once before everything else.
    """

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self.sizes: Ints = draw_sizes(RandomState(parameters.seed), parameters, parameters.num_tasks)
        self._rng = RandomState(parameters.seed)
        self.population: Population = draw_population(self._rng, parameters)

    @property
    def shared_truth(self) -> dict[str, Any]:
        """What the truth says of all users together."""
        return {"Q": self.population.basis, "centers": self.population.centers}

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""
        return list(self.sizes[tasks.start : tasks.stop].tolist())

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw the next tasks one after another; holds one."""
        for size in self.sizes_of(tasks):
            yield draw_task(self._rng, size, self.population, self._parameters)
