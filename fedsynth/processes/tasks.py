"""LEAF's process: that of the LEAF paper (Caldas et al., 2018), section "Synthetic", one task at a time.

A population of models is spanned by Q; each cluster of tasks has a centre in the space of K numbers that Q maps to a
model. A task draws its cluster, the mean of its samples, and a model near its cluster's centre; its labels are what
the model says of its samples, through a little noise.

Every function draws from the generator that it is given, in exactly the order of LEAF's program, so that with NumPy's
legacy generator, whose stream never changes, the same seed gives the same data to the last bit.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.random import RandomState

from fedsynth.processes.blocks import Block, Floats, Ints, gather
from fedsynth.processes.parameters import Parameters


@dataclass(frozen=True)
class Population:
    """What all tasks share. basis: Q [D+1, C, K], row 0 the bias; centers: [K, K]; scales: [D], of x by dimension.

    A task's true model is `basis @ model_info`, [D+1, C].
    """

    basis: Floats
    centers: Floats
    scales: Floats


@dataclass(frozen=True)
class Task:
    """One task of any process. x: [n, D] float64; y: [n] int64 in [0, C).

    truth: what `TruthWriter.add` takes; LEAF's has cluster, its number, and model_info [K], see Population.
    """

    x: Floats
    y: Ints
    truth: Mapping[str, Any]


class LeafLaw:
    """LEAF's process for the streams. LEAF seeds twice: before the sizes, and before everything else."""

    seeds_twice = True

    def __init__(self, parameters: Parameters) -> None:
        self.seed, self.num_tasks = parameters.seed, parameters.num_tasks
        self.shape = parameters.num_dim, parameters.num_classes
        self.log_size = parameters.mean_samples, parameters.sigma_samples
        self._parameters = parameters

    def sizes(self, lognormals: Floats) -> Ints:
        """Return the numbers of samples that lognormal draws give."""
        return _bounded_sizes(lognormals, self._parameters)

    def shared(self, rng: RandomState) -> Population:
        """Draw what all tasks share."""
        return draw_population(rng, self._parameters)

    def starts(self, rng: RandomState, tasks: int) -> Sequence[None]:
        """Draw nothing ahead."""
        return [None] * tasks

    def task(self, rng: RandomState, size: int, shared: Population, start: None) -> Task:
        """Draw a task."""
        return draw_task(rng, size, shared, self._parameters)

    def block(
        self, rngs: Iterable[RandomState], sizes: Sequence[int], shared: Population, starts: Iterable[None]
    ) -> Block:
        """Draw several tasks: the same as one by one."""
        if len(sizes) == 1:
            return gather([self.task(rng, sizes[0], shared, None) for rng in rngs])
        return draw_block(rngs, sizes, shared, self._parameters)

    def shared_truth(self, shared: Population) -> dict[str, Any]:
        """What the truth says of all users together."""
        return {"Q": shared.basis, "centers": shared.centers}


def draw_sizes(rng: RandomState, parameters: Parameters, num_tasks: int) -> Ints:
    """Return the number of samples of each task: [num_tasks], a lognormal raised by the least and cut to the most."""
    return _bounded_sizes(rng.lognormal(parameters.mean_samples, parameters.sigma_samples, num_tasks), parameters)


def _bounded_sizes(lognormals: Floats, parameters: Parameters) -> Ints:
    whole = np.minimum(lognormals, parameters.max_samples).astype(np.int64)  # infinity is no integer
    return np.minimum(whole + parameters.min_samples, parameters.max_samples)


def draw_population(rng: RandomState, parameters: Parameters) -> Population:
    """Draw what all tasks share."""
    num_clusters = len(parameters.prob_clusters)
    shape = (parameters.num_dim + 1, parameters.num_classes, num_clusters)
    basis = rng.normal(0.0, 1.0, shape)
    spread = parameters.cluster_spread
    centers = np.stack([rng.normal(rng.normal(0.0, 1.0), spread, num_clusters) for _ in range(num_clusters)])
    return Population(basis, centers, _scales(parameters.num_dim))


