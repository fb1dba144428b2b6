"""LEAF's statistics of a dataset: how many samples users have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

Counts = Sequence[int] | NDArray[np.int64]
"""Samples of each user: [users]."""

BIN_WIDTH = 20
BIN_EDGES = range(0, 201, BIN_WIDTH)
"""LEAF's bins: each from its edge up to the next, the last one with both its edges."""


@dataclass(frozen=True)
class Summary:
    """Samples per user. mean, std: population moments; skewness: Fisher's, 0.0 if all are equal.

    bins: users by number of samples, as BIN_EDGES; beyond: users with more than the last edge, whom LEAF drops.
    num_samples: [users].
    """

    users: int
    samples: int
    mean: float
    std: float
    skewness: float
    bins: Sequence[int]
    beyond: int
    num_samples: Counts = field(repr=False)

    bin_width: ClassVar[int] = BIN_WIDTH
    edges: ClassVar[Sequence[int]] = BIN_EDGES

    @property
    def std_over_mean(self) -> float:
        """The coefficient of variation; 0.0 where nobody has samples."""
        return self.std / self.mean if self.mean else 0.0

    def lines(self, name: str) -> list[str]:
        """Return the lines that LEAF prints, and one for the users beyond the last bin."""
        return [
            "####################################",
            f"DATASET: {name}",
            f"{self.users} users",
            f"{self.samples} samples (total)",
            f"{self.mean:.2f} samples per user (mean)",
            f"num_samples (std): {self.std:.2f}",
            f"num_samples (std/mean): {self.std_over_mean:.2f}",
            f"num_samples (skewness): {self.skewness:.2f}",
            "",
            "num_sam\tnum_users",
            *(f"{edge} \t {users}" for edge, users in zip(BIN_EDGES, self.bins, strict=False)),
            f">{BIN_EDGES[-1]} \t {self.beyond}",
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the same numbers, unrounded, as JSON values."""
        edges = [*BIN_EDGES]
        return {
            "users": self.users,
            "samples": self.samples,
            "mean": self.mean,
            "std": self.std,
            "std_over_mean": self.std_over_mean,
            "skewness": self.skewness,
            "histogram": {"edges": edges, "users": list(self.bins), "beyond": self.beyond},
        }


def size_counts(num_samples: Counts) -> list[tuple[int, int]]:
    """Return the sizes that occur, in order, each with how many users have it: few, however many users there are."""
    sizes, times = np.unique(np.asarray(num_samples, np.int64), return_counts=True)
    return [*zip(sizes.tolist(), times.tolist(), strict=True)]


def summarize(num_samples: Counts) -> Summary:
    """Return the statistics of samples per user. num_samples: [users], at least one."""
    sizes = size_counts(num_samples)
    users, samples = len(num_samples), sum(size * times for size, times in sizes)
    mean = samples / users
    second, third = (_sum_of_powers(sizes, mean, power) / users for power in (2, 3))
    return Summary(
        users=users,
        samples=samples,
        mean=mean,
        std=math.sqrt(second),
        skewness=third / second**1.5 if len(sizes) > 1 else 0.0,
        bins=_histogram(sizes),
        beyond=sum(times for size, times in sizes if size > BIN_EDGES[-1]),
        num_samples=num_samples,
    )


def _sum_of_powers(sizes: Sequence[tuple[int, int]], mean: float, power: int) -> float:
    """Return the sum over users of powers of their size less the mean, rounded once, whatever the users' order."""
    return math.fsum(chain.from_iterable(repeat((size - mean) ** power, times) for size, times in sizes))


def _histogram(sizes: Sequence[tuple[int, int]]) -> list[int]:
    bins = [0] * (len(BIN_EDGES) - 1)
    for size, times in sizes:
        if size <= BIN_EDGES[-1]:
            bins[min(size // BIN_WIDTH, len(bins) - 1)] += times
    return bins
