"""The draws of many small samples are `random`'s own, number for number, and leave it in the same state."""

from __future__ import annotations

from random import Random

import pytest

from fedsynth.stages.draws import choose, shuffled


@pytest.mark.parametrize("size", [*range(70), 127, 128, 129, 1000, 4097])
def test_shuffle_is_that_of_random(size: int) -> None:
    for seed in range(5):
        ours, theirs = Random(seed), Random(seed)
        expected = list(range(size))
        theirs.shuffle(expected)
        assert shuffled(ours, size) == expected
        assert ours.getstate() == theirs.getstate()


@pytest.mark.parametrize("sizes", [range(90), [20, 21, 22, 23, 37, 38, 84, 85, 86, 87, 277, 278, 1045, 1046, 70_000]])
def test_choices_are_those_of_samples_of_random(sizes: range | list[int]) -> None:
    """Sizes around those from which `sample` draws in its other way, and every number that can be taken."""
    pairs = [(size, take) for size in sizes for take in {*range(min(size, 90) + 1), size // 2, size - 1, size} - {-1}]
    ours, theirs = Random(3), Random(3)
    expected = bytearray()
    for size, take in pairs:
        codes = bytearray(size)
        for number, sample in enumerate(theirs.sample(range(size), take)):
            codes[sample] = 1 if number < take // 3 else 2
        expected += codes
    firsts = [take // 3 for _, take in pairs]
    seconds = [take - take // 3 for _, take in pairs]
    assert choose(ours, [size for size, _ in pairs], firsts, seconds) == expected
    assert ours.getstate() == theirs.getstate()
