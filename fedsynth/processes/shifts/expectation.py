"""The expectation of a rounded lognormal that is cut off."""

from __future__ import annotations

import math

import numpy as np

from fedsynth.processes.shifts.normal import normal_cdf

_SUMMED = 2_000
"""Values up to here are summed one by one; beyond, where a step of one is small, the sum is an integral."""


def expected_above(mu: float, sigma: float, room: int) -> float:
    """Return E[min(round(L), room)] of L = exp(mu + sigma z), sigma > 0.

    It is the sum of the probabilities to reach each value, P(round(L) >= j) = P(L >= j - 1/2).
    """
    steps = np.arange(1, min(room, _SUMMED) + 1) - 0.5
    with np.errstate(over="ignore"):  # of a sigma next to nothing: infinity is the right argument
        total = float(normal_cdf((mu - np.log(steps)) / sigma).sum())
    if room > _SUMMED:
        total += _mean_below(mu, sigma, room) - _mean_below(mu, sigma, _SUMMED)
    return total


def _mean_below(mu: float, sigma: float, most: float) -> float:
    """Return E[min(L, most)] of a lognormal L."""
    z = (math.log(most) - mu) / sigma
    inside, beyond = normal_cdf(np.array([z - sigma, -z])).tolist()
    return float(math.exp(mu + sigma**2 / 2) * inside + most * beyond)
