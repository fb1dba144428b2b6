"""Sampling: take a fraction of all samples, user by user (niid) or pooled and dealt to new users (iid)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from fedsynth.errors import UsageError, named
from fedsynth.leaf.plan import Counts, FilePlan, Ordered, Pick, Pooled, StagePlan, Whole
from fedsynth.records.layout import SAMPLED

_NEW_PER_OLD = 10
"""New users for each old one that are possible however few samples there are: most would have none."""


def sample_niid(files: Sequence[Counts], *, fraction: float, rng: Random) -> StagePlan:
    """Take whole users in random order until the fraction of the file's samples is reached.

    The user who would go over it gives the first samples only, shuffled, as in LEAF. Each file is sampled on its own,
    with one `rng` for all.
    """
    return StagePlan([{SAMPLED: _niid_file(counts, fraction, rng)} for counts in files])


def sample_iid(files: Sequence[Counts], *, fraction: float, user_fraction: float, rng: Random) -> StagePlan:
    """Deal a random part of all samples to new users "0", "1", ..., whose names run on over the files.

    Holds one number per sample taken, and while drawing up to one per sample of the file.
    """
    plans = []
    first_name = 0
    for counts in files:
        plan = _iid_file(counts, fraction, user_fraction, first_name, rng)
        first_name += len(plan.users)
        plans.append({SAMPLED: plan})
    return StagePlan(plans)


def _niid_file(counts: Counts, fraction: float, rng: Random) -> FilePlan:
    wanted = int(fraction * sum(counts.num_samples))
    order = list(range(len(counts.users)))
    rng.shuffle(order)
    users: list[int] = []
    picks: list[Pick] = []
    taken: list[int] = []
    left = wanted
    for user in order:
        if left == 0:
            break
        size = counts.num_samples[user]
        part = min(size, left)
        picks.append(Whole(user) if part == size else Ordered(user, rng.sample(range(part), part)))
        users.append(user)
        taken.append(part)
        left -= part
    return FilePlan([counts.users[user] for user in users], taken, counts.pick_hierarchies(users), picks)


def _iid_file(counts: Counts, fraction: float, user_fraction: float, first_name: int, rng: Random) -> FilePlan:
    total = sum(counts.num_samples)
    num_users = _new_users(user_fraction, len(counts.users), total)
    chosen = array("q", rng.sample(range(total), int(fraction * total)))
    sizes = _group_sizes(len(chosen), num_users)
    ends = list(accumulate(sizes))
    picks = [Pooled(chosen[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    names = [str(first_name + number) for number in range(num_users)]
    return FilePlan(names, sizes, None, picks)


def _new_users(user_fraction: float, users: int, samples: int) -> int:
    """Return the number of new users. Raises UsageError for far more than there are samples to share out."""
    most = max(samples, _NEW_PER_OLD * users)
    if user_fraction * users > most:
        raise UsageError(
            f"{named('user_fraction')} {user_fraction:g} of {users:,} users would make far more new users than there "
            f"are samples, {samples:,}; expected at most {most / users:g}"
        )
    return max(1, round(user_fraction * users)) if users else 0


def _group_sizes(total: int, groups: int) -> list[int]:
    """Return sizes as equal as can be, the smaller ones first."""
    if groups == 0:
        return []
    size, larger = divmod(total, groups)
    return [size] * (groups - larger) + [size + 1] * larger
