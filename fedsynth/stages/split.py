"""Splitting into train and test: each user's samples, or the users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress
from random import Random

from fedsynth.leaf.plan import Counts, FilePlan, StagePlan
from fedsynth.records.layout import TEST, TRAIN
from fedsynth.stages.draws import masks

SHAKESPEARE_GAP = 79
"""Shakespeare's samples are windows of 80 characters: test starts where none overlaps with a window of train."""

_TAKE, _LEAVE = b"\1", b"\0"
_SWAP = bytes.maketrans(_TAKE + _LEAVE, _LEAVE + _TAKE)

Masks = tuple[bytes, bytes]
"""Of some users' samples, one byte each, those that go to train and to test."""


def split_by_sample(files: Sequence[Counts], *, fraction: float, rng: Random) -> StagePlan:
    """Put a random fraction of each user's samples into train, the others into test; both keep their order.

    Users with fewer than 2 samples are left out. Holds two bytes per sample.
    """
    return _split_samples(files, lambda sizes: _random_masks(sizes, fraction, rng), (2).__le__)


def split_in_order(files: Sequence[Counts], *, fraction: float) -> StagePlan:
    """Put each user's first samples into train and the last into test, with LEAF's gap for shakespeare between them.

    Users for whom no test sample is left are left out.
    """

    def splits(size: int) -> bool:
        return size >= 2 and size - train_size(size, fraction) > SHAKESPEARE_GAP

    return _split_samples(files, lambda sizes: _ordered_masks(sizes, fraction), splits)


def split_by_user(files: Sequence[Counts], *, fraction: float, rng: Random) -> StagePlan:
    """Put a random fraction of all files' users together into train, the others into test; both keep their order."""
    total = sum(len(counts.users) for counts in files)
    train = set(rng.sample(range(total), int(fraction * total)))
    plans = []
    first = 0
    for counts in files:
        users = range(len(counts.users))
        sides = {
            TRAIN: [user for user in users if first + user in train],
            TEST: [user for user in users if first + user not in train],
        }
        plans.append({side: FilePlan.of_whole_users(counts, chosen) for side, chosen in sides.items()})
        first += len(counts.users)
    return StagePlan(plans)


def train_size(num_samples: int, fraction: float) -> int:
    """Return how many of a user's samples go to train: at least one, and one of two."""
    return 1 if num_samples == 2 else max(1, int(fraction * num_samples))


def _random_masks(sizes: Sequence[int], fraction: float, rng: Random) -> Masks:
    train = bytes(masks(rng, sizes, [train_size(size, fraction) for size in sizes]))
    return train, train.translate(_SWAP)


def _ordered_masks(sizes: Sequence[int], fraction: float) -> Masks:
    train = [train_size(size, fraction) for size in sizes]
    test = [size - part - SHAKESPEARE_GAP for size, part in zip(sizes, train, strict=True)]
    return (
        b"".join(_TAKE * part + _LEAVE * (size - part) for size, part in zip(sizes, train, strict=True)),
        b"".join(_LEAVE * (size - part) + _TAKE * part for size, part in zip(sizes, test, strict=True)),
    )


def _split_samples(
    files: Sequence[Counts], draw: Callable[[Sequence[int]], Masks], splits: Callable[[int], bool]
) -> StagePlan:
    """Split users whose number of samples `splits`; `draw` gives the masks of all of a file's together."""
    plans = []
    left_out: list[str] = []
    for counts in files:
        enough = list(map(splits, counts.num_samples))
        left_out += [counts.users[user] for user, split in enumerate(enough) if not split]
        sides = draw(list(compress(counts.num_samples, enough)))
        plans.append(
            {side: FilePlan.of_masks(counts, enough, mask) for side, mask in zip((TRAIN, TEST), sides, strict=True)}
        )
    return StagePlan(plans, left_out)
