"""`-stream independent`: a stream of draws for each task, so that any task can be drawn without the others.

Same law as the processes' own sequences, other data; and the same data whatever the number of files, processes and
machines. A stream is NumPy's PCG64 seeded by SeedSequence with the run's seed and the task's number, behind the legacy
RandomState, whose draws, unlike the newer Generator's, NumPy promises never to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import PCG64, RandomState, SeedSequence

from fedsynth.processes.fedprox import draw_fedprox_model, draw_fedprox_sizes, draw_fedprox_task, feature_scales
from fedsynth.processes.parameters import FedproxParameters, Parameters
from fedsynth.processes.tasks import Floats, Task, draw_population, draw_sizes, draw_task

_POPULATION, _TASK = 0, 1


class IndependentLeafStream:
    """LEAF's process: Q and the centres from one stream, each task from its own."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._population = draw_population(_stream(parameters.seed, _POPULATION), parameters)

    @property
    def shared_truth(self) -> dict[str, Any]:
        """What the truth says of all users together."""
        return {"Q": self._population.basis, "centers": self._population.centers}

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""
        return [self._start(task)[1] for task in tasks]

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw these tasks one after another; holds one."""
        for task in tasks:
            rng, size = self._start(task)
            yield draw_task(rng, size, self._population, self._parameters)

    def _start(self, task: int) -> tuple[RandomState, int]:
        rng = _stream(self._parameters.seed, _TASK, task)
        return rng, int(draw_sizes(rng, self._parameters, 1)[0])


class IndependentFedproxStream:
    """Synthetic(alpha, beta): each user from his own stream; where all share a model, that from one stream."""

    def __init__(self, parameters: FedproxParameters) -> None:
        self._parameters = parameters
        self._scales = feature_scales(parameters.num_dim)
        shared = _stream(parameters.seed, _POPULATION)
        self._common: Floats | None = draw_fedprox_model(shared, 0.0, parameters) if parameters.iid else None

    @property
    def shared_truth(self) -> dict[str, Any]:
        """Where all users have one model, it is the only one of its basis."""
        return {} if self._common is None else {"Q": self._common[:, :, np.newaxis]}

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""
        return [self._start(task)[1] for task in tasks]

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw these tasks one after another; holds one."""
        for task in tasks:
            rng, size = self._start(task)
            yield self._common_task(rng, size) if self._common is not None else self._own_task(rng, size)

    def _start(self, task: int) -> tuple[RandomState, int]:
        rng = _stream(self._parameters.seed, _TASK, task)
        return rng, int(draw_fedprox_sizes(rng, 1)[0])

    def _own_task(self, rng: RandomState, size: int) -> Task:
        model_place = rng.normal(0.0, self._parameters.alpha)
        feature_place = rng.normal(0.0, self._parameters.beta)
        place = rng.normal(feature_place, 1.0, self._parameters.num_dim)
        model = draw_fedprox_model(rng, model_place, self._parameters)
        return draw_fedprox_task(rng, size, model, place, self._scales, {"models": model})

    def _common_task(self, rng: RandomState, size: int) -> Task:
        assert self._common is not None  # the caller has looked
        place = np.zeros(self._parameters.num_dim)
        return draw_fedprox_task(rng, size, self._common, place, self._scales, {"model_info": np.ones(1)})


def _stream(seed: int, *key: int) -> RandomState:
    return RandomState(PCG64(SeedSequence(seed, spawn_key=key)))
