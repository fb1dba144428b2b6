"""Which labels users have: class shares from a Dirichlet distribution that moves smoothly with its concentration."""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_TRIES = 8
"""Candidates of each gamma number; all are refused once in 10**10 times, and then the last one is taken."""


def pooled_shares(num_classes: int, imbalance: float) -> Floats:
    """Return q [C], falling geometrically so that the first class is `imbalance` times as frequent as the last.

    Cui et al., "Class-Balanced Loss" (CVPR 2019), and Cao et al., "Learning Imbalanced Datasets" (NeurIPS 2019).
    """
    steps = np.arange(num_classes) / max(1, num_classes - 1)
    falling: Floats = np.exp(-math.log(imbalance) * steps)
    falling /= falling.sum()
    return falling


def draw_shares(rng: RandomState, pooled: Floats, alpha: float) -> Floats:
    """Draw the class shares of a user, [C]: Dirichlet(alpha * pooled), pooled itself where alpha is infinite.

    The same draws are made whatever alpha is, so that the shares move smoothly with it. A gamma number of shape a is
    one of shape a + 1 times U**(1/a), in logarithms, as tiny shapes give numbers below all floats.
    """
    if alpha == math.inf:
        return pooled
    normals = rng.standard_normal((_TRIES, len(pooled)))
    uniforms, powers = rng.random_sample((_TRIES, len(pooled))), rng.random_sample(len(pooled))
    shapes = alpha * pooled
    logs = _log_gammas(shapes + 1, normals, 1 - uniforms) + np.log(1 - powers) / shapes
    shares: Floats = np.exp(logs - logs.max())
    shares /= shares.sum()
    return shares


def draw_labels(rng: RandomState, size: int, shares: Floats) -> Ints:
    """Draw labels [size] by inverse transform: those of more samples begin with those of fewer."""
    labels: Ints = np.searchsorted(np.cumsum(shares)[:-1], rng.random_sample(size), side="right")
    return labels


def change_labels(rng: RandomState, labels: Ints, num_classes: int, noise: float) -> Ints:
    """Return labels of which each is another one, uniformly, with probability `noise`. Draws two numbers each."""
    draws = rng.random_sample((len(labels), 2))
    others = (labels + 1 + (draws[:, 1] * (num_classes - 1)).astype(np.int64)) % num_classes
    return np.where(draws[:, 0] < noise, others, labels)


def _log_gammas(shapes: Floats, normals: Floats, uniforms: Floats) -> Floats:
    """Return logarithms of gamma numbers, [C], shapes at least 1, from candidates [tries, C], uniforms in (0, 1].

    Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).
    """
    scale = shapes - 1 / 3
    roots = 1 + normals / np.sqrt(9 * scale)
    logs = 3 * np.log(np.maximum(roots, 1e-300))
    taken = (roots > 0) & (np.log(uniforms) < normals**2 / 2 + scale * (1 - np.maximum(roots, 0) ** 3 + logs))
    taken[-1] = True
    first = np.argmax(taken, axis=0)
    chosen: Floats = logs[first, np.arange(len(shapes))]
    return np.log(scale) + chosen
