"""Splitting into train and test, and where asked for val between them: each user's samples, or the users.

With samples split, a part of the users can be kept whole for `new_users`: methods are judged there on users never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from fedsynth.leaf.plan import Counts, FilePlan, Masked, StagePlan
from fedsynth.records.layout import NEW_USERS, TEST, TRAIN, VAL

SHAKESPEARE_GAP = 79
"""Shakespeare's samples are windows of 80 characters: the next side starts where none overlaps with one before."""

_NONE, _TRAIN, _VAL, _TEST = b"\0", b"\1", b"\2", b"\3"
_SIDES = {TRAIN: _TRAIN, VAL: _VAL, TEST: _TEST}
_MASKS = {name: bytes(code == side[0] for code in range(256)) for name, side in _SIDES.items()}
"""Tables that turn samples' sides into the mask of one side."""


class Sizes(NamedTuple):
    """How many of a user's samples go to each side."""

    train: int
    val: int
    test: int


def split_by_sample(
    files: Sequence[Counts], *, fraction: float, val_fraction: float = 0.0, new_users: float = 0.0, rng: Random
) -> StagePlan:
    """Put a random fraction of each user's samples into train, another into val, the others into test, in their order.

    new_users: the fraction of the users, drawn first, who go whole into a folder of their own. Users with fewer than 2
    samples are dropped. Holds a byte per sample and side.
    """
    sizes = [[sample_sizes(size, fraction, val_fraction) for size in counts.num_samples] for counts in files]
    return _split_samples(files, sizes, lambda user: _drawn(user, rng), bool(val_fraction), new_users, rng)


def split_in_order(
    files: Sequence[Counts], *, fraction: float, val_fraction: float = 0.0, new_users: float = 0.0, rng: Random
) -> StagePlan:
    """Put each user's first samples into train and the last into test, with LEAF's gap for shakespeare between them.

    val lies between the two, with a gap on either side, if two samples or more are left after the gaps. Users for whom
    no test sample is left are dropped. rng: draws new_users, as in `split_by_sample`.
    """
    sizes = [[ordered_sizes(size, fraction, val_fraction) for size in counts.num_samples] for counts in files]
    return _split_samples(files, sizes, _ordered, bool(val_fraction), new_users, rng)


def split_by_user(files: Sequence[Counts], *, fraction: float, val_fraction: float = 0.0, rng: Random) -> StagePlan:
    """Put a random fraction of all files' users together into train, another into val, the others into test.

    All keep their order. One draw gives both fractions, each rounded down.
    """
    total = sum(len(counts.users) for counts in files)
    train, val = int(fraction * total), int(val_fraction * total)
    side_of = _codes(total, rng.sample(range(total), train + val), train)
    names = _names(with_val=bool(val_fraction))
    plans = []
    first = 0
    for counts in files:
        users = range(len(counts.users))
        sides = {name: [user for user in users if side_of[first + user] == _SIDES[name][0]] for name in names}
        plans.append({side: FilePlan.of_whole_users(counts, chosen) for side, chosen in sides.items()})
        first += len(counts.users)
    return StagePlan(plans)


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


def _drawn(sizes: Sizes, rng: Random) -> bytes:
    """Return the side of each of a user's samples, at random: one draw gives train and val."""
    total = sum(sizes)
    return _codes(total, rng.sample(range(total), sizes.train + sizes.val), sizes.train)


def _ordered(sizes: Sizes) -> bytes:
    """Return the side of each of a user's samples, in their order, with gaps between the sides."""
    gap = _NONE * SHAKESPEARE_GAP
    return gap.join(side * size for side, size in zip(_SIDES.values(), sizes, strict=True) if size)


def _codes(total: int, drawn: Sequence[int], train: int) -> bytes:
    """Return the side of each of so many: the first ones drawn are train's, the others drawn val's, the rest test's."""
    codes = bytearray(_TEST * total)
    for number in drawn[:train]:
        codes[number] = _TRAIN[0]
    for number in drawn[train:]:
        codes[number] = _VAL[0]
    return bytes(codes)


def _names(*, with_val: bool) -> list[str]:
    return [TRAIN, VAL, TEST] if with_val else [TRAIN, TEST]


def _split_samples(
    files: Sequence[Counts],
    sizes: Sequence[Sequence[Sizes | None]],
    sides_of: Callable[[Sizes], bytes],
    with_val: bool,
    new_users: float,
    rng: Random,
) -> StagePlan:
    """Draw the new users among all who can be split, then split the others one by one."""
    new = _draw_new_users(sizes, new_users, rng)
    plans = []
    left_out: list[str] = []
    for counts, users, whole in zip(files, sizes, new, strict=True):
        left_out += [name for name, user in zip(counts.users, users, strict=True) if user is None]
        picks: dict[str, list[Masked]] = {side: [] for side in _names(with_val=with_val)}
        for number, user in enumerate(users):
            if user is not None and number not in whole:
                _add_picks(picks, number, user, sides_of(user))
        plan = {side: _masked_file(counts, found) for side, found in picks.items()}
        plans.append(plan | ({NEW_USERS: FilePlan.of_whole_users(counts, sorted(whole))} if new_users else {}))
    return StagePlan(plans, left_out)


def _draw_new_users(sizes: Sequence[Sequence[Sizes | None]], fraction: float, rng: Random) -> list[set[int]]:
    """Return the users of each file who are kept whole: a random fraction, rounded down, of all files' together."""
    known = [(file, user) for file, users in enumerate(sizes) for user, size in enumerate(users) if size]
    new: list[set[int]] = [set() for _ in sizes]
    for place in rng.sample(range(len(known)), int(fraction * len(known))):
        file, user = known[place]
        new[file].add(user)
    return new


def _add_picks(picks: dict[str, list[Masked]], user: int, sizes: Sizes, sides: bytes) -> None:
    """Add a user to the sides' files; who has nothing for val is not in it."""
    for side, found in picks.items():
        if side != VAL or sizes.val:
            found.append(Masked(user, sides.translate(_MASKS[side])))


def _masked_file(counts: Counts, picks: Sequence[Masked]) -> FilePlan:
    users = [pick.user for pick in picks]
    return FilePlan(
        users=[counts.users[user] for user in users],
        num_samples=[pick.mask.count(1) for pick in picks],
        hierarchies=counts.pick_hierarchies(users),
        picks=picks,
    )
