"""How many samples users have: a lognormal with LEAF's bounds whose expectation stays while its spread moves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fedsynth.processes.shifts.normal import normal_cdf
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.targets import find_knob

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_SUMMED = 2_000
"""Sizes up to here are summed one by one; beyond, where a step of one is small, the sum is an integral."""


class SizeLaw:
    """Sizes from standard normals: round(exp(mu + sigma z)) + min_samples, at most max_samples.

    mu is chosen such that the expectation is mean_size. With sigma 0 all sizes are mean_size, rounded.
    """

    def __init__(self, parameters: ShiftsParameters) -> None:
        self._least, self._most = parameters.min_samples, parameters.max_samples
        self._sigma = parameters.sigma_samples
        self._mu = _location(parameters.mean_size - self._least, self._sigma, self._most - self._least)

    def sizes(self, normals: Floats) -> Ints:
        """Return the sizes that standard normals give, of the same shape."""
        room = math.log(self._most - self._least + 1)
        above = np.exp(np.minimum(self._mu + self._sigma * normals, room))
        return np.minimum(np.rint(above).astype(np.int64) + self._least, self._most)


def _location(expected: float, sigma: float, room: int) -> float:
    """Return mu with E[min(round(exp(mu + sigma z)), room)] = expected; -inf where nothing is expected."""
    if expected <= 0:
        return -math.inf
    if sigma == 0:
        return math.log(expected)
    low, high = -10 - 10 * sigma, math.log(room) + 10 * sigma + 1
    found = find_knob(
        lambda mu: _expectation(mu, sigma, room), expected, low=low, high=high, close=1e-9 * expected, most=200
    )
    return found.knob


def _expectation(mu: float, sigma: float, room: int) -> float:
    """Sum the probabilities to reach each size, P(round(L) >= j) = P(L >= j - 1/2)."""
    steps = np.arange(1, min(room, _SUMMED) + 1) - 0.5
    total = float(normal_cdf((mu - np.log(steps)) / sigma).sum())
    if room > _SUMMED:
        total += _mean_below(mu, sigma, room) - _mean_below(mu, sigma, _SUMMED)
    return total


def _mean_below(mu: float, sigma: float, most: float) -> float:
    """Return E[min(L, most)] of a lognormal L."""
    place = (math.log(most) - mu) / sigma
    inside, beyond = normal_cdf(np.array([place - sigma, -place])).tolist()
    return float(math.exp(mu + sigma**2 / 2) * inside + most * beyond)
