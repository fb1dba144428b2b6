"""The draws of many small samples are `random`'s own, number for number, and leave it in the same state."""

from __future__ import annotations

from random import Random

import pytest

from fedsynth.stages.draws import masks, shuffled


@pytest.mark.parametrize("size", [*range(70), 127, 128, 129, 1000, 4097])
def test_shuffle_is_that_of_random(size: int) -> None:
    for seed in range(5):
        ours, theirs = Random(seed), Random(seed)
        expected = list(range(size))
        theirs.shuffle(expected)
        assert shuffled(ours, size) == expected
        assert ours.getstate() == theirs.getstate()


@pytest.mark.parametrize("sizes", [range(90), [20, 21, 22, 23, 37, 38, 84, 85, 86, 87, 277, 278, 1045, 1046, 5000]])
def test_masks_are_those_of_samples_of_random(sizes: range | list[int]) -> None:
    """Sizes around those from which `sample` draws in its other way, and every number that can be taken."""
    pairs = [(size, take) for size in sizes for take in {*range(min(size, 90) + 1), size // 2, size - 1, size} - {-1}]
    ours, theirs = Random(3), Random(3)
    expected = bytearray()
    for size, take in pairs:
        mask = bytearray(size)
        for sample in theirs.sample(range(size), take):
            mask[sample] = 1
        expected += mask
    assert masks(ours, [size for size, _ in pairs], [take for _, take in pairs]) == expected
    assert ours.getstate() == theirs.getstate()
