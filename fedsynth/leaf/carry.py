"""Carry out a plan: copy raw slices of one input file into its output files. Knows nothing about stages."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, compress
from pathlib import Path

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.leaf.offsets import AnyIndex, LeafIndex, RawUser, SampleOffsets, shelved, unshelved
from fedsynth.leaf.plan import Counts, FilePlan, MaskedUsers, PooledUsers, WholeUsers
from fedsynth.leaf.reader import SampleReader
from fedsynth.leaf.samples import sample_pieces, standard_text
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.stamp import FileStamp, FileState
from fedsynth.system import copy_file, sync_file

Output = tuple[FileStamp, AnyIndex]

_BATCH = 1 << 17
"""Bytes of text of users who are processed together."""


@dataclass(frozen=True)
class CopyJob:
    """What is to be made of one input file: the outputs by path, and the input's MD5 sum.

    shelf: where to keep the outputs' indexes, None to return them whole; sync: whether to see to it that the outputs
    are on the disk, which another process on the same machine can do as well.
    """

    source: AnyIndex
    plans: Mapping[Path, FilePlan]
    source_md5: str
    shelf: Path | None = None
    sync: bool = True

    @property
    def users(self) -> int:
        """Number of users to process, for progress bars."""
        positions = [plan.picks.positions for plan in self.plans.values() if not isinstance(plan.picks, PooledUsers)]
        return len(_together(positions)) if positions else max(len(plan.picks) for plan in self.plans.values())


def carry_out(job: CopyJob, progress: Progress = no_progress) -> dict[Path, Output]:
    """Write each plan's file and return its stamp and index; holds two users' text and 6 MiB per file.

    That is the text of the user being read and, in its outputs, of the one before, which is still being written; where
    samples are picked, the picked samples' text comes on top, at most once more. Outputs are written side by side, user
    by user, so that a user who goes into two files is read once. A plan that takes everything from a file that is
    LEAF's text to the byte is a copy, whose MD5 sum is known. An unfinished file that a worker left when it died is
    replaced. Raises DataError if the folders are not there on this machine, or the source is not what was indexed.
    """
    check_shared([job.source.path, *(path.parent for path in job.plans)])
    for path in job.plans:
        path.unlink(missing_ok=True)
    outputs = _carry_out(job, unshelved(job.source), progress)
    return {path: (stamp, shelved(index, job.shelf)) for path, (stamp, index) in outputs.items()}


def _carry_out(job: CopyJob, source: LeafIndex, progress: Progress) -> dict[Path, tuple[FileStamp, LeafIndex]]:
    plans, counts = job.plans, source.counts
    if source.exact and len(plans) == 1:
        path, plan = next(iter(plans.items()))
        if plan.copies(counts):
            progress(len(plan.picks))
            return {path: _copy(source, path, job)}
    with contextlib.ExitStack() as stack:
        if source.samples is None and _pools(plans):
            source = stack.enter_context(_located(source, next(iter(plans))))
        reader = stack.enter_context(SampleReader(source))
        sides = [_Side(plan, stack.enter_context(_writer(path, plan, counts))) for path, plan in plans.items()]
        for users, parts in _batches(sides, source.sizes):
            _write_batch(sides, parts, reader)
            progress(users)
        return {path: side.writer.finish(sync=job.sync) for path, side in zip(plans, sides, strict=True)}


@dataclass(frozen=True)
class _Side:
    """A file in the making."""

    plan: FilePlan
    writer: LeafWriter


def _writer(path: Path, plan: FilePlan, source: Counts) -> LeafWriter:
    return LeafWriter(path, plan.names(source), plan.num_samples, plan.hierarchies(source), hash_apart=True)


def _batches(sides: Sequence[_Side], sizes: Sequence[int]) -> Iterator[tuple[int, list[range]]]:
    """Yield how many users are processed together, and their numbers on each side.

    Small users are many together, a large one is alone. Where there are several sides, all keep the source's order.
    """
    picks = [side.plan.picks for side in sides]
    positions = [each.positions for each in picks if not isinstance(each, PooledUsers)]
    if not positions:
        yield from ((1, [range(number, number + 1)]) for number in range(len(picks[0])))
        return
    users = _together(positions)
    ends = list(accumulate(map(sizes.__getitem__, users)))
    start, begins = 0, [0] * len(positions)
    while start < len(users):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, bisect_right(ends, before + _BATCH))
        stops = [_stop(users, stop, side, begin) for side, begin in zip(positions, begins, strict=True)]
        yield stop - start, list(map(range, begins, stops))
        start, begins = stop, stops


def _together(positions: Sequence[Sequence[int]]) -> Sequence[int]:
    """Return the users of all sides: those of one in its order, of several in the source's."""
    first, *others = positions
    return first if all(other == first for other in others) else sorted(set(first).union(*others))


