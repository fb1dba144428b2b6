"""Splitting into train and test, and where asked for val between them: each user's samples, or the users.

With samples split, a part of the users can be kept whole for `new_users`: methods are judged there on users never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress, islice, pairwise
from operator import attrgetter
from random import Random
from typing import NamedTuple

from fedsynth.leaf.plan import NAMED, FilePlan, Sized, StagePlan
from fedsynth.records.layout import NEW_USERS, TEST, TRAIN, VAL
from fedsynth.stages.draws import choose

SHAKESPEARE_GAP = 79
"""Shakespeare's samples are windows of 80 characters: the next side starts where none overlaps with one before."""

_NONE, _TRAIN, _VAL, _TEST = b"\0", b"\1", b"\2", b"\3"
_SIDES = {TRAIN: _TRAIN, VAL: _VAL, TEST: _TEST}
_MASKS = {name: bytes(code == side[0] for code in range(256)) for name, side in _SIDES.items()}
"""Tables that turn samples' sides into the mask of one side."""
_REST_IS_TEST = bytes.maketrans(_NONE, _TEST)


class Sizes(NamedTuple):
    """How many of a user's samples go to each side."""

    train: int
    val: int
    test: int


def split_by_sample(
    files: Sequence[Sized], *, fraction: float, val_fraction: float = 0.0, new_users: float = 0.0, rng: Random
) -> StagePlan:
    """Put a random fraction of each user's samples into train, another into val, the others into test, in their order.

    new_users: the fraction of the users, drawn first, who go whole into a folder of their own. Users with fewer than 2
    samples are dropped. Holds a byte per sample and side.
    """
    rule = _Rule(lambda size: sample_sizes(size, fraction, val_fraction), lambda users: _drawn(users, rng))
    return _split_samples(files, rule, bool(val_fraction), new_users, rng)


def split_in_order(
    files: Sequence[Sized], *, fraction: float, val_fraction: float = 0.0, new_users: float = 0.0, rng: Random
) -> StagePlan:
    """Put each user's first samples into train and the last into test, with LEAF's gap for shakespeare between them.

    val lies between the two, with a gap on either side, if two samples or more are left after the gaps. Users for whom
    no test sample is left are dropped. rng: draws new_users, as in `split_by_sample`.
    """
    rule = _Rule(lambda size: ordered_sizes(size, fraction, val_fraction), _ordered)
    return _split_samples(files, rule, bool(val_fraction), new_users, rng)


def split_by_user(files: Sequence[Sized], *, fraction: float, val_fraction: float = 0.0, rng: Random) -> StagePlan:
    """Put a random fraction of all files' users together into train, another into val, the others into test.

    All keep their order. One draw gives both fractions, each rounded down.
    """
    total = sum(len(counts.num_samples) for counts in files)
    side_of = _drawn(
        [Sizes(train := int(fraction * total), val := int(val_fraction * total), total - train - val)], rng
    )
    ends = list(accumulate((len(counts.num_samples) for counts in files), initial=0))
    names = _names(with_val=bool(val_fraction))

    def plans() -> Iterator[dict[str, FilePlan]]:
        for counts, (first, end) in zip(files, pairwise(ends), strict=True):
            masks = {name: side_of[first:end].translate(_MASKS[name]) for name in names}
            yield {
                name: FilePlan.of_whole_users(counts, compress(range(end - first), mask))
                for name, mask in masks.items()
            }

    return StagePlan(plans(), total)


def train_size(num_samples: int, fraction: float) -> int:
    """Return how many of a user's samples go to train without val: at least one, and one of two."""
    return 1 if num_samples == 2 else max(1, int(fraction * num_samples))


def sample_sizes(num_samples: int, fraction: float, val_fraction: float = 0.0) -> Sizes | None:
    """Return the sizes of the sides of a user, None if there are not enough samples for train and test.

    val has int(val_fraction * n) of n samples and at least 1, if there are 3 or more; train has LEAF's size or, where
    that would leave none for test, what is left but one; test has the rest.
    """
    if num_samples < 2:
        return None
    train, val = train_size(num_samples, fraction), 0
    if val_fraction and num_samples > 2:
        val = min(max(1, int(val_fraction * num_samples)), num_samples - 2)
        train = min(train, num_samples - val - 1)
    return Sizes(train, val, num_samples - train - val)


