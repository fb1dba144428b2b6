"""Streams seeded in bulk are those that NumPy seeds one by one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from numpy.random import PCG64, RandomState, SeedSequence
from numpy.random.bit_generator import ISeedSequence

from fedsynth.processes.seeding import StreamSets, own_stream, own_streams, seed_words

EDGES = (0, 1, 2**16, 2**31, 2**32 - 1)


def test_words_are_those_of_numpys_seed_sequence() -> None:
    """10,000 pairs of a seed and a number."""
    draw = random.Random(14)
    for _ in range(500):
        seed, key = (draw.choice([*EDGES, *(draw.randrange(2**32) for _ in EDGES)]) for _ in range(2))
        numbers = np.array([*EDGES, *(draw.randrange(2**32) for _ in range(15))])
        expected = [SeedSequence(seed, spawn_key=(key, int(n))).generate_state(36, np.uint64) for n in numbers]
        assert (seed_words(seed, key, numbers, 9).reshape(-1, 36) == np.array(expected)).all(), (seed, key)
        assert (seed_words(seed, key, numbers)[:, 0] == np.array(expected)[:, :4]).all(), (seed, key)


@pytest.mark.parametrize("numbers", [range(0), range(3), range(99_999_990, 10**8), range(4_090, 4_100)])
def test_streams_in_bulk_draw_what_single_ones_do(numbers: range) -> None:
    several = list(own_streams(931231, 1, numbers))
    assert len(several) == len(numbers)
    for number, stream in zip(numbers, several, strict=True):
        one = own_stream(931231, 1, number)
        assert stream.lognormal(3.0, 2.0) == one.lognormal(3.0, 2.0)
        assert (stream.standard_normal(5) == one.standard_normal(5)).all()
        assert stream.random_sample() == one.random_sample()


def test_streams_go_on_from_one_slice_of_words_to_the_next() -> None:
    several = [stream.random_sample() for stream in own_streams(7, 1, range(5_000))]
    for number in (4_095, 4_096, 4_999):
        assert several[number] == own_stream(7, 1, number).random_sample()
    assert len(set(several)) == 5_000


def test_streams_of_a_number_are_the_same_whenever_they_are_asked_for() -> None:
    sets = StreamSets(9, 7, 3)
    for number in (5, 0, 454, 455, 2**32 - 1, 5, 10**6, 4):
        words = SeedSequence(7, spawn_key=(3, number)).generate_state(36, np.uint64)
        for stream in (8, 0, 3):
            state = sets.open(number, stream).get_state(legacy=False)
            assert state == RandomState(PCG64(Given(words[4 * stream : 4 * stream + 4]))).get_state(legacy=False)


class Given(ISeedSequence):
    def __init__(self, words: Any) -> None:
        self._words = words

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        assert (n_words, dtype) == (4, np.uint64)
        return self._words
