"""How often two users disagree whose logits are correlated: between the knobs of the concepts and a correlation."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fedsynth.processes.shifts.normal import normal_cdf
from fedsynth.targets import find_knob

Floats = NDArray[np.float64]

_NODES, _SUMS = 32, 96
"""Points of the integrals, and of the one whose integrand is narrow where there are many classes."""
_KNOTS = 33


def correlation(num_classes: int, level: float) -> float:
    """Return r in [0, 1] with `disagreement(num_classes, arccos r)` = level. level: 0 to 1 - 1/C."""
    if level <= 0:
        return 1.0
    if level >= 1 - 1 / num_classes:
        return 0.0
    angles, ratios = _knots(num_classes)
    found = find_knob(
        lambda angle: angle * float(np.interp(angle, angles, ratios)),
        level,
        low=0.0,
        high=math.pi / 2,
        close=1e-12,
        most=200,
    )
    return math.cos(found.knob)


def disagreement(num_classes: int, angle: float) -> float:
    """Return how often two rows of C standard normals with correlation cos(angle) have different columns largest.

    angle: in (0, pi/2]. For C = 2 it is angle / pi. The first column is the largest of both with probability
    E[F(a, b)**(C-1)], F the bivariate normal distribution, a and b normals with that correlation; their half sum and
    half difference are independent. F comes from its derivative by the correlation (Plackett 1954), integrated from 1.
    """
    (nodes, weights), (sums, sum_weights) = _gauss(_NODES), _gauss(_SUMS)
    sums, differences = 8 * sums, 4 * (nodes + 1)  # in standard deviations
    spread_sum, spread_difference = math.cos(angle / 2), math.sin(angle / 2)
    density = np.outer(sum_weights * np.exp(-(sums**2) / 2), weights * np.exp(-(differences**2) / 2))
    density /= density.sum()
    m, d = sums[:, None] * spread_sum, differences[None, :] * spread_difference
    angles, steps = angle / 2 * (nodes + 1), angle / 2 * weights
    cosines = np.cos(angles)
    lost = (steps * np.exp(-(m**2) / (1 + cosines))) @ np.exp(-(d**2) / (2 * np.sin(angles[:, None] / 2) ** 2))
    below = np.clip(normal_cdf(m - d) - lost / (2 * math.pi), 0, 1)
    return float(1 - num_classes * np.sum(density * below ** (num_classes - 1)))


@cache
def _gauss(nodes: int) -> tuple[Floats, Floats]:
    """Return points in [-1, 1] and weights of Gauss and Legendre's integration."""
    points, weights = np.polynomial.legendre.leggauss(nodes)
    return points, weights


@cache
def _knots(num_classes: int) -> tuple[Floats, Floats]:
    """Return angles from 0 to pi/2, and disagreement / angle there, which is nearly straight between them."""
    angles = np.linspace(0, math.pi / 2, _KNOTS)
    ratios = np.array([disagreement(num_classes, max(angle, 1e-3)) / max(angle, 1e-3) for angle in angles.tolist()])
    return angles, ratios
