"""Many small draws of `random.Random`, number for number those of its `shuffle` and `sample`, three times as fast.

Both draw whole numbers below a bound from `getrandbits`, again while the number is too large. Python has kept this
since 3.2; `tests/stages/test_draws.py` compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil, log
from random import Random


def shuffled(rng: Random, size: int) -> list[int]:
    """Return 0 to size - 1 as `rng.shuffle` orders them."""
    numbers = list(range(size))
    getrandbits = rng.getrandbits
    for last in range(size - 1, 0, -1):
        bits = (last + 1).bit_length()
        drawn = getrandbits(bits)
        while drawn > last:
            drawn = getrandbits(bits)
        numbers[last], numbers[drawn] = numbers[drawn], numbers[last]
    return numbers


def masks(rng: Random, sizes: Iterable[int], taken: Iterable[int]) -> bytearray:
    """Return a byte per number: 1 for those of `rng.sample(range(size), take)` of each pair, one after the other."""
    getrandbits = rng.getrandbits
    mask = bytearray()
    for size, take in zip(sizes, taken, strict=True):
        first = len(mask)
        mask += bytes(size)
        if size > _pool_limit(take):
            for drawn in rng.sample(range(first, first + size), take):
                mask[drawn] = 1
            continue
        pool = list(range(first, first + size))
        for last in range(size - 1, size - 1 - take, -1):
            bits = (last + 1).bit_length()
            drawn = getrandbits(bits)
            while drawn > last:
                drawn = getrandbits(bits)
            mask[pool[drawn]] = 1
            pool[drawn] = pool[last]
    return mask


def _pool_limit(take: int) -> int:
    """Return up to how many numbers `sample` swaps in a list; among more it draws until it has enough others."""
    return 21 if take <= 5 else 21 + 4 ** ceil(log(take * 3, 4))
