"""The generative process of the LEAF paper (Caldas et al., 2018), section "Synthetic", one task at a time.

A population of models is spanned by Q; each cluster of tasks has a centre in the space of K numbers that Q maps to a
model. A task draws its cluster, the place of its samples, and a model near its cluster's centre; its labels are what
the model says of its samples, through a little noise.

Every function draws from the generator that it is given, in exactly the order of LEAF's program, so that with NumPy's
legacy generator, whose stream never changes, the same seed gives the same data to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fedsynth.generate.parameters import Parameters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SIZE_MEAN, SIZE_SIGMA, SIZE_MIN, SIZE_MAX = 3.0, 2.0, 5, 1000
MODEL_SCALE = 0.1
"""Standard deviation of the tasks' models around their cluster's centre."""
NOISE_SCALE = 0.1
"""Standard deviation of the noise on the logits."""


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
    """One task. x: [n, D] float64; y: [n] int64 in [0, C); cluster: its number; model_info: [K], see Population."""

    x: Floats
    y: Ints
    cluster: int
    model_info: Floats


def draw_sizes(rng: RandomState, num_tasks: int) -> Ints:
    """Return the number of samples of each task: [num_tasks], a lognormal cut to 5..1000."""
    sizes = rng.lognormal(SIZE_MEAN, SIZE_SIGMA, num_tasks).astype(np.int64) + SIZE_MIN
    return np.minimum(sizes, SIZE_MAX)


def draw_population(rng: RandomState, parameters: Parameters) -> Population:
    """Draw what all tasks share."""
    num_clusters = len(parameters.prob_clusters)
    shape = (parameters.num_dim + 1, parameters.num_classes, num_clusters)
    basis = rng.normal(0.0, 1.0, shape)
    centers = np.stack([rng.normal(rng.normal(0.0, 1.0), 1.0, num_clusters) for _ in range(num_clusters)])
    return Population(basis, centers, _scales(parameters.num_dim))


def draw_task(rng: RandomState, size: int, population: Population, prob_clusters: tuple[float, ...]) -> Task:
    """Draw one task of `size` samples."""
    num_dim, num_classes = len(population.scales), population.basis.shape[1]
    cluster = int(rng.choice(len(prob_clusters), p=prob_clusters))
    place = rng.normal(rng.normal(0.0, 1.0), 1.0, num_dim)
    x = rng.standard_normal((size, num_dim))
    x *= population.scales
    x += place
    model_info = rng.normal(population.centers[cluster], MODEL_SCALE)
    model = population.basis @ model_info
    logits = rng.standard_normal((size, num_classes))
    logits *= NOISE_SCALE
    logits += x @ model[1:] + model[0]
    return Task(x, np.argmax(logits, axis=1), cluster, model_info)


def _scales(num_dim: int) -> Floats:
    """Return the standard deviations of x: Python's float power, NumPy's may differ in the last bit."""
    variances: Floats = np.array([(dimension + 1) ** -1.2 for dimension in range(num_dim)])
    return np.sqrt(variances)
