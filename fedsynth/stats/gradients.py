"""How far apart the users' gradients are: of multinomial logistic regression, the model that the labels come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedsynth.stats.blocks import UserBlock
from fedsynth.stats.optimum import Sample, fit_pooled
from fedsynth.stats.picks import InOrder, Picks, draw_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

USERS, MOST_SAMPLES = 250, 32
MOST_NUMBERS, MOST_FEATURES, MOST_WEIGHTS, MOST_PRODUCTS = 1 << 20, 512, 1 << 20, 1 << 24

TOO_MANY_WEIGHTS = "the model would have more than a million weights"
TOO_LARGE = "features are too large to be squared"
TOO_LONG = f"fitting a model takes too long with more than {MOST_FEATURES} features, or many classes"
TOO_FEW = "no user has three samples"


class GradientMeter:
    """Sum up the users' gradients at zero weights, and keep samples for the pooled optimum.

    weights: of the users that are kept, by position, 1 in all. Holds D+1 sums for each class, and 32 samples of each of
    at most 250 users, a million numbers in all.
    """

    def __init__(self, weights: dict[int, float], picks: Picks) -> None:
        self.reason = ""
        self._weights = weights
        self._kept = picks.keeper()
        self._labels: dict[int, list[Any]] = {}
        self._sums: dict[Any, Floats] = {}
        self._samples = 0
        self._own = self._common = 0.0  # sums over users of |sums of a class|^2 / n, over classes, and of all classes

    @classmethod
    def draw(cls, names: Sequence[str], num_samples: Sequence[int], rng: Generator) -> GradientMeter:
        """Draw the users to keep, by their share of all samples, and which of their samples."""
        return cls.draw_from(InOrder(names, num_samples), rng)

    @classmethod
    def draw_from(cls, users: InOrder, rng: Generator) -> GradientMeter:
        """Draw as `draw` does, from users who are in order already."""
        weights = _draw_users(users.having(1), users.num_samples, rng)
        return cls(weights, draw_rows([*weights], users.num_samples, MOST_SAMPLES, rng))

    def part(self, users: range) -> GradientMeter:
        """Return an empty meter for the users at these consecutive positions."""
        return GradientMeter({}, self._kept.picks.part(users))

    @np.errstate(over="ignore", invalid="ignore")
    def add(self, user: int, x: Floats, y: Sequence[Any]) -> None:
        """Take a user's samples, [n, D], and their labels, which can be classes."""
        if self.reason:
            return
        sums = _class_sums(x, y)
        total = np.sum([*sums.values()], axis=0)
        self._own += sum(float(own @ own) for own in sums.values()) / len(y)
        self._common += float(total @ total) / len(y)
        self._samples += len(y)
        self._add_sums(sums)
        if user in self._kept.picks.rows and x.shape[1] <= MOST_FEATURES:
            most = max(2, MOST_NUMBERS // (USERS * x.shape[1]))
            self._kept.add(user, x, most)
            self._labels[user] = [y[row] for row in self._kept.picks.rows[user][:most].tolist()]

    @np.errstate(over="ignore", invalid="ignore")
    def add_block(self, block: UserBlock) -> None:
        """Take several users at once: what differs from `add` are the last digits."""
        if self.reason:
            return
        cells = block.cells
        sums = np.add.reduceat(block.x[cells.order], cells.starts, axis=0)
        own = (cells.counts**2 + np.einsum("ij,ij->i", sums, sums)) / block.sizes[cells.users]
        common = (block.sizes**2 + np.einsum("ij,ij->i", block.sums, block.sums)) / block.sizes
        self._own += float(own.sum())
        self._common += float(common.sum())
        self._samples += len(block.y)
        by_class = np.argsort(cells.codes, kind="stable")
        starts = np.searchsorted(cells.codes[by_class], np.arange(len(block.labels)))
        whole = np.column_stack([cells.counts, sums])
        self._add_sums(dict(zip(block.labels, np.add.reduceat(whole[by_class], starts, axis=0), strict=True)))
        if block.x.shape[1] <= MOST_FEATURES:
            self._keep(block)

    def _keep(self, block: UserBlock) -> None:
        most = max(2, MOST_NUMBERS // (USERS * block.x.shape[1]))
        for number in self._kept.add_block(block, most):
            user = int(block.users[number])
            labels = block.y[block.samples_of(number)]
            self._labels[user] = labels[self._kept.picks.rows[user][:most]].tolist()

    def merge(self, other: GradientMeter) -> None:
        """Take all that another one, of other users, has seen."""
        self.reason = self.reason or other.reason
        if not self.reason:
            self._own += other._own
            self._common += other._common
            self._samples += other._samples
            self._add_sums(other._sums)
            self._kept.merge(other._kept)
            self._labels.update(other._labels)

    def measure(self, num_samples: Sequence[int] | Ints) -> tuple[dict[str, dict[str, float]], str]:
        """Return `gradient.dissimilarity` at `zero` weights and at the pooled `optimum`, and why one is missing.

        f_k is the mean loss of user k's samples, f that of all samples, both over raw features and a bias; E weighs
        users by their samples, as f does. In the bound E|grad f_k|^2 <= G^2 + B^2 |grad f|^2 (Karimireddy et al.,
        "SCAFFOLD", 2020, assumption A1) one of two numbers can be chosen: `G` is the least with B = 1, the root of
        E|grad f_k - grad f|^2, and `B` the least with G = 0, the B(w) of Li et al., "Federated optimization in
        heterogeneous networks" (2020), definition 3. B is skipped where grad f is zero.

        At zero weights these are exact, in one pass: with C classes, n samples and s_c, the sum of (1, x) over those of
        class c, |grad f_k|^2 = (sum_c |s_c|^2 - |sum_c s_c|^2 / C) / n^2. The optimum is that of one half of the
        samples kept, `fit_pooled`, the gradients there are the other half's, which leaves about a tenth of G open. At
        an optimum grad f is 0, and B without bound, so G stands alone.
        """
        if self.reason or not self._sums:
            return {}, self.reason or TOO_LARGE
        found = self._at_zero()
        if not all(math.isfinite(value) for value in found.values()):
            return {}, TOO_LARGE
        sample = self._sample()
        if sample is None:
            return {"zero": found}, TOO_LONG
        fitted, seen = sample.halves()
        if not len(fitted.x):
            return {"zero": found}, TOO_FEW
        sizes = np.array([num_samples[user] for user in self._weights if user in self._kept.rows])
        at_optimum = _dissimilarity(*seen.gradients(fit_pooled(fitted), sizes))
        return {"zero": found, "optimum": {"G": at_optimum["G"]}}, ""

    def _at_zero(self) -> dict[str, float]:
        sums = np.stack([*self._sums.values()])
        total = sums.sum(axis=0)
        own = (self._own - self._common / len(sums)) / self._samples
        pooled = (float(np.vdot(sums, sums)) - float(total @ total) / len(sums)) / self._samples**2
        return _dissimilarity(own, pooled)

    def _sample(self) -> Sample | None:
        """Return what was kept, None if that is nothing, or too much to fit a model to."""
        users = [user for user in self._weights if user in self._kept.rows]
        rows = [self._kept.rows[user] for user in users]
        products = sum(part.size for part in rows) * len(self._sums)
        if not users or products > MOST_PRODUCTS or not all(np.isfinite(part).all() for part in rows):
            return None
        numbers = {label: number for number, label in enumerate(self._sums)}
        labels = [numbers[label] for user in users for label in self._labels[user]]
        classes = np.zeros((len(labels), len(numbers)))
        classes[np.arange(len(labels)), labels] = 1
        return Sample(
            x=np.concatenate(rows),
            classes=classes,
            owners=np.repeat(np.arange(len(users)), [len(part) for part in rows]),
            weights=np.array([self._weights[user] for user in users]),
        )

    def _add_sums(self, sums: dict[Any, Floats]) -> None:
        for label, own in sums.items():
            if label in self._sums:
                self._sums[label] += own
            else:
                self._sums[label] = own.copy()
        if sum(own.size for own in self._sums.values()) > MOST_WEIGHTS:
            self.reason = TOO_MANY_WEIGHTS
            self._sums.clear()


def _dissimilarity(own: float, pooled: float) -> dict[str, float]:
    """Return G and B. own: E|grad f_k|^2; pooled: |grad f|^2."""
    found = {"G": math.sqrt(max(own - pooled, 0.0))}
    if pooled > 1e-24 * own:
        found["B"] = math.sqrt(max(own, 0.0) / pooled)
    return found


def _class_sums(x: Floats, y: Sequence[Any]) -> dict[Any, Floats]:
    """Return by class the sum of (1, x) over its samples, [D+1]."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(y))}
    if len(numbers) == 1:
        return {y[0]: np.concatenate([[len(y)], x.sum(axis=0)])}
    chosen = np.fromiter(map(numbers.__getitem__, y), np.int64, len(y))
    members = (chosen == np.arange(len(numbers))[:, np.newaxis]).astype(np.float64)
    sums = np.concatenate([members.sum(axis=1, keepdims=True), members @ x], axis=1)
    return dict(zip(numbers, sums, strict=True))


def _draw_users(users: Ints, num_samples: Ints, rng: Generator) -> dict[int, float]:
    """Return at most 250 users and their weights: all by their samples, or a systematic sample by them."""
    sizes = num_samples[users].astype(np.float64)
    if len(users) <= USERS:
        return dict(zip(users.tolist(), (sizes / sizes.sum()).tolist(), strict=True))
    ends = np.cumsum(sizes)
    points = (np.arange(USERS) + rng.random()) * (ends[-1] / USERS)
    drawn, times = np.unique(np.searchsorted(ends, points, side="right"), return_counts=True)
    return dict(zip(users[drawn].tolist(), (times / USERS).tolist(), strict=True))
