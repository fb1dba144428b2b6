"""Independent streams: each is NumPy's PCG64 seeded by SeedSequence with the run's seed and a key.

They stand behind the legacy RandomState, whose draws, unlike the newer Generator's, NumPy promises never to change, as
it promises of SeedSequence's words. For keys that differ in their last number alone `seed_words` finds the words of
thousands at once, a hundred times as fast.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.random import PCG64, RandomState, SeedSequence
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

Words = NDArray[np.uint64]

_SEED_WORDS = 4
"""Words of 64 bits that PCG64 is seeded with."""
_AT_ONCE = 4_096
"""Streams whose words are found together."""

_POOL = 4
"""Words of 32 bits that SeedSequence mixes; its constants, as NumPy's `bit_generator.pyx` has them, follow."""
_INIT_A, _MULT_A = 0x43B0D7E5, 0x931E8875
_INIT_B, _MULT_B = 0x8B51F9DD, 0x58F38DED
_MIX_L, _MIX_R = np.uint32(0xCA01F9DD), np.uint32(0x4973F715)
_SHIFT = np.uint32(16)
_MASK = 0xFFFFFFFF


def own_stream(seed: int, *key: int) -> RandomState:
    """Return the independent stream of a key, from its start."""
    return RandomState(PCG64(SeedSequence(seed, spawn_key=key)))


def own_streams(seed: int, key: int, numbers: range) -> Iterator[RandomState]:
    """Yield the streams of the keys (key, number), each from its start: those of `own_stream`, at a tenth of its cost.

    seed, key, numbers: below 2**32. Holds the words of 4,096.
    """
    for start in range(numbers.start, numbers.stop, _AT_ONCE):
        several = np.arange(start, min(start + _AT_ONCE, numbers.stop))
        for words in seed_words(seed, key, several)[:, 0]:
            yield _open(words)


def seed_words(seed: int, key: int, numbers: NDArray[Any], streams: int = 1) -> Words:
    """Return the words that `SeedSequence(seed, spawn_key=(key, number))` gives, in fours for PCG64s.

    They are [numbers, streams, 4], each number's the first that its sequence gives.

    What the keys have in common is mixed by NumPy; this mixes in the last number, and draws the words. seed, key,
    numbers: below 2**32, so that each is one word of entropy, and the seed, with a key behind it, four.
    """
    pool = [np.full(len(numbers), word, np.uint32) for word in SeedSequence(seed, spawn_key=(key,)).pool]
    last = numbers.astype(np.uint32)
    mixed_before = _POOL + _POOL * (_POOL - 1) + _POOL
    constant = _INIT_A * pow(_MULT_A, mixed_before, 1 << 32) & _MASK
    for number in range(_POOL):
        hashed, constant = _hashed(last, constant, _MULT_A)
        mixed = _MIX_L * pool[number] - _MIX_R * hashed
        pool[number] = mixed ^ (mixed >> _SHIFT)
    words = np.empty((len(numbers), streams, 2 * _SEED_WORDS), "<u4")
    constant = _INIT_B
    for number in range(streams * 2 * _SEED_WORDS):
        stream, word = divmod(number, 2 * _SEED_WORDS)
        words[:, stream, word], constant = _hashed(pool[number % _POOL], constant, _MULT_B)
    found: Words = words.view("<u8").astype(np.uint64, copy=False)
    return found


def _hashed(values: NDArray[np.uint32], constant: int, factor: int) -> tuple[NDArray[np.uint32], int]:
    """Return words hashed with a constant, and the constant of the next hash."""
    following = constant * factor & _MASK
    hashed = (values ^ np.uint32(constant)) * np.uint32(following)
    return hashed ^ (hashed >> _SHIFT), following


class StreamSets:
    """Several independent streams for each number: those of the key (key, number), told apart below `streams`.

    What one number's are seeded with is found together with the numbers after it. seed, key, numbers: below 2**32.
    Holds the words of 4,096 streams.
    """

    def __init__(self, streams: int, seed: int, key: int) -> None:
        self._streams, self._seed, self._key = streams, seed, key
        self._first = 0
        self._words: Words = np.empty((0, streams, _SEED_WORDS), np.uint64)

    def open(self, number: int, stream: int) -> RandomState:
        """Return a stream from its start."""
        if not 0 <= number - self._first < len(self._words):
            self._first = number
            numbers = np.arange(number, min(number + _AT_ONCE // self._streams, 1 << 32))
            self._words = seed_words(self._seed, self._key, numbers, self._streams)
        return _open(self._words[number - self._first, stream])


def _open(words: Words) -> RandomState:
    seed: Any = _Words(words)  # whose types don't know other seeds than its own
    return RandomState(PCG64(seed))


class _Words(ISeedSequence):
    """A seed that is drawn already."""

    def __init__(self, words: Words) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """Return the words; PCG64 asks for four of 64 bits."""
        return self._words
