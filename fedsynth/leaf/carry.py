"""Carry out a plan: copy raw slices of one input file into its output files. Knows nothing about stages."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import compress, groupby, repeat
from pathlib import Path
from typing import Any

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.leaf.plan import FilePlan, Masked, Ordered, Pick, Pooled, Whole
from fedsynth.leaf.reader import LeafIndex, SampleOffsets, SampleReader
from fedsynth.leaf.samples import sample_pieces
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.stamp import FileStamp, FileState
from fedsynth.system import naming

Output = tuple[FileStamp, LeafIndex]


@dataclass(frozen=True)
class CopyJob:
    """What is to be made of one input file: the outputs by path, and the input's MD5 sum."""

    source: LeafIndex
    plans: Mapping[Path, FilePlan]
    source_md5: str

    @property
    def users(self) -> int:
        """Number of users to deal with, for progress bars."""
        return len(set[str]().union(*(plan.users for plan in self.plans.values())))


def carry_out(job: CopyJob, progress: Progress = no_progress) -> dict[Path, Output]:
    """Write each plan's file and return its stamp and index; holds two users' text and 6 MiB per file.

    That is the text of the user being read and, in its outputs, of the one before, which is still being written; where
    samples are picked, the picked samples' text comes on top, at most once more. Outputs are written side by side, user
    by user, so that a user who goes into two files is read once. A plan that takes everything from a file that is
    LEAF's text to the byte is a copy, whose MD5 sum is known. An unfinished file that a worker left when it died is
    replaced. Raises DataError if the folders are not there on this machine, or the source is not what was indexed.
    """
    source, plans = job.source, job.plans
    check_shared([source.path, *(path.parent for path in plans)])
    for path in plans:
        path.unlink(missing_ok=True)
    if source.exact and len(plans) == 1:
        path, plan = next(iter(plans.items()))
        if plan.copies(source.counts):
            progress(len(plan.users))
            return {path: _copy(source, path, job.source_md5)}
    with contextlib.ExitStack() as stack:
        if source.samples is None and _pools(plans):
            source = stack.enter_context(_located(source, next(iter(plans))))
        reader = stack.enter_context(SampleReader(source))
        writers = {path: stack.enter_context(_writer(path, plan)) for path, plan in plans.items()}
        for picks in _rounds(plans):
            for path, pick in picks:
                _write_pick(pick, reader, writers[path])
            progress(1)
        return {path: writer.finish() for path, writer in writers.items()}


def _rounds(plans: Mapping[Path, FilePlan]) -> Iterator[list[tuple[Path, Pick]]]:
    """Yield all picks of one user after another, in the source's order where the plans keep it."""
    picks = merge(*(zip(repeat(path), plan.picks) for path, plan in plans.items()), key=_position)
    if len(plans) == 1:
        yield from ([pick] for pick in picks)
    else:
        yield from (list(group) for _, group in groupby(picks, _position))


def _position(pick: tuple[Path, Pick]) -> int:
    return 0 if isinstance(pick[1], Pooled) else pick[1].user


def _writer(path: Path, plan: FilePlan) -> LeafWriter:
    return LeafWriter(path, plan.users, plan.num_samples, plan.hierarchies, hash_apart=True)


def _write_pick(pick: Pick, reader: SampleReader, writer: LeafWriter) -> None:
    _CARRIERS[type(pick)](pick, reader, writer)


def _write_whole(pick: Whole, reader: SampleReader, writer: LeafWriter) -> None:
    writer.write_user(reader.text(pick.user), standard=reader.is_standard(pick.user))


def _write_masked(pick: Masked, reader: SampleReader, writer: LeafWriter) -> None:
    user = reader.samples(pick.user)
    writer.write_user(*sample_pieces(list(compress(user.x, pick.mask)), list(compress(user.y, pick.mask))))


def _write_ordered(pick: Ordered, reader: SampleReader, writer: LeafWriter) -> None:
    user = reader.samples(pick.user)
    writer.write_user(*sample_pieces([user.x[n] for n in pick.samples], [user.y[n] for n in pick.samples]))


def _write_pooled(pick: Pooled, reader: SampleReader, writer: LeafWriter) -> None:
    writer.write_user(*sample_pieces(*reader.pooled(pick.samples)))


_CARRIERS: dict[type, Callable[[Any, SampleReader, LeafWriter], None]] = {
    Whole: _write_whole,
    Masked: _write_masked,
    Ordered: _write_ordered,
    Pooled: _write_pooled,
}


def _copy(source: LeafIndex, path: Path, md5: str) -> Output:
    """Copy the very file that was indexed, and whose sum is known: it is the same file before and after."""
    with SampleReader(source):
        shutil.copyfile(source.path, path)
        with naming(path), path.open("rb+") as file:
            os.fsync(file.fileno())
            status = os.fstat(file.fileno())
    with SampleReader(source):  # by its name, which is what was copied
        pass
    state = FileState.of(status)
    if source.state is not None and state.size != source.state.size:
        raise OSError(errno.EIO, f"{state.size:,} of {source.state.size:,} bytes were copied", str(path))
    return FileStamp(state.size, state.mtime_ns, md5), dataclasses.replace(source, path=path, state=state)


def _pools(plans: Mapping[Path, FilePlan]) -> bool:
    return any(isinstance(pick, Pooled) for plan in plans.values() for pick in plan.picks)


@contextlib.contextmanager
def _located(source: LeafIndex, target: Path) -> Iterator[LeafIndex]:
    """Index the samples' offsets; users who are not in the standard form are first written into a passing file.

    That file is beside the target and has x and y alone.
    """
    if all(source.standard):
        yield dataclasses.replace(source, samples=_find_samples(source))
        return
    counts = source.counts
    path = target.with_name(f".{target.name}.pool")
    path.unlink(missing_ok=True)
    try:
        with SampleReader(source) as reader, LeafWriter(path, counts.users, counts.num_samples) as writer:
            for user in range(len(counts.users)):
                samples = reader.samples(user)
                writer.write_user(*sample_pieces(samples.x, samples.y))
            _, index = writer.finish()
        index = dataclasses.replace(index, counts=counts)
        yield dataclasses.replace(index, samples=_find_samples(index))
    finally:
        path.unlink(missing_ok=True)


def _find_samples(index: LeafIndex) -> SampleOffsets:
    offsets = SampleOffsets()
    with SampleReader(index) as reader:
        for user in index.counts.data_order:
            offsets.add(index.offsets[user], reader.samples(user))
    return offsets
