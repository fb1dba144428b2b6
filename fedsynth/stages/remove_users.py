"""Removing users who have too few samples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

from fedsynth.leaf.plan import FilePlan, Sized, StagePlan
from fedsynth.records.layout import REM_USERS


def remove_users(files: Sequence[Sized], *, min_samples: int) -> StagePlan:
    """Keep the users with at least `min_samples` samples, in their order."""

    def large_enough(counts: Sized) -> map[bool]:
        return map(min_samples.__le__, counts.num_samples)

    plans = (
        {REM_USERS: FilePlan.of_whole_users(counts, compress(range(len(counts.num_samples)), large_enough(counts)))}
        for counts in files
    )
    return StagePlan(plans, sum(map(sum, map(large_enough, files))))
