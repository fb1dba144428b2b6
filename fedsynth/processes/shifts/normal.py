"""The normal distribution's function, without SciPy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def normal_cdf(values: Floats) -> Floats:
    """Return the probability that a standard normal is below each value; any shape."""
    halves = [0.5 * math.erfc(-value / math.sqrt(2)) for value in values.ravel().tolist()]
    return np.array(halves).reshape(values.shape)
