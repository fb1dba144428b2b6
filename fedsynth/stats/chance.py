"""What label measures show by chance alone: labels redistributed at random among users of the same sizes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_TERMS, MOST_CELLS = 20_000_000, 500_000
"""Terms of the exact sums, and pairs of a size and a total; beyond, the mean of shuffles is taken instead."""

PRECISION = 0.0002
"""Standard error at which the mean of shuffles is exact enough for three digits."""
LEAST_SHUFFLES, MOST_SHUFFLES, MOST_DRAWS = 8, 400, 10_000_000
ENOUGH_DRAWS = 2_000_000
"""Random numbers of two or more shuffles after which their spread tells: with many users and classes it is tiny."""

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Margins:
    """What shuffling keeps. sizes: [users] samples of each, at least 1; totals: [classes] samples of each."""

    sizes: Ints
    totals: Ints

    @property
    def samples(self) -> int:
        """Number of all samples."""
        return int(self.sizes.sum())

    @property
    def entropy(self) -> float:
        """Of the labels, in nats."""
        shares = self.totals / self.samples
        return -float(np.sum(shares * np.log(shares)))


def can_expect(margins: Margins) -> bool:
    """Return whether the exact expectations are not too long: a second, 30 MB."""
    cells = len(np.unique(margins.sizes)) * len(np.unique(margins.totals))
    return cells <= MOST_CELLS and int(_Cells.of(margins).widths.sum()) <= MOST_TERMS


@dataclass(frozen=True)
class Expected:
    """Exact expectations with labels redistributed at random.

    information, distance: of `label.jensen_shannon` and `label.total_variation`; roots: [classes], of the sum over
    users of the root of a class's share.
    """

    information: float
    distance: float
    roots: Floats


def expect(margins: Margins) -> Expected:
    """Return what random redistribution of labels gives on average.

    The number of a user's samples of a class is then hypergeometric, and all three are sums over users and
    classes of a function of that number, so their expectations are too. That of the mutual information is the one of
    Vinh, Epps and Bailey, "Information theoretic measures for clusterings comparison" (2010), which adjusts mutual
    information for chance. Users of one size, and classes of one total, share their terms; numbers more than ten
    standard deviations and 40 from the mean weigh less than 1e-20 (Bernstein) and are ignored. Holds 2^16 terms.
    """
    samples, entropy = margins.samples, margins.entropy
    totals, total_of = np.unique(margins.totals, return_inverse=True)
    roots = np.zeros(len(totals))
    information = distance = 0.0
    for size, total, users, number, weight in _Cells.of(margins).blocks():
        times = users * np.bincount(total_of)[np.searchsorted(totals, total[:, 0])]
        logs = np.log(np.maximum(number, 1) * (samples / (size * total)))
        information += float(times @ np.sum(weight * number * logs, axis=1)) / samples
        apart = np.abs(number / size - total / samples)
        distance += float((times * size[:, 0]) @ np.sum(weight * apart, axis=1)) / samples / 2
        root = users * np.sum(weight * np.sqrt(np.maximum(number, 0) / size), axis=1)
        np.add.at(roots, np.searchsorted(totals, total[:, 0]), root)
    return Expected(information / entropy if entropy > 0 else 0.0, distance, roots[total_of])


@dataclass(frozen=True)
class _Cells:
    """Pairs of a size and a class total that occur. users: how many; first, widths: the numbers that can matter."""

    samples: int
    size: Ints
    total: Ints
    users: Ints
    first: Ints
    widths: Ints

    @classmethod
    def of(cls, margins: Margins) -> _Cells:
        sizes, users = np.unique(margins.sizes, return_counts=True)
        totals = np.unique(margins.totals)
        size, total = (grid.ravel() for grid in np.meshgrid(sizes, totals, indexing="ij"))
        samples = margins.samples
        mean = size * (total / samples)
        deviation = np.sqrt(mean * (1 - total / samples) * (samples - size) / max(samples - 1, 1))
        reach = 10 * deviation + 40
        first = np.maximum(np.floor(mean - reach).astype(np.int64), np.maximum(0, size + total - samples))
        last = np.minimum(np.ceil(mean + reach).astype(np.int64), np.minimum(size, total))
        return cls(samples, size, total, np.repeat(users, len(totals)), first, last - first + 1)

    def blocks(self) -> Iterator[tuple[Ints, Ints, Ints, Ints, Floats]]:
        """Yield size, total ([cells, 1]), users [cells], the numbers [cells, width] and their probabilities."""
        order = np.argsort(self.widths, kind="stable")
        start = 0
        while start < len(order):
            width = int(self.widths[order[start]])
            stop = start + max(1, _BLOCK // width)
            cells = order[start:stop]
            cells = cells[self.widths[cells] <= 2 * width]  # of about one width, so that few terms are for nothing
            size, total, first = (values[cells, np.newaxis] for values in (self.size, self.total, self.first))
            number = first + np.arange(int(self.widths[cells[-1]]))
            inside = number < first + self.widths[cells, np.newaxis]
            yield size, total, self.users[cells], number, self._probabilities(size, total, number, inside)
            start += len(cells)

    def _probabilities(self, size: Ints, total: Ints, number: Ints, inside: NDArray[np.bool_]) -> Floats:
        """Return the hypergeometric distribution on these numbers, by the ratios of neighbours."""
        before = number[:, :-1].astype(float)
        ratio = (size - before) * (total - before) / ((before + 1) * (self.samples - size - total + before + 1))
        logs = np.zeros(number.shape)
        np.cumsum(np.log(np.where(inside[:, 1:], ratio, 1.0)), axis=1, out=logs[:, 1:])
        weights = np.where(inside, np.exp(logs - np.max(logs, axis=1, where=inside, initial=-np.inf, keepdims=True)), 0)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def redistribute(margins: Margins, rng: Generator) -> Iterator[tuple[int, Ints]]:
    """Redistribute all labels at random: yield, class by class, how many each user gets, [users], users by size.

    Sorted by size, so that the draws are the same however users are ordered.
    """
    left = np.sort(margins.sizes)
    for label, total in enumerate(margins.totals.tolist()):
        drawn = rng.multivariate_hypergeometric(left, total)
        left -= drawn
        yield label, drawn


def mean_of_shuffles(shuffled: Iterator[Sequence[float]], draws: int) -> Floats:
    """Return the mean of values that shuffles give, as many as three digits need. draws: random numbers of one.

    Stops when every mean's standard error, as the first eight, or two million random numbers, tell it, is below 0.0002,
    after 400 shuffles, or after ten million random numbers; never before the second.
    """
    most = min(MOST_SHUFFLES, max(2, MOST_DRAWS // draws))
    least = min(LEAST_SHUFFLES, max(2, ENOUGH_DRAWS // draws))
    values = [next(shuffled) for _ in range(min(least, most))]
    while len(values) < most and np.std(values, axis=0, ddof=1).max() > PRECISION * math.sqrt(len(values)):
        values.append(next(shuffled))
    return np.asarray(np.mean(values, axis=0))


@dataclass(frozen=True)
class Shuffle:
    """What one shuffle gives. roots: [classes], the sums over users of the root of a class's share."""

    information: float
    distance: float
    roots: Floats


