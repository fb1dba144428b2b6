"""How well two users are told apart by their features alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedsynth.stats.blocks import UserBlock
from fedsynth.stats.picks import InOrder, Picks, draw_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PAIRS, MOST_SAMPLES, LEAST_SAMPLES = 100, 50, 4
MOST_NUMBERS = 1 << 20
"""8 MB: with more features fewer samples of a user are kept, and in the end fewer pairs."""
SHRINKAGE = 0.1

TOO_FEW = f"fewer than two users have {LEAST_SAMPLES} samples"
TOO_WIDE = "samples have too many features to keep any"
TOO_LARGE = "features are too large to be squared"

Pair = tuple[int, int]


class DomainMeter:
    """Keep samples of the users of 100 random pairs and tell each two apart. pairs: positions of users.

    Holds at most 50 samples of a user, a million numbers in all.
    """

    def __init__(self, pairs: Sequence[Pair], picks: Picks) -> None:
        self._pairs = pairs
        self._kept = picks.keeper()

    @classmethod
    def draw(cls, names: Sequence[str], num_samples: Sequence[int], rng: Generator) -> DomainMeter:
        """Draw the pairs among users with at least 4 samples, and which samples of theirs to keep."""
        return cls.draw_from(InOrder(names, num_samples), rng)

    @classmethod
    def draw_from(cls, users: InOrder, rng: Generator) -> DomainMeter:
        """Draw as `draw` does, from users who are in order already."""
        pairs = _draw_pairs(users.having(LEAST_SAMPLES), rng)
        chosen = list(dict.fromkeys(user for pair in pairs for user in pair))
        return cls(pairs, draw_rows(chosen, users.num_samples, MOST_SAMPLES, rng))

    def part(self, users: range) -> DomainMeter:
        """Return an empty meter for the users at these consecutive positions."""
        return DomainMeter(self._pairs, self._kept.picks.part(users))

    def add(self, user: int, x: Floats) -> None:
        """Take a user's samples, [n, D]."""
        if user in self._kept.picks.rows and any(user in pair for pair in self._pairs_kept(x.shape[1])):
            self._kept.add(user, x, max(LEAST_SAMPLES, MOST_NUMBERS // (2 * PAIRS * x.shape[1])))

    def add_block(self, block: UserBlock) -> None:
        """Take several users at once."""
        for number in self._kept.picks.among(block.users):
            self.add(int(block.users[number]), block.x[block.samples_of(number)])

    def merge(self, other: DomainMeter) -> None:
        """Take all that another one, of other users, has kept."""
        self._kept.merge(other._kept)

    def measure(self) -> tuple[float | None, str]:
        """Return `feature.domain_accuracy`, or None and why there is none."""
        if not self._pairs:
            return None, TOO_FEW
        rows = self._kept.rows
        found = [tell_apart(rows[one], rows[other]) for one, other in self._pairs if one in rows and other in rows]
        if not found:
            return None, TOO_WIDE
        mean = float(np.mean(found))
        return (mean, "") if np.isfinite(mean) else (None, TOO_LARGE)

    def _pairs_kept(self, features: int) -> Sequence[Pair]:
        return self._pairs[: MOST_NUMBERS // (2 * LEAST_SAMPLES * features)]


@np.errstate(over="ignore", invalid="ignore")
def tell_apart(one: Floats, other: Floats) -> float:
    """Return the accuracy with which a linear classifier tells two users' held-out samples apart; 0.5 by chance.

    one, other: [n, D], in random order; the first half of each trains, the rest is held out, and the users have
    equal weight. Fisher's linear discriminant with equal priors; a tenth of the pooled covariance is replaced by its
    mean variance in all directions (Friedman, "Regularized discriminant analysis", 1989), so that few samples of many
    features do. Solved among the samples, not the features: n^3 + n^2 D steps. Not finite where squares overflow.
    """
    halves = [(user[: len(user) // 2], user[len(user) // 2 :]) for user in (one, other)]
    means = [train.mean(axis=0) for train, _ in halves]
    rest = np.concatenate([train - mean for (train, _), mean in zip(halves, means, strict=True)])
    variance = float(np.einsum("ij,ij->", rest, rest)) / rest.size
    apart = means[0] - means[1]
    if variance > 0:
        weight = (1 - SHRINKAGE) / (SHRINKAGE * variance * len(rest))
        inner = np.eye(len(rest)) + weight * (rest @ rest.T)
        if not np.isfinite(inner).all():
            return float("nan")
        apart = apart - rest.T @ (weight * np.linalg.solve(inner, rest @ apart))
    middle = (means[0] + means[1]) / 2
    scores = [(held - middle) @ apart * sign for (_, held), sign in zip(halves, (1, -1), strict=True)]
    if not all(np.isfinite(score).all() for score in scores):
        return float("nan")
    return float(np.mean([np.mean((np.sign(score) + 1) / 2) for score in scores]))


def _draw_pairs(users: Ints, rng: Generator) -> list[Pair]:
    """Return all pairs where there are at most 100, otherwise 100 at random."""
    if len(users) * (len(users) - 1) // 2 <= PAIRS:
        few = users.tolist()
        return [(one, other) for number, other in enumerate(few) for one in few[:number]]
    drawn = [rng.choice(len(users), 2, replace=False).tolist() for _ in range(PAIRS)]
    return [(int(users[one]), int(users[other])) for one, other in drawn]
