"""Carry out a plan: copy raw slices of one input file into its output files. Knows nothing about stages."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, zip_longest
from pathlib import Path
from typing import Any

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.leaf.plan import Counts, FilePlan, MaskedUsers, Picks, PooledUsers, WholeUsers
from fedsynth.leaf.reader import LeafIndex, SampleOffsets, SampleReader
from fedsynth.leaf.samples import sample_pieces
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.stamp import FileStamp, FileState
from fedsynth.system import naming

Output = tuple[FileStamp, LeafIndex]

_BATCH = 1 << 17
"""Bytes of text of users who are dealt with together."""


@dataclass(frozen=True)
class CopyJob:
    """What is to be made of one input file: the outputs by path, and the input's MD5 sum."""

    source: LeafIndex
    plans: Mapping[Path, FilePlan]
    source_md5: str

    @property
    def users(self) -> int:
        """Number of users to deal with, for progress bars."""
        return max(len(plan.picks) for plan in self.plans.values())


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
            progress(len(plan.picks))
            return {path: _copy(source, path, job.source_md5)}
    with contextlib.ExitStack() as stack:
        if source.samples is None and _pools(plans):
            source = stack.enter_context(_located(source, next(iter(plans))))
        reader = stack.enter_context(SampleReader(source))
        writers = {path: stack.enter_context(_writer(path, plan, source.counts)) for path, plan in plans.items()}
        for start, stop in _batches([plan.picks for plan in plans.values()], source.sizes):
            for plan, writer in zip(plans.values(), writers.values(), strict=True):
                _write(plan.picks, start, min(stop, len(plan.picks)), reader, writer)
            progress(stop - start)
        return {path: writer.finish() for path, writer in writers.items()}


def _writer(path: Path, plan: FilePlan, source: Counts) -> LeafWriter:
    return LeafWriter(path, plan.names(source), plan.num_samples, plan.hierarchies(source), hash_apart=True)


def _batches(plans: Sequence[Picks], sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield runs of numbers of picks, of all plans together: small users are dealt with together, large ones alone."""
    start, held = 0, 0
    whole = [picks.positions for picks in plans if not isinstance(picks, PooledUsers)]
    number = 0
    for number, users in enumerate(zip_longest(*whole)):
        size = max(sizes[user] for user in users if user is not None)
        if number > start and held + size > _BATCH:
            yield start, number
            start, held = number, 0
        held += size
    if whole and len(whole[0]):
        yield start, number + 1
    pooled = max((len(picks) for picks in plans if isinstance(picks, PooledUsers)), default=0)
    yield from ((number, number + 1) for number in range(pooled))


def _write(picks: Picks, start: int, stop: int, reader: SampleReader, writer: LeafWriter) -> None:
    if start < stop:
        _CARRIERS[type(picks)](picks, start, stop, reader, writer)


def _write_whole(picks: WholeUsers, start: int, stop: int, reader: SampleReader, writer: LeafWriter) -> None:
    users = picks.users[start:stop]
    standard = bytes([reader.is_standard(user) for user in users])
    if len(users) == 1:  # it may be large: not to be copied into one text with its name
        writer.write_user(reader.text(users[0]), standard=bool(standard[0]))
    else:
        writer.write_users(reader.texts(users), standard)
    if picks.cut is not None and stop == len(picks):
        user = reader.samples(picks.cut.user)
        chosen = picks.cut.samples
        writer.write_user(*sample_pieces([user.x[n] for n in chosen], [user.y[n] for n in chosen]))


def _write_masked(picks: MaskedUsers, start: int, stop: int, reader: SampleReader, writer: LeafWriter) -> None:
    samples = reader.samples_of(picks.positions[start:stop])
    masks = picks.masks(start, stop)
    if len(samples) == 1:
        (user,), (mask,) = samples, masks
        writer.write_user(*sample_pieces(list(compress(user.x, mask)), list(compress(user.y, mask))))
        return
    join = b", ".join
    texts = [
        b'{"x": [%b], "y": [%b]}' % (join(compress(user.x, mask)), join(compress(user.y, mask)))
        for user, mask in zip(samples, masks, strict=True)
    ]
    writer.write_users(texts, b"\1" * len(texts))


def _write_pooled(picks: PooledUsers, start: int, stop: int, reader: SampleReader, writer: LeafWriter) -> None:
    for number in range(start, stop):
        writer.write_user(*sample_pieces(*reader.pooled(picks[number].samples)))


_CARRIERS: dict[type, Callable[[Any, int, int, SampleReader, LeafWriter], None]] = {
    WholeUsers: _write_whole,
    MaskedUsers: _write_masked,
    PooledUsers: _write_pooled,
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
