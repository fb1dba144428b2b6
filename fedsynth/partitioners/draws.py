"""Draws that are the same on every machine, in every version of NumPy, and change smoothly with a scheme's knobs.

Each ingredient has a stream of its own: NumPy's PCG64 behind the legacy RandomState, whose draws NumPy promises never
to change. How many draws are taken does not depend on the knobs, so that with one seed a little more alpha means shares
that are a little more even: what a search for a level needs.
"""

from __future__ import annotations

import numpy as np
from numpy.random import PCG64, RandomState, SeedSequence
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
Int32s = NDArray[np.int32]
UserOf = NDArray[np.int32]
"""[samples] the user of each sample, samples sorted by class."""

ORDER, SIZES, SHARES, SLOTS, ASSIGN, MINIMUM, CLUSTERS = range(7)
"""The streams."""

_RADIX = 1 << 16
_ALL_ALIKE = 1e30


def stream(seed: int, *key: int) -> RandomState:
    """Return the stream of an ingredient, or of a part of it, from its start."""
    return RandomState(PCG64(SeedSequence(seed, spawn_key=key)))


def shuffled_range(rng: RandomState, size: int) -> NDArray[np.int32]:
    """Return 0 to size - 1 in random order: what `permutation` does, in half of its memory. size: below 2**31."""
    numbers = np.arange(size, dtype=np.int32)
    rng.shuffle(numbers)
    return numbers


def grouping(values: Ints, bound: int) -> NDArray[np.int64]:
    """Return the order that sorts whole numbers in [0, bound), equal ones as they stand: [n], in linear time."""
    if bound <= _RADIX:
        return np.argsort(values.astype(np.uint8 if bound <= 1 << 8 else np.uint16), kind="stable")
    order = np.argsort((values % _RADIX).astype(np.uint16), kind="stable")
    rest = grouping((values // _RADIX)[order], (bound - 1) // _RADIX + 1)
    return order[rest]


def log_gammas(rng: RandomState, shapes: Floats) -> Floats:
    """Return logarithms of gamma variates of these shapes, all above 0; in logarithms no shape is too small.

    Marsaglia and Tsang, "A simple method for generating gamma variables" (2000), for shape + 1, and from there down by
    a power of a uniform variate. A round of draws is made for all, whoever still needs one; 96 percent are done after
    the first, and after the rounds that there are, one in 10**20 would not be, which then has its mean.
    """
    uniform = 1 - rng.random_sample(shapes.shape)
    base = shapes + 1 - 1 / 3
    scale = 1 / np.sqrt(9 * base)
    found = np.log(base)
    missing = np.ones(shapes.shape, bool)
    for _ in range(14):
        normal, height = rng.standard_normal(shapes.shape), 1 - rng.random_sample(shapes.shape)
        cube = np.maximum(1 + normal * scale, 0) ** 3
        log_cube = np.log(cube, out=np.full(shapes.shape, -np.inf), where=cube > 0)
        taken = missing & (np.log(height) < normal**2 / 2 + base * (1 - cube + log_cube))
        found[taken] += log_cube[taken]
        missing &= ~taken
        if not missing.any():
            break
    return found + np.log(uniform) / shapes


def dirichlet(rng: RandomState, concentrations: Floats) -> Floats:
    """Return shares [..., n] that are Dirichlet(concentrations [..., n]), each row of sum 1.

    Where one is infinite, or beyond 10**30, they are as the concentrations are to each other: floats can't tell.
    """
    largest = concentrations.max()
    if largest > _ALL_ALIKE:
        finite = np.isinf(concentrations).astype(float) if np.isinf(largest) else concentrations / largest
        shares: Floats = finite / finite.sum(axis=-1, keepdims=True)
        return shares
    logs = log_gammas(rng, concentrations)
    shares = np.exp(logs - logs.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def whole_parts(shares: Floats, total: int, offset: float) -> NDArray[np.int64]:
    """Return whole numbers [n] of this total, each its share of it rounded down or up.

    offset: uniform in [0, 1), makes the expectation of each the share itself (systematic sampling).
    """
    ends = np.floor(np.cumsum(shares) * (total / shares.sum()) + offset).astype(np.int64)
    ends[-1] = total
    parts: NDArray[np.int64] = np.diff(np.minimum(ends, total), prepend=0)
    return parts
