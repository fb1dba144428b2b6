"""Bins for the picture of samples per user: LEAF's where they show something, otherwise by the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedsynth.stats.summary import Summary

MOST_BINS = 14
_PADDING = 2


@dataclass(frozen=True)
class Bins:
    """Users by number of samples: from each edge up to the next. beyond: users with more than the last; None: none can.

    edges: one more than bins.
    """

    edges: Sequence[int]
    users: Sequence[int]
    beyond: int | None

    @property
    def most(self) -> int:
        """The largest number of users in one bar, at least 1."""
        return max(*self.users, self.beyond or 0, 1)


def choose_bins(summary: Summary) -> Bins:
    """Return LEAF's bins, or, where they put a third of the users beyond the last or all into two, others.

    Those are of a round width, at most 14, and go on to the largest user, or to nine tenths of the users where the
    largest is more than twice as large; with an empty one or two on both sides where all users are alike.
    """
    sizes = np.sort(np.asarray(summary.num_samples, np.int64))
    least, most = int(sizes[0]), int(sizes[-1])
    if 3 * summary.beyond <= len(sizes) and most - least >= 2 * summary.bin_width:
        return Bins(summary.edges, summary.bins, summary.beyond)
    usual = int(sizes[(len(sizes) - 1) * 9 // 10])
    return _even_bins(sizes, most if most <= 2 * usual else usual)


def _even_bins(sizes: NDArray[np.int64], highest: int) -> Bins:
    least = int(sizes[0])
    width = _round_width(highest - least + 1)
    first, last = least // width, highest // width + 1
    if last - first < 3:
        first, last = max(0, first - _PADDING), last + _PADDING
    edges = [width * number for number in range(first, last + 1)]
    below: list[int] = np.searchsorted(sizes, edges).tolist()
    users = [after - before for before, after in pairwise(below)]
    return Bins(edges, users, len(sizes) - below[-1] if sizes[-1] >= edges[-1] else None)


def _round_width(span: int) -> int:
    """Return 1, 2 or 5 times a power of ten, the least that takes at most 12 steps: 14 bins with those cut off."""
    width = 1
    while True:
        for factor in (1, 2, 5):
            if factor * width * (MOST_BINS - 2) >= span:
                return factor * width
        width *= 10
