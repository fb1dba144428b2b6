"""How unequal users are in their number of samples."""

from __future__ import annotations

import numpy as np

from fedsynth.stats.summary import Counts, size_counts, summarize


def quantity_measures(num_samples: Counts) -> dict[str, float]:
    """Return the `quantity.` measures of samples per user. num_samples: [users], at least one user."""
    summary = summarize(num_samples)
    in_order, users = np.sort(np.asarray(num_samples, np.int64)), len(num_samples)
    middle = int(in_order[(users - 1) // 2]) + int(in_order[users // 2])
    return {
        "quantity.mean": summary.mean,
        "quantity.std": summary.std,
        "quantity.cv": summary.std_over_mean,
        "quantity.skewness": summary.skewness,
        "quantity.min": int(in_order[0]),
        "quantity.median": middle / 2,
        "quantity.max": int(in_order[-1]),
        "quantity.gini": gini(num_samples),
        "quantity.effective_users": effective_users(num_samples),
        "quantity.top10_share": top_share(num_samples),
    }


def gini(num_samples: Counts) -> float:
    """Return the Gini coefficient: 0.0 if all are equal, near 1 if one user has everything."""
    users = len(num_samples)
    weighted = before = total = 0
    for size, times in size_counts(num_samples):  # of equal ones the sum of 2 rank - users - 1, rank from 1
        total += size * times
        weighted += size * times * (2 * before + times - users)
        before += times
    return weighted / (users * total) if total else 0.0


def effective_users(num_samples: Counts) -> float:
    """Return how many equally large users would be as concentrated: 1 / sum w^2, w the users' shares of all samples."""
    sizes = size_counts(num_samples)
    squares = sum(size**2 * times for size, times in sizes)
    return sum(size * times for size, times in sizes) ** 2 / squares if squares else 0.0


def top_share(num_samples: Counts) -> float:
    """Return the share of all samples that the largest tenth of the users holds, rounded down but at least one user."""
    left, held, total = max(1, len(num_samples) // 10), 0, 0
    for size, times in reversed(size_counts(num_samples)):
        held += size * min(times, left)
        left -= min(times, left)
        total += size * times
    return held / total if total else 0.0
