"""Read LEAF's files: an index of users and offsets, made in one checking pass, then one user at a time."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.errors import DataError
from fedsynth.leaf.index import LeafWalk, check_unchanged, open_file, open_unchanged
from fedsynth.leaf.names import Names
from fedsynth.leaf.offsets import AnyIndex, LeafIndex, RawUser, SampleOffsets, shelved
from fedsynth.leaf.plan import Counts
from fedsynth.leaf.runs import RawSamples, Run, read_run, split_run, split_texts
from fedsynth.leaf.samples import MalformedError, UserSamples, is_standard, read_user, split_standard
from fedsynth.leaf.scan import Readable
from fedsynth.records.stamp import FileStamp, FileState
from fedsynth.system import read_at, read_slices

_GAP = 256
"""Bytes between the texts of neighbours at most: a key."""


@dataclass(frozen=True)
class IndexJob:
    """A file to check and index. md5: its sum, None if it is to be found as well; samples: as for `read_index`.

    shelf: where to keep the index, None to return it whole.
    """

    path: Path
    md5: str | None
    samples: bool
    shelf: Path | None = None


def index_file(job: IndexJob, progress: Progress = no_progress) -> tuple[AnyIndex, FileStamp]:
    """Return the index and the stamp of one and the same open file; raises as `read_index`."""
    check_shared([job.path])
    with open_unchanged(job.path) as (file, state):
        hashing = _HashingFile(file) if job.md5 is None else None
        index = _index(hashing or file, job.path, state, progress, samples=job.samples)
    md5 = job.md5 if hashing is None else hashing.hexdigest()
    assert md5 is not None
    return shelved(index, job.shelf), FileStamp(state.size, state.mtime_ns, md5)


def read_index(path: Path, progress: Progress = no_progress, *, samples: bool = False) -> LeafIndex:
    """Check a whole file and return its index; holds one user's text at a time.

    samples: whether to index each sample too, for 24 bytes of memory a sample.
    Raises DataError, naming file and user or byte, for anything that is not LEAF's format: broken JSON, NaN, users
    that are named twice, have no data or are not in `users`, counts that differ, x and y of different lengths; and for
    a file that changes meanwhile.
    """
    with open_unchanged(path) as (file, state):
        return _index(file, path, state, progress, samples=samples)


class _HashingFile:
    """Hash what is read of a file."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._digest = hashlib.md5(usedforsecurity=False)

    def read(self, size: int) -> bytes:
        block = self._file.read(size)
        self._digest.update(block)
        return block

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _index(file: Readable, path: Path, state: FileState, progress: Progress, *, samples: bool) -> LeafIndex:
    walk = LeafWalk(file, path)
    standard = bytearray()
    sample_offsets = SampleOffsets() if samples else None
    for part in walk.users_and_runs(read_run):
        if isinstance(part, Run):
            standard += b"\1" * len(part.names)
            if sample_offsets is not None:
                for offset, raw in zip(part.offsets, part.samples, strict=True):
                    sample_offsets.add(offset, raw)
            progress(len(part.names))
            continue
        name, offset, text = part
        user = check_user(path, name, offset, text)
        walk.check_size(name, len(user.x))
        standard.append(user.text is text or is_standard(text, user.x, user.y))
        if sample_offsets is not None and standard[-1]:
            sample_offsets.add(offset, user)
        del part, text, user  # before the next one is read: each may be large
        progress(1)
    return LeafIndex(
        path=path,
        counts=_counts(walk),
        offsets=walk.in_head_order(walk.offsets),
        sizes=walk.in_head_order(walk.sizes),
        standard=bytes(walk.in_head_order(standard).tolist()),
        samples=sample_offsets if all(standard) else None,
        state=state,
    )


def _counts(walk: LeafWalk) -> Counts:
    """Return the head's counts, packed."""
    users, num_samples = walk.head["users"], array("q", walk.head["num_samples"])
    order: Sequence[int] = range(len(users))
    if list(walk.order) != users:
        position = {user: number for number, user in enumerate(users)}
        order = array("q", map(position.__getitem__, walk.order))
    return Counts(Names.of(users), num_samples, walk.head.get("hierarchies"), order)


def check_user(path: Path, name: str, offset: int, text: bytes, *, standard: bool = False) -> UserSamples:
    """Return a user's raw samples. Raises DataError that names file, user and, where it can, the byte."""
    try:
        return split_standard(text) if standard else read_user(text)
    except MalformedError as error:
        where = "" if error.offset is None else f" at byte {offset + error.offset:,}"
        raise DataError(
            f'{path}: user "{name}" has {error.problem}{where}; generate or fetch the file again'
        ) from error