def draw_task(rng: RandomState, size: int, population: Population, parameters: Parameters) -> Task:
    """Draw one task of `size` samples."""
    num_dim, num_classes = len(population.scales), population.basis.shape[1]
    cluster = int(rng.choice(len(parameters.prob_clusters), p=parameters.prob_clusters))
    mean = rng.normal(rng.normal(0.0, 1.0), 1.0, num_dim)
    x = rng.standard_normal((size, num_dim))
    x *= population.scales
    x += mean
    model_info = rng.normal(population.centers[cluster], parameters.model_spread)
    model = population.basis @ model_info
    logits = rng.standard_normal((size, num_classes))
    logits *= parameters.noise
    logits += x @ model[1:] + model[0]
    return Task(x, np.argmax(logits, axis=1), {"cluster": cluster, "model_info": model_info})


def draw_block(
    rngs: Iterable[RandomState], sizes: Sequence[int], population: Population, parameters: Parameters
) -> Block:
    """Draw several tasks, each from its own generator: to the last bit what `draw_task` draws, at a third of its cost.

    Only the draws are made user by user, and the product with the model, whose last digits depend on the shape of x.
    """
    num_dim, num_classes = len(population.scales), population.basis.shape[1]
    draws = _BlockDraws(population, parameters)
    for rng, size in zip(rngs, sizes, strict=True):
        draws.add(rng, size)
    offsets = np.concatenate(draws.offsets).reshape(-1, 1 + num_dim)
    x = np.concatenate(draws.x).reshape(-1, num_dim)
    x *= population.scales
    x += np.repeat(offsets[:, :1] + offsets[:, 1:], sizes, axis=0)
    model_info = np.array(draws.model_info).reshape(len(sizes), -1)
    models = np.matmul(population.basis, model_info[:, np.newaxis, :, np.newaxis])[..., 0]
    logits = np.empty((len(x), num_classes))
    for model, (start, end) in zip(models, pairwise(accumulate(sizes, initial=0)), strict=True):
        np.matmul(x[start:end], model[1:], out=logits[start:end])
    logits += np.repeat(models[:, 0], sizes, axis=0)
    logits += np.concatenate(draws.noise).reshape(-1, num_classes) * parameters.noise
    truth = {"cluster": np.array(draws.clusters, np.int64), "model_info": model_info}
    return Block(sizes, x, np.argmax(logits, axis=1), truth)


class _BlockDraws:
    """The draws of several tasks, in the order of `draw_task`, of each of whose calls it keeps what was drawn."""

    def __init__(self, population: Population, parameters: Parameters) -> None:
        shares = np.array(parameters.prob_clusters).cumsum()  # what `choice` makes of its p, and compares one draw with
        self._up_to = (shares / shares[-1]).tolist()
        centers = population.centers
        self._centers = centers[:, 0].tolist() if len(centers) == 1 else [*centers]  # drawn in half the time
        self._spread = parameters.model_spread
        self._num_classes, self._num_dim = population.basis.shape[1], len(population.scales)
        self.clusters: list[int] = []
        self.offsets: list[Floats] = []
        self.x: list[Floats] = []
        self.model_info: list[Any] = []
        self.noise: list[Floats] = []

    def add(self, rng: RandomState, size: int) -> None:
        """Draw the next task."""
        cluster = bisect_right(self._up_to, rng.random_sample())
        self.clusters.append(cluster)
        self.offsets.append(rng.standard_normal(1 + self._num_dim))
        self.x.append(rng.standard_normal(size * self._num_dim))
        self.model_info.append(rng.normal(self._centers[cluster], self._spread))
        self.noise.append(rng.standard_normal(size * self._num_classes))


def _scales(num_dim: int) -> Floats:
    """Return the standard deviations of x: Python's float power, NumPy's may differ in the last bit."""
    variances: Floats = np.array([(dimension + 1) ** -1.2 for dimension in range(num_dim)])
    return np.sqrt(variances)
