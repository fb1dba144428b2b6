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

from fedsynth.generate.parameters import FedproxParameters
from fedsynth.generate.tasks import Floats, Ints, Task

_LEAST = 50


class FedproxStream:
    """All draws of one run, from one legacy generator. sizes: [num_tasks]. Holds D + 1 numbers for each user."""

    def __init__(self, parameters: FedproxParameters) -> None:
        self._parameters = parameters
        self._rng = RandomState(parameters.seed)
        self.sizes: Ints = self._rng.lognormal(4.0, 2.0, parameters.num_tasks).astype(np.int64) + _LEAST
        self._scales = _feature_scales(parameters.num_dim)
        self._common: Floats | None = self._model(0.0) if parameters.iid else None

    @property
    def shared_truth(self) -> dict[str, Any]:
        """Where all users have one model, it is the only one of its basis."""
        return {} if self._common is None else {"Q": self._common[:, :, np.newaxis]}

    def tasks(self) -> Iterator[Task]:
        """Draw the tasks one after another, once; holds one."""
        if self._common is None:
            yield from self._own_tasks()
            return
        place = np.zeros(self._parameters.num_dim)
        for size in self.sizes.tolist():
            yield self._task(size, self._common, place, {"model_info": np.ones(1)})

    def _own_tasks(self) -> Iterator[Task]:
        users, rng = self._parameters.num_tasks, self._rng
        model_places = rng.normal(0.0, self._parameters.alpha, users)
        feature_places = rng.normal(0.0, self._parameters.beta, users)
        places = np.stack([rng.normal(place, 1.0, self._parameters.num_dim) for place in feature_places])
        for size, model_place, place in zip(self.sizes.tolist(), model_places, places, strict=True):
            model = self._model(model_place)
            yield self._task(size, model, place, {"models": model})

    def _model(self, place: float) -> Floats:
        """Draw W, then b; return [D+1, C], row 0 the bias."""
        weights = self._rng.normal(place, 1.0, (self._parameters.num_dim, self._parameters.num_classes))
        bias = self._rng.normal(place, 1.0, self._parameters.num_classes)
        return np.vstack([bias, weights])

    def _task(self, size: int, model: Floats, place: Floats, truth: dict[str, Any]) -> Task:
        x = self._rng.standard_normal((size, self._parameters.num_dim))
        x *= self._scales
        x += place
        return Task(x, np.argmax(x @ model[1:] + model[0], axis=1), truth)


def _feature_scales(num_dim: int) -> Floats:
    """Return the standard deviations of x, [D], by NumPy's power as in the program; Python's differs in a last bit."""
    variances: Floats = np.power(np.arange(1, num_dim + 1, dtype=np.float64), -1.2)
    return np.sqrt(variances)