def ordered_sizes(num_samples: int, fraction: float, val_fraction: float = 0.0) -> Sizes | None:
    """Return the sizes of the sides of a user whose samples are split in order, None if none is left for test.

    train has LEAF's size. What is left behind it and a gap is test's; with val, what is left behind it and two gaps is
    shared between val and test as their fractions are, val's part rounded down, each at least 1, or all is as without.
    """
    if num_samples < 2:
        return None
    train = train_size(num_samples, fraction)
    left = num_samples - train - SHAKESPEARE_GAP
    if val_fraction and left - SHAKESPEARE_GAP >= 2:
        left -= SHAKESPEARE_GAP
        val = min(max(1, int(left * val_fraction / (1 - fraction))), left - 1)
        return Sizes(train, val, left - val)
    return Sizes(train, 0, left) if left > 0 else None


@dataclass(frozen=True)
class _Rule:
    """How users' samples are split. sizes: by a user's number of samples, None for who can't be split.

    sides: returns the side of each sample of users of these sizes, a byte each, one user after the other.
    """

    sizes: Callable[[int], Sizes | None]
    sides: Callable[[Sequence[Sizes]], bytes]


def _drawn(users: Sequence[Sizes], rng: Random) -> bytes:
    """Return the side of each of the users' samples, at random: one draw for each user gives train and val."""
    codes = choose(rng, map(sum, users), [user.train for user in users], [user.val for user in users])
    return bytes(codes.translate(_REST_IS_TEST))


def _ordered(users: Sequence[Sizes]) -> bytes:
    """Return the side of each of the users' samples, in their order, with gaps between the sides."""
    gap = _NONE * SHAKESPEARE_GAP
    text = {
        user: gap.join(side * size for side, size in zip(_SIDES.values(), user, strict=True) if size)
        for user in set(users)
    }
    return b"".join(map(text.__getitem__, users))


def _names(*, with_val: bool) -> list[str]:
    return [TRAIN, VAL, TEST] if with_val else [TRAIN, TEST]


def _split_samples(files: Sequence[Sized], rule: _Rule, with_val: bool, new_users: float, rng: Random) -> StagePlan:
    """Draw the new users among all who can be split, then split the others, file by file as they are asked for.

    Holds two bytes a user, and of one file a byte for each sample and side.
    """
    sizes = {size: rule.sizes(size) for size in set[int]().union(*(counts.num_samples for counts in files))}
    able = [bytes(sizes[size] is not None for size in counts.num_samples) for counts in files]
    new = _draw_new_users(able, new_users, rng)

    def plans() -> Iterator[dict[str, FilePlan]]:
        for counts, split, whole in zip(files, able, new, strict=True):
            plan = _split_file(counts, bytes(map(int.__gt__, split, whole)), sizes, rule, with_val)
            more = {NEW_USERS: FilePlan.of_whole_users(counts, compress(range(len(whole)), whole))} if new_users else {}
            yield plan | more

    dropped = ((file, user) for file, users in enumerate(able) for user, split in enumerate(users) if not split)
    kept = sum(users.count(1) for users in able)
    return StagePlan(plans(), kept, list(islice(dropped, NAMED)), sum(map(len, able)) - kept)


def _split_file(
    counts: Sized, users: bytes, sizes: dict[int, Sizes | None], rule: _Rule, with_val: bool
) -> dict[str, FilePlan]:
    """Split the samples of the users who are marked; those with nothing for val are not in it."""
    split = [size for number in compress(counts.num_samples, users) if (size := sizes[number]) is not None]
    sides = rule.sides(split)
    plans = {}
    for side in _names(with_val=with_val):
        mask, present = sides.translate(_MASKS[side]), users
        taken = list(map(attrgetter(side), split))
        if side == VAL:
            mask, present = _without(mask, counts, users, bytes(map(bool, taken)))
        plans[side] = FilePlan.of_masks(counts, present, mask, filter(None, taken))
    return plans


def _without(mask: bytes, counts: Sized, users: bytes, has: bytes) -> tuple[bytes, bytes]:
    """Return the mask of those of the marked users who have something, and their marks among all users."""
    if all(has):
        return mask, users
    ends = accumulate(compress(counts.num_samples, users), initial=0)
    parts = [mask[begin:end] for begin, end in compress(pairwise(ends), has)]
    present = bytearray(users)
    for user, kept in zip(compress(range(len(users)), users), has, strict=True):
        present[user] = kept
    return b"".join(parts), bytes(present)


def _draw_new_users(able: Sequence[bytes], fraction: float, rng: Random) -> list[bytes]:
    """Return who of each file is kept whole: a random fraction, rounded down, of those of all files who are able."""
    total = sum(users.count(1) for users in able)
    chosen = iter(choose(rng, [total], [int(fraction * total)], [0]))
    return [bytes(next(chosen) if split else 0 for split in users) for users in able]
