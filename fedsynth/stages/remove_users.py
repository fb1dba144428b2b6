"""Removing users who have too few samples."""

from __future__ import annotations

from collections.abc import Sequence

from fedsynth.leaf.plan import Counts, FilePlan, StagePlan
from fedsynth.records.layout import REM_USERS


def remove_users(files: Sequence[Counts], *, min_samples: int) -> StagePlan:
    """Keep the users with at least `min_samples` samples, in their order."""
    return StagePlan(
        [{REM_USERS: FilePlan.of_whole_users(counts, _large_enough(counts, min_samples))} for counts in files]
    )


def _large_enough(counts: Counts, min_samples: int) -> list[int]:
    return [user for user, size in enumerate(counts.num_samples) if size >= min_samples]
