"""How unequal users are in their number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from fedsynth.stats.summary import size_counts, summarize


def quantity_measures(num_samples: Sequence[int]) -> dict[str, float]:
    """Return the `quantity.` measures of samples per user. num_samples: [users], at least one user."""
    summary = summarize(num_samples)
    return {
        "quantity.mean": summary.mean,
        "quantity.std": summary.std,
        "quantity.cv": summary.std_over_mean,
        "quantity.skewness": summary.skewness,
        "quantity.min": min(num_samples),
        "quantity.median": float(median(num_samples)),
        "quantity.max": max(num_samples),
        "quantity.gini": gini(num_samples),
        "quantity.effective_users": effective_users(num_samples),
        "quantity.top10_share": top_share(num_samples),
    }


def gini(num_samples: Sequence[int]) -> float:
    """Return the Gini coefficient: 0.0 if all are equal, near 1 if one user has everything."""
    users, total = len(num_samples), sum(num_samples)
    weighted = before = 0
    for size, times in size_counts(num_samples):  # of equal ones the sum of 2 rank - users - 1, rank from 1
        weighted += size * times * (2 * before + times - users)
        before += times
    return weighted / (users * total) if total else 0.0


def effective_users(num_samples: Sequence[int]) -> float:
    """Return how many equally large users would be as concentrated: 1 / sum w^2, w the users' shares of all samples."""
    squares = sum(size**2 * times for size, times in size_counts(num_samples))
    return sum(num_samples) ** 2 / squares if squares else 0.0


def top_share(num_samples: Sequence[int]) -> float:
    """Return the share of all samples that the largest tenth of the users holds, rounded down but at least one user."""
    left, held = max(1, len(num_samples) // 10), 0
    for size, times in reversed(size_counts(num_samples)):
        held += size * min(times, left)
        left -= min(times, left)
    total = sum(num_samples)
    return held / total if total else 0.0
