"""Sampling: take a fraction of all samples, user by user (niid) or pooled and redistributed to new users (iid)."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from fedsynth.errors import UsageError, named
from fedsynth.leaf.plan import FilePlan, Ordered, PooledUsers, Sized, StagePlan, WholeUsers
from fedsynth.records.layout import SAMPLED
from fedsynth.stages.draws import shuffled

_NEW_PER_OLD = 10
"""New users for each old one that are possible however few samples there are: most would have none."""


def sample_niid(files: Sequence[Sized], *, fraction: float, rng: Random) -> StagePlan:
    """Take whole users in random order until the fraction of the file's samples is reached.

    The user who would go over it gives the first samples only, shuffled, as in LEAF. Each file is sampled on its own,
    with one `rng` for all.
    """
    users = sum(len(counts.num_samples) for counts in files)
    return StagePlan(({SAMPLED: _niid_file(counts, fraction, rng)} for counts in files), users)


def sample_iid(files: Sequence[Sized], *, fraction: float, user_fraction: float, rng: Random) -> StagePlan:
    """Redistribute a random part of all samples to new users "0", "1", ..., whose names run on over the files.

    Holds one number per sample taken, and while drawing up to one per sample of the file.
    """
    users = [_new_users(user_fraction, len(counts.num_samples), sum(counts.num_samples)) for counts in files]
    names = accumulate(users, initial=0)
    plans = (
        {SAMPLED: _iid_file(counts, fraction, number, name, rng)}
        for counts, number, name in zip(files, users, names, strict=False)
    )
    return StagePlan(plans, sum(users))


def _niid_file(counts: Sized, fraction: float, rng: Random) -> FilePlan:
    wanted = int(fraction * sum(counts.num_samples))
    order = shuffled(rng, len(counts.num_samples))
    sizes = list(map(counts.num_samples.__getitem__, order))
    ends = list(accumulate(sizes))
    last = bisect_left(ends, wanted)  # the user with whom there are enough
    if wanted == 0:
        return FilePlan.of_whole_users(counts, ())
    if ends[last] == wanted:
        return FilePlan.of_whole_users(counts, order[: last + 1])
    part = wanted - (ends[last] - sizes[last])
    cut = Ordered(order[last], array("q", rng.sample(range(part), part)))
    return FilePlan(array("q", [*sizes[:last], part]), WholeUsers(array("q", order[:last]), cut))


def _iid_file(counts: Sized, fraction: float, num_users: int, first_name: int, rng: Random) -> FilePlan:
    total = sum(counts.num_samples)
    chosen = array("q", rng.sample(range(total), int(fraction * total)))
    sizes = array("q", _group_sizes(len(chosen), num_users))
    return FilePlan(sizes, PooledUsers(chosen, sizes), first_name)


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