def _stop(users: Sequence[int], stop: int, side: Sequence[int], begin: int) -> int:
    """Return how many of a side's users are among the first `stop` of all."""
    if len(side) == len(users):
        return stop
    return len(side) if stop == len(users) else bisect_left(side, users[stop], begin)


def _write_batch(sides: Sequence[_Side], parts: Sequence[range], reader: SampleReader) -> None:
    masked = [
        side.plan.picks.positions[part.start : part.stop]
        for side, part in zip(sides, parts, strict=True)
        if part and isinstance(side.plan.picks, MaskedUsers)
    ]
    users = _together(masked) if masked else []
    samples = dict(zip(users, reader.samples_of(users), strict=True))
    for side, part in zip(sides, parts, strict=True):
        picks = side.plan.picks
        if isinstance(picks, PooledUsers):
            side.writer.write_user(*sample_pieces(*reader.pooled(picks[part.start].samples)))
        elif isinstance(picks, WholeUsers):
            _write_whole(picks, part, reader, side.writer)
        else:
            _write_masked(picks, part, samples, side.writer)


def _write_whole(picks: WholeUsers, part: range, reader: SampleReader, writer: LeafWriter) -> None:
    users = picks.users[part.start : part.stop]
    standard = reader.are_standard(users)
    if len(users) == 1:  # it may be large: not to be copied into one text with its name
        writer.write_user(reader.text(users[0]), standard=bool(standard[0]))
    else:
        writer.write_users(reader.texts(users), standard)
    if picks.cut is not None and part.stop == len(picks):
        user = reader.samples(picks.cut.user)
        chosen = picks.cut.samples
        writer.write_user(*sample_pieces([user.x[n] for n in chosen], [user.y[n] for n in chosen]))


def _write_masked(picks: MaskedUsers, part: range, samples: Mapping[int, RawUser], writer: LeafWriter) -> None:
    users = list(map(samples.__getitem__, picks.positions[part.start : part.stop]))
    masks = picks.masks(part.start, part.stop)
    if len(users) == 1:  # it may be large: as a text of its own it would be held twice
        x, y = (list(compress(samples, masks[0])) for samples in (users[0].x, users[0].y))
        writer.write_user(*sample_pieces(x, y))
        return
    texts = [
        standard_text(compress(user.x, mask), compress(user.y, mask)) for user, mask in zip(users, masks, strict=True)
    ]
    writer.write_users(texts, b"\1" * len(texts))


def _copy(source: LeafIndex, path: Path, job: CopyJob) -> tuple[FileStamp, LeafIndex]:
    """Copy exactly the file that was indexed, and whose sum is known: it is the same file before and after."""
    with SampleReader(source):
        copy_file(source.path, path)
        if job.sync:
            sync_file(path)
        state = FileState.of(path.stat())
    with SampleReader(source):  # by its name, which is what was copied
        pass
    if source.state is not None and state.size != source.state.size:
        raise OSError(errno.EIO, f"{state.size:,} of {source.state.size:,} bytes were copied", str(path))
    stamp = FileStamp(state.size, state.mtime_ns, job.source_md5)
    return stamp, dataclasses.replace(source, path=path, state=state)


def _pools(plans: Mapping[Path, FilePlan]) -> bool:
    return any(isinstance(plan.picks, PooledUsers) for plan in plans.values())


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
