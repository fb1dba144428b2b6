"""How many samples users have: a lognormal with LEAF's bounds whose expectation stays while its spread moves."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fedsynth.processes.shifts.expectation import expected_above
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.targets import find_knob

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class SizeLaw:
    """Sizes from standard normals: round(exp(mu + sigma z)) + min_samples, at most max_samples.

    mu is chosen such that the expectation is mean_size. With sigma 0 all sizes are mean_size, rounded.
    """

    def __init__(self, parameters: ShiftsParameters) -> None:
        self._least, self._most = parameters.min_samples, parameters.max_samples
        self._sigma = parameters.sigma_samples
        self._mu = _location(parameters.expected_size - self._least, self._sigma, self._most - self._least)

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
        lambda mu: expected_above(mu, sigma, room), expected, low=low, high=high, close=1e-9 * expected, most=200
    )
    return found.knob
