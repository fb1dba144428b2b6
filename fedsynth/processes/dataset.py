"""Generate a whole dataset: files of users, and the truth about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from fedsynth.engine import Engine, Progress, check_shared
from fedsynth.errors import UsageError, named
from fedsynth.leaf.writer import LeafWriter
from fedsynth.processes.registry import INDEPENDENT, PROCESSES, AnyParameters
from fedsynth.processes.streams import Stream
from fedsynth.processes.text import task_pieces
from fedsynth.records.layout import shard_names
from fedsynth.records.stamp import FileStamp
from fedsynth.truth import TruthWriter


@dataclass(frozen=True)
class Dataset:
    """What is to be generated. stream: by name, see processes/registry.py; "" becomes that of the process.

    num_shards: files; the tasks go to them in consecutive runs of nearly equal size. Raises UsageError for a stream
    that is not known, or more shards than tasks.
    """

    parameters: AnyParameters
    stream: str = ""
    num_shards: int = 1

    def __post_init__(self) -> None:
        process = PROCESSES[self.parameters.model]
        object.__setattr__(self, "stream", process.stream_name(self.stream))  # frozen, but for this
        if not 1 <= self.num_shards <= self.parameters.num_tasks:
            raise UsageError(
                f"{named('num_shards')} is {self.num_shards}, expected 1 to the number of tasks, "
                f"{self.parameters.num_tasks}"
            )

    @property
    def shards(self) -> dict[str, range]:
        """The files' names, and the numbers of their tasks."""
        size, larger = divmod(self.parameters.num_tasks, self.num_shards)
        sizes = [size + (shard < larger) for shard in range(self.num_shards)]
        runs = [range(end - size, end) for end, size in zip(accumulate(sizes), sizes, strict=True)]
        return dict(zip(shard_names(self.num_shards), runs, strict=True))

    @property
    def recorded(self) -> dict[str, Any]:
        """What decides about the users, as JSON values: what the truth keeps, and the manifest with the shards."""
        values = {"model": self.parameters.model, "stream": self.stream, **asdict(self.parameters)}
        return {name: _as_json(value) for name, value in values.items()}


@dataclass(frozen=True)
class ShardJob:
    """One file. path: where; tasks: the numbers of its users."""

    path: Path
    dataset: Dataset
    tasks: range

    @property
    def users(self) -> int:
        """Number of users to deal with, for progress bars."""
        return len(self.tasks)


@dataclass(frozen=True)
class Shard:
    """A file that was written. num_samples: [users]; truth: [users], or empty where it is kept already."""

    stamp: FileStamp
    num_samples: Sequence[int]
    truth: Sequence[Mapping[str, Any]]


def write_dataset(
    folder: Path, truth_path: Path, dataset: Dataset, engine: Engine, progress: Progress
) -> dict[str, Shard]:
    """Draw all tasks, write them as users "0", "1", ... and the ground truth; return the files by name.

    Holds one task's samples and their text, and for each user a name, a size and, for LEAF's process, cluster and K
    numbers; in other processes what is true of a shard's users. Raises UsageError if several workers are to draw from
    one sequence.
    """
    if not engine.inline and dataset.stream != INDEPENDENT:
        raise UsageError(
            f"{named('stream')} {dataset.stream} is one sequence of draws, which workers cannot share; "
            f"add {named('stream')} {INDEPENDENT} (other data of the same law), or leave {named('workers')} and "
            f"{named('scheduler')} out"
        )
    stream = open_stream(dataset)
    jobs = [ShardJob(folder / name, dataset, tasks) for name, tasks in dataset.shards.items()]
    shards = {}
    with TruthWriter(truth_path, dataset.parameters.num_tasks) as truth:
        write = partial(write_shard, stream=stream, keep=truth.add) if engine.inline else write_shard_alone
        results = engine.map(write, jobs, progress=progress, users=lambda job: job.users)
        for job, shard in zip(jobs, results, strict=True):
            for row in shard.truth:
                truth.add(row)
            shards[job.path.name] = replace(shard, truth=())
        sizes = [size for shard in shards.values() for size in shard.num_samples]
        stamps = [shard.stamp for shard in shards.values()]
        truth.finish(_names(range(len(sizes))), sizes, dataset.recorded, stream.shared_truth, data=stamps)
    return shards


def write_shard(
    job: ShardJob, progress: Progress, *, stream: Stream, keep: Callable[[Mapping[str, Any]], None]
) -> Shard:
    """Write one file from a stream; `keep` is given what is true of each user."""
    sizes = stream.sizes_of(job.tasks)
    with LeafWriter(job.path, _names(job.tasks), sizes) as writer:
        for task in stream.tasks_of(job.tasks):
            writer.write_user(*task_pieces(task))
            keep(task.truth)
            progress(1)
        stamp, _ = writer.finish()
    return Shard(stamp, sizes, ())


def write_shard_alone(job: ShardJob, progress: Progress) -> Shard:
    """Write one file in whatever process this is, from a stream of its own; replaces what a dead worker left."""
    check_shared([job.path.parent])
    job.path.unlink(missing_ok=True)
    truth: list[Mapping[str, Any]] = []
    shard = write_shard(job, progress, stream=open_stream(job.dataset), keep=truth.append)
    return replace(shard, truth=truth)


def open_stream(dataset: Dataset) -> Stream:
    """Return the draws of a dataset, from the start."""
    return PROCESSES[dataset.parameters.model].streams[dataset.stream](dataset.parameters)


def _as_json(value: Any) -> Any:
    """JSON has no lists that stay as they are, and no infinity."""
    if isinstance(value, tuple):
        return list(value)
    return "inf" if value == math.inf else value


def _names(tasks: range) -> list[str]:
    return [str(task) for task in tasks]