def shuffle(margins: Margins, rng: Generator) -> Shuffle:
    """Redistribute all labels at random once and measure."""
    sizes, samples, entropy = np.sort(margins.sizes), margins.samples, margins.entropy
    information = distance = 0.0
    roots = np.zeros(len(margins.totals))
    for label, drawn in redistribute(margins, rng):
        total = int(margins.totals[label])
        there = drawn > 0
        shares = drawn[there] / sizes[there]
        information += float(drawn[there] @ np.log(shares * (samples / total))) / samples
        distance += float(np.abs(drawn - sizes * (total / samples)).sum()) / samples / 2
        roots[label] = np.sqrt(shares).sum()
    return Shuffle(information / entropy if entropy > 0 else 0.0, distance, roots)


def hellinger(users: int, roots: Floats) -> float:
    """Return `label.hellinger`. users: how many; roots: [classes], the sums over users of the root of its share."""
    pairs = users * (users - 1)
    return math.sqrt(max((users**2 - float(roots @ roots)) / pairs, 0.0)) if pairs else 0.0


def chance_levels(margins: Margins, rng: Generator) -> dict[str, float]:
    """Return what each of the distances between users' labels is by chance: exact where that is not too long.

    The root in `label.hellinger` has no such sum; it is the mean over enough shuffles for three digits, as are the
    others where their exact sums would be too long.
    """
    users, draws = len(margins.sizes), len(margins.sizes) * len(margins.totals)
    shuffles = (shuffle(margins, rng) for _ in count())
    if not can_expect(margins):
        each = ((one.information, hellinger(users, one.roots), one.distance) for one in shuffles)
        found = mean_of_shuffles(each, draws).tolist()
    else:
        expected = expect(margins)
        root = mean_of_shuffles(_steadied(users, expected.roots, (one.roots for one in shuffles)), draws)
        found = [expected.information, float(root[0]), expected.distance]
    names = ("label.jensen_shannon", "label.hellinger", "label.total_variation")
    return {name: min(max(value, 0.0), 1.0) for name, value in zip(names, found, strict=True)}


def _steadied(users: int, expected: Floats, shuffles: Iterator[Floats]) -> Iterator[tuple[float]]:
    """Yield Hellinger distances of shuffles less their part that is linear in the roots, which is 0 on average.

    With this control variate a few shuffles of a thousand users are as good as a hundred.
    """
    middle = hellinger(users, expected)
    slope = -expected / (users * (users - 1) * middle) if middle > 0.01 else np.zeros(len(expected))
    for roots in shuffles:
        yield (hellinger(users, roots) - float(slope @ (roots - expected)),)
