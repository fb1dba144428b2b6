"""Means over a few seeds, with the 95 percent intervals of Student's t."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""The 97.5 percent point of Student's t with 1, 2, ... degrees of freedom; beyond 10, 1.96 + 2.5 / n."""


def mean_and_half(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean and half the width of its 95 percent interval, infinite for a single value."""
    if len(values) == 1:
        return values[0], math.inf
    freedom = len(values) - 1
    point = T_975[freedom - 1] if freedom <= len(T_975) else 1.96 + 2.5 / freedom
    return statistics.fmean(values), point * statistics.stdev(values) / math.sqrt(len(values))


def difference(results: Sequence[Mapping[str, float]], one: str, other: str) -> tuple[float, float]:
    """Return how much more one method reaches than another on the same data: paired, mean and half the interval."""
    return mean_and_half([result[one] - result[other] for result in results])
