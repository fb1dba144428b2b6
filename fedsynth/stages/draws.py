"""Many small draws of `random.Random`, number for number those of its `shuffle` and `sample`, three times as fast.

Both draw whole numbers below a bound from `getrandbits`, again while the number is too large. Python has kept this
since 3.2; `tests/stages/test_draws.py` compares the two.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from math import ceil, log
from random import Random

_FEW = 1 << 16


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


def choose(rng: Random, sizes: Iterable[int], firsts: Iterable[int], seconds: Iterable[int]) -> bytearray:
    """Return a byte for each number of `rng.sample(range(size), first + second)` of each triple, one after the other.

    1 is among the first ones drawn, 2 among the second ones, 0 was not drawn. Holds 8 bytes for each number of one
    size, and a byte for all.
    """
    getrandbits = rng.getrandbits
    codes = bytearray()
    for size, first, second in zip(sizes, firsts, seconds, strict=True):
        start = len(codes)
        codes += bytes(size)
        if size > _pool_limit(first + second):
            for number, drawn in enumerate(rng.sample(range(start, start + size), first + second)):
                codes[drawn] = 1 if number < first else 2
            continue
        numbers = range(start, start + size)
        pool = list(numbers) if size < _FEW else array("q", numbers)
        left = size - 1
        for code, take in ((1, first), (2, second)):
            for last in range(left, left - take, -1):
                bits = (last + 1).bit_length()
                drawn = getrandbits(bits)
                while drawn > last:
                    drawn = getrandbits(bits)
                codes[pool[drawn]] = code
                pool[drawn] = pool[last]
            left -= take
    return codes


def _pool_limit(take: int) -> int:
    """Return up to how many numbers `sample` swaps in a list; among more it draws until it has enough others."""
    return 21 if take <= 5 else 21 + 4 ** ceil(log(take * 3, 4))
