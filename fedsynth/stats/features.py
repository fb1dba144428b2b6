"""How far apart users are in their features."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.stats.blocks import UserBlock

Floats = NDArray[np.float64]

_ROWS = 2_048


def to_matrix(x: Sequence[Any]) -> Floats | None:
    """Return samples as JSON has them as [n, features] float64, None unless all are numbers of one shape.

    Works on slices of 2,048 samples, so that of an x that is parsed by slices no more than one is held.
    """
    slices = (_to_matrix(x[start : start + _ROWS]) for start in range(0, len(x), _ROWS))
    found = list(takewhile(lambda matrix: matrix is not None, slices))
    matrices = [matrix for matrix in found if matrix is not None]
    if len(matrices) * _ROWS < len(x) or len({matrix.shape[1] for matrix in matrices}) != 1:
        return None
    return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)


def _to_matrix(x: Sequence[Any]) -> Floats | None:
    if x and type(x[0]) is list and x[0] and type(x[0][0]) is float:
        matrix = _flat_matrix(x, len(x[0]))
        if matrix is None or np.isfinite(matrix).all():  # null would be NaN
            return matrix
    try:
        values = np.array(x)
    except (ValueError, OverflowError):  # of different shapes; integers of any size
        return None
    if values.dtype.kind not in "biuf":
        return None
    return values.reshape(len(x), -1).astype(np.float64) if values.size else None


def _flat_matrix(x: Sequence[list[Any]], width: int) -> Floats | None:
    """Return rows of `width` numbers as a matrix, in half of NumPy's time; None if they are not that."""
    try:
        if any(len(row) != width for row in x):
            return None
        return np.fromiter(chain.from_iterable(x), np.float64, len(x) * width).reshape(len(x), width)
    except (TypeError, ValueError, OverflowError):
        return None


class FeatureMoments:
    """Variances within and between users, in one pass. reason: why features can't be compared, "" while they can.

    Holds five numbers for each feature. Means are merged as in Chan, Golub and LeVeque, "Updating formulae and a
    pairwise algorithm for computing sample variances" (1979): nothing large is ever subtracted from something large.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._samples = 0
        self._mean: Floats | None = None
        self._within: Floats = np.zeros(0)
        self._between: Floats = np.zeros(0)

    @property
    def num_features(self) -> int | None:
        """The number of features, None where users have not the same, or nobody has samples."""
        return None if self.reason or self._mean is None else len(self._mean)

    def add(self, x: Floats | None) -> None:
        """Take the next user's samples, [n, features], at least one; None: they are not numbers of one shape."""
        if self.reason:
            return
        if x is None:
            self.reason = "features are not numbers of one shape"
        elif self._mean is not None and len(self._mean) != x.shape[1]:
            self.reason = f"samples have different numbers of features, {len(self._mean)} and {x.shape[1]}"
        else:
            self._take(x)

    @np.errstate(over="ignore", invalid="ignore")
    def add_block(self, block: UserBlock) -> None:
        """Take the next users, all at once: what differs from `add` are the last digits."""
        if self.reason:
            return
        if self._mean is not None and len(self._mean) != block.x.shape[1]:
            self.reason = f"samples have different numbers of features, {len(self._mean)} and {block.x.shape[1]}"
            return
        means = block.sums / block.sizes[:, np.newaxis]
        rest = block.x - np.repeat(means, block.sizes, axis=0)
        mean = block.sums.sum(axis=0) / len(block.x)
        between = block.sizes @ (means - mean) ** 2
        self._merge_moments(len(block.x), mean, np.einsum("ij,ij->j", rest, rest), between)

    def merge(self, other: FeatureMoments) -> None:
        """Take all that another one, of other users, has seen."""
        self.reason = self.reason or other.reason
        if self.reason or other._mean is None:
            return
        if self._mean is not None and len(self._mean) != len(other._mean):
            self.reason = f"samples have different numbers of features, {len(self._mean)} and {len(other._mean)}"
            return
        self._merge_moments(other._samples, other._mean, other._within, other._between)

    def measures(self) -> dict[str, Any]:
        """Return `feature.between_share`, its mean and maximum over features; a constant feature has 0.0.

        The share is that of the variance of the users' means, weighted by their samples, in all variance. Needs at
        least one sample.
        """
        total = self._within + self._between
        if not np.isfinite(total).all():
            self.reason = "features are too large to be squared"
            return {}
        shares = np.divide(self._between, total, out=np.zeros_like(total), where=total > 0)
        return {"feature.between_share": {"mean": float(shares.mean()), "max": float(shares.max())}}

    @np.errstate(over="ignore", invalid="ignore")
    def _take(self, x: Floats) -> None:
        mean = x.mean(axis=0)
        rest = x - mean
        self._merge_moments(len(x), mean, np.einsum("ij,ij->j", rest, rest), np.zeros(len(mean)))

    @np.errstate(over="ignore", invalid="ignore")
    def _merge_moments(self, samples: int, mean: Floats, within: Floats, between: Floats) -> None:
        if self._mean is None:
            self._mean, self._within, self._between = mean, within.copy(), between.copy()
        else:
            step = mean - self._mean
            share = samples / (self._samples + samples)
            self._between += between + step**2 * (self._samples * share)
            self._within += within
            self._mean = self._mean + step * share
        self._samples += samples
