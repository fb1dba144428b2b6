"""Draw the classes of users' samples: all users at once, and one by one when classes run out."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedsynth.errors import UsageError

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BLOCK = 1 << 20
"""Class proportions held at a time: 8 MiB of them."""

_EVEN = 1e100
"""From here on proportions differ from even ones by less than floats can tell."""


class Spread:
    """When and how a user's class proportions are evened out."""

    def __init__(self, after: int, percentage: float) -> None:
        if after < 1:
            raise UsageError(f"spread_distribution_after_num_fails is {after}, expected at least 1")
        if not (math.isfinite(percentage) and percentage > 0):
            raise UsageError(
                f"spread_distribution_after_fails_percentage is {percentage}, expected a positive number: without it a "
                "user whose classes have run out never gets done"
            )
        self.after, self._percentage = after, percentage

    def apply(self, proportions: list[float]) -> list[float]:
        total = math.fsum(proportions) + self._percentage * len(proportions)
        return [(proportion + self._percentage) / total for proportion in proportions]


def draw_classes(lengths: Ints, sizes: Ints, alpha: float, spread: Spread, rng: Generator) -> NDArray[np.integer]:
    """Return the class of each sample, user after user: [sum of lengths].

    As long as no class runs out, no draw is wasted, and a user's n samples are their first n draws. From the first user
    on whose draws ask a class for more than it has, users are served one by one: those same draws come first.
    """
    one_by_one = _OneByOne(sizes.tolist(), spread, random.Random(int(rng.integers(2**63))))
    parts = [np.empty(0, np.min_scalar_type(len(sizes) - 1))]
    used = np.zeros_like(sizes)
    for block in _blocks(lengths, len(sizes)):
        proportions = _draw_proportions(len(block), len(sizes), alpha, rng)
        counts = rng.multinomial(block, proportions)
        first_draws = _shuffled(counts, rng).astype(parts[0].dtype)
        fits = _num_fitting(counts, sizes - used)
        ends = np.cumsum(block)
        done = int(ends[fits - 1]) if fits else 0
        used += counts[:fits].sum(axis=0)
        parts.append(first_draws[:done])
        if fits < len(block):
            one_by_one.stock = (sizes - used).tolist()
            draws = np.split(first_draws[done:], ends[fits:-1] - done)
            drawn = [one_by_one.draw(d.tolist(), p.tolist()) for d, p in zip(draws, proportions[fits:], strict=True)]
            parts.append(np.array([number for user in drawn for number in user], parts[0].dtype))
            used = sizes - np.array(one_by_one.stock)
    return np.concatenate(parts)


def _blocks(lengths: Ints, num_classes: int) -> Iterator[Ints]:
    size = max(1, _BLOCK // num_classes)
    for start in range(0, len(lengths), size):
        yield lengths[start : start + size]


def _draw_proportions(num_users: int, num_classes: int, alpha: float, rng: Generator) -> Floats:
    """Draw [users, classes] from Dirichlet(alpha, ..., alpha).

    Where a tiny alpha underflows, one class has it all; a huge one, which would overflow, is as good as even.
    """
    proportions = rng.dirichlet(np.full(num_classes, min(alpha, _EVEN)), num_users)
    broken = np.flatnonzero(~np.isfinite(proportions).all(axis=1))
    proportions[broken] = np.eye(num_classes)[rng.integers(num_classes, size=len(broken))]
    return proportions


def _shuffled(counts: Ints, rng: Generator) -> NDArray[np.uint64]:
    """Return each user's classes in random order, user after user: [samples] uint64.

    Sorts numbers made of the user, random bits, and the class in the lowest bits.
    """
    num_users, num_classes = counts.shape
    low_bits = max(1, (num_classes - 1).bit_length())
    users = np.repeat(np.arange(num_users, dtype=np.uint64), counts.sum(axis=1))
    keys = rng.integers(0, 2**64, size=len(users), dtype=np.uint64)
    keys >>= np.uint64(num_users.bit_length() + low_bits)
    users <<= np.uint64(64 - num_users.bit_length() - low_bits)
    keys += users
    keys <<= np.uint64(low_bits)
    keys += np.repeat(np.tile(np.arange(num_classes, dtype=np.uint64), num_users), counts.ravel())
    keys.sort()
    keys &= np.uint64((1 << low_bits) - 1)
    return keys


def _num_fitting(counts: Ints, stock: Ints) -> int:
    """Return how many users, from the first on, are served before any class runs out."""
    short: NDArray[np.bool_] = np.any(np.cumsum(counts, axis=0) > stock, axis=1)
    return int(np.argmax(short)) if short.any() else len(short)


class _OneByOne:
    """Draws the classes of one user after another when classes may run out. stock: [classes] samples left."""

    def __init__(self, stock: list[int], spread: Spread, rng: random.Random) -> None:
        self.stock = stock
        self._spread = spread
        self._rng = rng

    def draw(self, first_draws: list[int], proportions: list[float]) -> list[int]:
        """Return the classes of a user's samples, in their order. first_draws: [n] classes drawn already."""
        taken = [number for number in first_draws if self._take(number)]
        num_draws, length = len(first_draws), len(first_draws)
        boundary = length * self._spread.after
        while len(taken) < length:
            if num_draws == boundary:
                proportions = self._spread.apply(proportions)
                boundary += length * self._spread.after
            num_draws += self._draw_up_to(boundary - num_draws, length, proportions, taken)
        return taken

    def _draw_up_to(self, num_draws: int, length: int, proportions: list[float], taken: list[int]) -> int:
        """Make at most `num_draws` draws, until the user is done or a class runs out; return how many were made.

        Draws of classes that have run out are not made one by one: how many come in a row is geometric.
        """
        shares = [share if stock else 0.0 for share, stock in zip(proportions, self.stock, strict=True)]
        bounds = list(accumulate(shares))
        last = max(number for number, share in enumerate(shares) if share or not number)
        total, draw = bounds[-1], self._rng.random
        if not total:
            return num_draws
        log_miss = _log_miss(total / math.fsum(proportions))
        made = 0
        while len(taken) < length:
            made += 1 + int(min(num_draws, math.log(1 - draw()) / log_miss))
            if made > num_draws:
                return num_draws
            number = bisect_right(bounds, draw() * total, hi=last)
            taken.append(number)
            self.stock[number] -= 1
            if not self.stock[number]:
                break
        return made

    def _take(self, number: int) -> bool:
        if not self.stock[number]:
            return False
        self.stock[number] -= 1
        return True


def _log_miss(hit: float) -> float:
    """Return the logarithm of a draw's chance to be wasted; tiny or huge where the chance to hit rounds to 0 or 1."""
    return math.log1p(-min(max(hit, 1e-300), 1 - 1e-16))
