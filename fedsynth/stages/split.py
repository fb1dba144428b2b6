"""Splitting into train and test: each user's samples, or the users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from fedsynth.leaf.plan import Counts, FilePlan, Masked, StagePlan
from fedsynth.records.layout import TEST, TRAIN

SHAKESPEARE_GAP = 79
"""Shakespeare's samples are windows of 80 characters: test starts where none overlaps with a window of train."""

_TAKE, _LEAVE = b"\1", b"\0"
_SWAP = bytes.maketrans(_TAKE + _LEAVE, _LEAVE + _TAKE)

Masks = tuple[bytes, bytes]
"""A user's samples, one byte each, that go to train and to test."""


def split_by_sample(files: Sequence[Counts], *, fraction: float, rng: Random) -> StagePlan:
    """Put a random fraction of each user's samples into train, the others into test; both keep their order.

    Users with fewer than 2 samples are left out. Holds two bytes per sample.
    """
    return _split_samples(files, lambda size: _random_masks(size, fraction, rng))


def split_in_order(files: Sequence[Counts], *, fraction: float) -> StagePlan:
    """Put each user's first samples into train and the last into test, with LEAF's gap for shakespeare between them.

    Users for whom no test sample is left are left out.
    """
    return _split_samples(files, lambda size: _ordered_masks(size, fraction))


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


def _random_masks(num_samples: int, fraction: float, rng: Random) -> Masks | None:
    if num_samples < 2:
        return None
    mask = bytearray(num_samples)
    for sample in rng.sample(range(num_samples), train_size(num_samples, fraction)):
        mask[sample] = 1
    return bytes(mask), bytes(mask.translate(_SWAP))


def _ordered_masks(num_samples: int, fraction: float) -> Masks | None:
    if num_samples < 2:
        return None
    size = train_size(num_samples, fraction)
    test = num_samples - size - SHAKESPEARE_GAP
    if test <= 0:
        return None
    return _TAKE * size + _LEAVE * (num_samples - size), _LEAVE * (num_samples - test) + _TAKE * test


def _split_samples(files: Sequence[Counts], masks_of: Callable[[int], Masks | None]) -> StagePlan:
    plans = []
    left_out: list[str] = []
    for counts in files:
        masks = [masks_of(size) for size in counts.num_samples]
        left_out += [user for user, mask in zip(counts.users, masks, strict=True) if mask is None]
        plans.append({side: _masked_file(counts, masks, number) for number, side in enumerate((TRAIN, TEST))})
    return StagePlan(plans, left_out)


def _masked_file(counts: Counts, masks: Sequence[Masks | None], side: int) -> FilePlan:
    users = [user for user, mask in enumerate(masks) if mask is not None]
    picks = [Masked(user, mask[side]) for user, mask in enumerate(masks) if mask is not None]
    return FilePlan(
        users=[counts.users[user] for user in users],
        num_samples=[sum(pick.mask) for pick in picks],
        hierarchies=counts.pick_hierarchies(users),
        picks=picks,
    )