class SampleReader:
    """Open an indexed file and hand out users. Keeps one user in memory.

    Raises DataError, when it is opened and when it is left, if the file is not the one that was indexed.
    """

    def __init__(self, index: LeafIndex) -> None:
        self._index = index
        self._file = open_file(index.path)
        self._held: tuple[int, UserSamples] | None = None
        try:
            self._check_unchanged()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> SampleReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with self._file:
            if kind is None or issubclass(kind, DataError):  # the change explains the damage
                self._check_unchanged()

    def _check_unchanged(self) -> None:
        if self._index.state is not None:
            check_unchanged(self._index.path, self._index.state, os.fstat(self._file.fileno()))

    def is_standard(self, user: int) -> bool:
        """Whether a user's text is x and y alone, with LEAF's separators."""
        return bool(self._index.standard[user])

    def are_standard(self, users: Sequence[int]) -> bytes:
        """Return what `is_standard` says of each user, 1 or 0."""
        return bytes(map(self._index.standard.__getitem__, users))

    def text(self, user: int) -> bytes:
        """Return a user's text with LEAF's separators: a plain slice wherever the index says that it is so already."""
        return self._slice(user) if self._index.standard[user] else self.samples(user).text

    def samples(self, user: int) -> UserSamples:
        """Return a user's raw samples; asking again for the same user costs nothing."""
        if self._held is None or self._held[0] != user:
            self._held = None  # before the next one is read: each may be large
            name = self._index.counts.users[user]
            text = self._slice(user)
            offset, standard = self._index.offsets[user], self.is_standard(user)
            self._held = user, check_user(self._index.path, name, offset, text, standard=standard)
        return self._held[1]

    def texts(self, users: Sequence[int]) -> list[bytes]:
        """Return the texts of users as `text` does; neighbours are read together. Holds them all, and so does it."""
        if not all(self.are_standard(users)):
            return [self.text(user) for user in users]
        texts: list[bytes] = []
        alone: list[int] = []
        for run in _neighbours(users, self._index.offsets, self._index.sizes):
            if len(run) == 1:
                alone += run
            else:
                texts += self._slices_of(alone) + self._split(run)
                alone = []
        return texts + self._slices_of(alone)

    def samples_of(self, users: Sequence[int]) -> Sequence[RawUser]:
        """Return the raw samples of users, as `samples` does. Holds them all, and so does it."""
        if len(users) > 1 and all(self.are_standard(users)):
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return self._neighbours_samples(users) or split_texts(self.texts(users))
        return [self.samples(user) for user in users]

    def _slices_of(self, users: Sequence[int]) -> list[bytes]:
        return self._slices(self._index.offsets, self._index.sizes, users)

    def _split(self, users: Sequence[int]) -> list[bytes]:
        """Read neighbours at once and return the text of each."""
        block, offsets, sizes = self._block(users), self._index.offsets, self._index.sizes
        first = offsets[users[0]]
        return [block[offsets[user] - first : offsets[user] - first + sizes[user]] for user in users]

    def _neighbours_samples(self, users: Sequence[int]) -> list[RawSamples]:
        """Return the raw samples of neighbours, none where others are between them. Raises as `split_texts` does."""
        _, *others = _neighbours(users, self._index.offsets, self._index.sizes)
        if others:
            return []
        samples = split_run(json.dumps(self._index.counts.users[users[0]]).encode(), self._block(users))
        return samples if len(samples) == len(users) else []

    def _block(self, users: Sequence[int]) -> bytes:
        """Read neighbours at once."""
        first, last = self._index.offsets[users[0]], self._index.offsets[users[-1]] + self._index.sizes[users[-1]]
        block = read_at(self._file, first, last - first)
        self._check_size(len(block), last - first)
        return block

    def pooled(self, samples: Sequence[int]) -> tuple[list[bytes], list[bytes]]:
        """Return x and y of samples numbered through the file, in the order of its user_data. Needs their offsets."""
        found = self._index.samples
        assert found is not None
        x = self._slices(found.x_offsets, found.x_sizes, samples)
        return x, self._slices(found.y_offsets, found.y_sizes, samples)

    def _slice(self, user: int) -> bytes:
        offset, size = self._index.offsets[user], self._index.sizes[user]
        data = read_at(self._file, offset, size)
        self._check_size(len(data), size)
        return data

    def _slices(self, offsets: Sequence[int], sizes: Sequence[int], samples: Sequence[int]) -> list[bytes]:
        wanted = [sizes[sample] for sample in samples]
        slices = read_slices(self._file, [offsets[sample] for sample in samples], wanted)
        self._check_size(sum(map(len, slices)), sum(wanted))
        return slices

    def _check_size(self, found: int, expected: int) -> None:
        if found != expected:
            raise DataError(f"{self._index.path}: has become shorter; another program changed it: run again")


def _neighbours(users: Sequence[int], offsets: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Yield users in groups of neighbours in the file, with few bytes between their texts."""
    run: list[int] = []
    end = 0
    for user in users:
        if run and not 0 <= offsets[user] - end <= _GAP:
            yield run
            run = []
        run.append(user)
        end = offsets[user] + sizes[user]
    if run:
        yield run
