"""Generate a whole dataset: files of users, and the truth about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from fedsynth.engine import Engine, Progress, check_shared
from fedsynth.errors import UsageError, named
from fedsynth.leaf.block_writer import BlockWriter
from fedsynth.processes.registry import INDEPENDENT, PROCESSES, AnyParameters
from fedsynth.processes.streams import Stream
from fedsynth.records.layout import shard_names
from fedsynth.records.stamp import FileStamp
from fedsynth.truth import TruthGatherer, TruthPart, TruthWriter


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
    """One file. path: where; tasks: the numbers of its users; models: where users' own models go meanwhile.

    sync: whether to see to it that the file is on the disk, which another process on the same machine can do as well.
    """

    path: Path
    dataset: Dataset
    tasks: range
    models: Path
    sync: bool

    @property
    def users(self) -> int:
        """Number of users to write, for progress bars."""
        return len(self.tasks)


@dataclass(frozen=True)
class Shard:
    """A file that was written. num_samples: [users] int64."""

    stamp: FileStamp
    num_samples: NDArray[np.int64]


Keep = Callable[[Mapping[str, NDArray[Any]]], None]
"""Called with what is true of the next users: [users, ...] by name."""


def write_dataset(
    folder: Path,
    truth_path: Path,
    dataset: Dataset,
    engine: Engine,
    progress: Progress,
    *,
    passing: Path,
    sync: Callable[[Path], None],
) -> dict[str, Shard]:
    """Draw all tasks, write them as users "0", "1", ... and the ground truth; return the files by name.

    Holds a block of small users, or a large one, with their text, and the names of one file's; of each user a size
    and, for LEAF's process, cluster and K numbers. Models without a common basis, where workers draw them, wait in the
    folder `passing` until all before them are in the truth. sync: given each file made on this machine, which need not
    be on the disk yet. Raises UsageError if several workers are to draw from one sequence.
    """
    if not engine.inline and dataset.stream != INDEPENDENT:
        raise UsageError(
            f"{named('stream')} {dataset.stream} is one sequence of draws, which workers cannot share; "
            f"add {named('stream')} {INDEPENDENT} (other data of the same distribution), or leave "
            f"{named('workers')} and {named('scheduler')} out"
        )
    stream = open_stream(dataset)
    remote = not engine.local
    jobs = [ShardJob(folder / name, dataset, tasks, passing / name, remote) for name, tasks in dataset.shards.items()]
    shards = {}
    with TruthWriter(truth_path, dataset.parameters.num_tasks) as truth:
        write = partial(_write_here, stream=stream, truth=truth) if engine.inline else write_shard_alone
        results = engine.map(write, jobs, progress=progress, users=lambda job: job.users)
        for job, (shard, part) in zip(jobs, results, strict=True):
            if not job.sync:
                sync(job.path)
            part.move_to(truth)
            shards[job.path.name] = shard
        sizes = np.concatenate([shard.num_samples for shard in shards.values()])
        stamps = [shard.stamp for shard in shards.values()]
        truth.finish(NumberedUsers(range(len(sizes))), sizes, dataset.recorded, stream.shared_truth, data=stamps)
    return shards


def write_shard(job: ShardJob, progress: Progress, *, stream: Stream, keep: Keep) -> Shard:
    """Write one file from a stream; `keep` is given what is true of the users."""
    sizes = stream.sizes_of(job.tasks)
    with BlockWriter(job.path, [str(task) for task in job.tasks], sizes) as writer:
        for block in stream.blocks_of(job.tasks, sizes):
            writer.write(block.sizes, block.x, block.y)
            keep(block.truth)
            progress(len(block.sizes))
        return Shard(writer.finish(sync=job.sync), np.array(sizes, np.int64))


def write_shard_alone(job: ShardJob, progress: Progress) -> tuple[Shard, TruthPart]:
    """Write one file in whatever process this is, from a stream of its own; replaces what a dead worker left."""
    check_shared([job.path.parent, job.models.parent])
    job.path.unlink(missing_ok=True)
    with TruthGatherer(job.models) as gatherer:
        shard = write_shard(job, progress, stream=open_stream(job.dataset), keep=gatherer.extend)
        return shard, gatherer.finish()


def _write_here(job: ShardJob, progress: Progress, *, stream: Stream, truth: TruthWriter) -> tuple[Shard, TruthPart]:
    """Write the next file, and what is true of its users right into the truth: no part of it is left."""
    return write_shard(job, progress, stream=stream, keep=truth.extend), TruthPart({})


def open_stream(dataset: Dataset) -> Stream:
    """Return the draws of a dataset, from the start."""
    return PROCESSES[dataset.parameters.model].streams[dataset.stream](dataset.parameters)


def _as_json(value: Any) -> Any:
    """JSON has no lists that stay as they are, and no infinity."""
    if isinstance(value, tuple):
        return list(value)
    return "inf" if value == math.inf else value


class NumberedUsers(Sequence[str]):
    """The ids of users that are called by their numbers, made when they are asked for."""

    def __init__(self, numbers: range) -> None:
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return one id, or the list of those in a slice."""
        if isinstance(index, slice):
            return [*map(str, self._numbers[index])]
        return str(self._numbers[index])
