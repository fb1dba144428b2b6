"""What is measured elsewhere: the users of one file, and what labels show by chance. Imports what that takes alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedsynth.engine import Progress, check_shared
from fedsynth.leaf.head import read_head
from fedsynth.leaf.value_blocks import ValueBlock, read_blocks
from fedsynth.stats.chance import Margins
from fedsynth.stats.heterogeneity import chance_of
from fedsynth.stats.tally import Tally


@dataclass(frozen=True)
class MeasureJob:
    """One file. users: their positions among those of all files; meter: empty, for just these users."""

    path: Path
    users: range
    meter: Tally


def measure_file(job: MeasureJob, progress: Progress) -> Tally:
    """Return what the job's meter found in the file; holds, and raises, what `read_blocks` does."""
    check_shared([job.path])
    position: dict[str, int] = {}
    for found in read_blocks(job.path, lambda: job.meter.wants_x, progress):
        if isinstance(found, ValueBlock):
            users = job.users[found.users.start : found.users.stop]
            job.meter.add_block(users, found.sizes, found.x, found.y)
        else:
            position = position or dict(zip(read_head(job.path)["users"], job.users, strict=True))
            job.meter.add(position[found[0]], *found[1:])
    return job.meter.found()


def measure_chance(margins: Margins, progress: Progress) -> dict[str, float]:
    """Return what labels of these margins show by chance, as a job."""
    return chance_of(margins)
