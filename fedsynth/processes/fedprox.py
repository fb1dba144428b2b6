"""Synthetic(alpha, beta): the process that LEAF's is inspired by, with the draws of its published program.

Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: "Federated Optimization in Heterogeneous Networks" (MLSys 2020), section
5.1. Each user has a model and a place of his samples; u and B move all of a user's model and place together. As in the
program, though not in the paper, alpha and beta are standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import RandomState

from fedsynth.processes.parameters import FedproxParameters
from fedsynth.processes.tasks import Floats, Ints, Task

_LEAST = 50


class FedproxStream:
    """All draws of one run, from one legacy generator. sizes: [num_tasks]. Holds D + 1 numbers for each user."""

    def __init__(self, parameters: FedproxParameters) -> None:
        self._parameters = parameters
        self._rng = RandomState(parameters.seed)
        self.sizes: Ints = draw_fedprox_sizes(self._rng, parameters.num_tasks)
        self._scales = feature_scales(parameters.num_dim)
        self._common: Floats | None = None
        if parameters.iid:
            self._common = draw_fedprox_model(self._rng, 0.0, parameters)
        else:
            self._draw_places()

    @property
    def shared_truth(self) -> dict[str, Any]:
        """Where all users have one model, it is the only one of its basis."""
        return {} if self._common is None else {"Q": self._common[:, :, np.newaxis]}

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""
        return list(self.sizes[tasks.start : tasks.stop].tolist())

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw the next tasks one after another; holds one."""
        for task, size in zip(tasks, self.sizes_of(tasks), strict=True):
            yield self._own_task(task, size) if self._common is None else self._common_task(self._common, size)

    def _own_task(self, task: int, size: int) -> Task:
        model = draw_fedprox_model(self._rng, self._model_places[task], self._parameters)
        return draw_fedprox_task(self._rng, size, model, self._places[task], self._scales, {"models": model})

    def _common_task(self, model: Floats, size: int) -> Task:
        place = np.zeros(self._parameters.num_dim)
        return draw_fedprox_task(self._rng, size, model, place, self._scales, {"model_info": np.ones(1)})

    def _draw_places(self) -> None:
        users, rng = self._parameters.num_tasks, self._rng
        self._model_places = rng.normal(0.0, self._parameters.alpha, users)
        feature_places = rng.normal(0.0, self._parameters.beta, users)
        self._places = np.stack([rng.normal(place, 1.0, self._parameters.num_dim) for place in feature_places])


def draw_fedprox_sizes(rng: RandomState, num_tasks: int) -> Ints:
    """Return the number of samples of each task: [num_tasks]."""
    return rng.lognormal(4.0, 2.0, num_tasks).astype(np.int64) + _LEAST


def draw_fedprox_model(rng: RandomState, place: float, parameters: FedproxParameters) -> Floats:
    """Draw W, then b, around a place; return [D+1, C], row 0 the bias."""
    weights = rng.normal(place, 1.0, (parameters.num_dim, parameters.num_classes))
    bias = rng.normal(place, 1.0, parameters.num_classes)
    return np.vstack([bias, weights])


def draw_fedprox_task(
    rng: RandomState, size: int, model: Floats, place: Floats, scales: Floats, truth: dict[str, Any]
) -> Task:
    """Draw the samples of a user. model: [D+1, C]; place, scales: [D], mean and standard deviation of x."""
    x = rng.standard_normal((size, len(scales)))
    x *= scales
    x += place
    return Task(x, np.argmax(x @ model[1:] + model[0], axis=1), truth)


def feature_scales(num_dim: int) -> Floats:
    """Return the standard deviations of x, [D], by NumPy's power as in the program; Python's differs in a last bit."""
    variances = np.arange(1, num_dim + 1) ** -1.2
    scales: Floats = np.sqrt(variances).astype(np.float64)
    return scales
