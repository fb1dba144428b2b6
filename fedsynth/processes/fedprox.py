"""Synthetic(alpha, beta): the process that LEAF's is inspired by, with the draws of its published program.

Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith: "Federated Optimization in Heterogeneous Networks" (MLSys 2020), section
5.1. Each user has a model and a mean of its samples; u shifts the whole model, B the whole mean. As in the
program, though not in the paper, alpha and beta are standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.random import RandomState

from fedsynth.processes.blocks import Block, Floats, Ints, gather
from fedsynth.processes.parameters import FedproxParameters
from fedsynth.processes.tasks import Task

_LEAST = 50

Means = tuple[float, Floats]
"""The mean of a user's model, u, and the mean of its samples, [D]."""


class FedproxLaw:
    """Synthetic(alpha, beta) for the streams. What all users share: their one model [D+1, C], where they are alike.

    A user's start: the means of its model and of its samples, [D]; None where users are alike.
    """

    seeds_twice = False
    log_size = 4.0, 2.0

    def __init__(self, parameters: FedproxParameters) -> None:
        self.seed, self.num_tasks = parameters.seed, parameters.num_tasks
        self.shape = parameters.num_dim, parameters.num_classes
        self._parameters = parameters
        self._scales = feature_scales(parameters.num_dim)

    def sizes(self, lognormals: Floats) -> Ints:
        """Return the numbers of samples that lognormal draws give."""
        return lognormals.astype(np.int64) + _LEAST

    def shared(self, rng: RandomState) -> Floats | None:
        """Draw the one model of users who are alike; None, and no draw, for others."""
        return draw_fedprox_model(rng, 0.0, self._parameters) if self._parameters.iid else None

    def starts(self, rng: RandomState, tasks: int) -> Sequence[Means | None]:
        """Draw the means: of all models, of all users' samples, then of each user's samples by dimension."""
        if self._parameters.iid:
            return [None] * tasks
        model_means = rng.normal(0.0, self._parameters.alpha, tasks)
        feature_means = rng.normal(0.0, self._parameters.beta, tasks)
        means = [rng.normal(mean, 1.0, self._parameters.num_dim) for mean in feature_means]
        return list(zip(model_means.tolist(), means, strict=True))

    def task(self, rng: RandomState, size: int, shared: Floats | None, start: Means | None) -> Task:
        """Draw a user's model, if it has its own, and samples."""
        if start is None:
            assert shared is not None  # both follow from iid
            mean = np.zeros(self._parameters.num_dim)
            return draw_fedprox_task(rng, size, shared, mean, self._scales, {"model_info": np.ones(1)})
        model = draw_fedprox_model(rng, start[0], self._parameters)
        return draw_fedprox_task(rng, size, model, start[1], self._scales, {"models": model})

    def block(
        self,
        rngs: Iterable[RandomState],
        sizes: Sequence[int],
        shared: Floats | None,
        starts: Iterable[Means | None],
    ) -> Block:
        """Draw users one by one: they have at least 50 samples."""
        users = zip(rngs, sizes, starts, strict=True)
        return gather([self.task(rng, size, shared, start) for rng, size, start in users])

    def shared_truth(self, shared: Floats | None) -> dict[str, Any]:
        """Where all users have one model, it is the only one of its basis."""
        return {} if shared is None else {"Q": shared[:, :, np.newaxis]}


def draw_fedprox_model(rng: RandomState, mean: float, parameters: FedproxParameters) -> Floats:
    """Draw W, then b, around their mean; return [D+1, C], row 0 the bias."""
    weights = rng.normal(mean, 1.0, (parameters.num_dim, parameters.num_classes))
    bias = rng.normal(mean, 1.0, parameters.num_classes)
    return np.vstack([bias, weights])


def draw_fedprox_task(
    rng: RandomState, size: int, model: Floats, mean: Floats, scales: Floats, truth: dict[str, Any]
) -> Task:
    """Draw the samples of a user. model: [D+1, C]; mean, scales: [D], mean and standard deviations of x."""
    x = rng.standard_normal((size, len(scales)))
    x *= scales
    x += mean
    return Task(x, np.argmax(x @ model[1:] + model[0], axis=1), truth)


def feature_scales(num_dim: int) -> Floats:
    """Return the standard deviations of x, [D], by NumPy's power as in the program; Python's differs in a last bit."""
    variances = np.arange(1, num_dim + 1) ** -1.2
    scales: Floats = np.sqrt(variances).astype(np.float64)
    return scales
