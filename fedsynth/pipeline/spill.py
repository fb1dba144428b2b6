"""Sort samples by user with little memory: rows go to temporary files of a few users each, then each is put together.

A bucket is a run of users whose samples fit into memory. `NAME.heads` holds for each of its samples, in the order of
the source, the user, the label and, for texts, the number of bytes; `NAME.x` the samples themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.engine import Progress, check_shared
from fedsynth.errors import DataError
from fedsynth.leaf.text import sample_pieces, user_pieces
from fedsynth.leaf.writer import LeafWriter
from fedsynth.partitioners.draws import grouping
from fedsynth.records.stamp import FileStamp
from fedsynth.system import naming

_BUCKET_BYTES = 24 << 20
_MOST_BUCKETS = 400
"""Of which each gets a few kilobytes of every batch; larger data makes larger buckets."""

Samples = NDArray[Any] | Sequence[bytes]


@dataclass(frozen=True)
class Bucket:
    """Some users' samples. stem: of its files; users: their positions."""

    stem: Path
    users: range

    @property
    def heads(self) -> Path:
        """The file of users, labels and sizes."""
        return self.stem.with_suffix(".heads")

    @property
    def samples(self) -> Path:
        """The file of samples."""
        return self.stem.with_suffix(".x")


class Spill:
    """Take batches of samples and append each to its user's bucket. Holds one batch.

    num_samples: [users]; ends: users after which a bucket must end, as a file does; label_type: of y.
    """

    def __init__(
        self, folder: Path, num_samples: NDArray[np.int64], ends: Sequence[int], label_type: np.dtype[Any]
    ) -> None:
        self._folder = folder
        self._num_samples = num_samples
        self._ends = ends
        self._head = np.dtype([("user", np.int32), ("size", np.int64), ("y", label_type)])
        self._rows: tuple[np.dtype[Any], tuple[int, ...]] | None = None
        self._bucket_of: NDArray[np.int32] | None = None
        self.buckets: list[Bucket] = []

    def add(self, users: NDArray[np.int32], y: NDArray[Any], x: Samples) -> None:
        """Take the next samples. users, y: [rows]; x: an array of one type and row shape for all batches, or texts."""
        if self._bucket_of is None:
            self._open(x)
        if isinstance(x, np.ndarray) and self._rows != (x.dtype, x.shape[1:]):
            raise DataError(
                f"samples change from {self._rows} to {(x.dtype, x.shape[1:])}, expected one type and shape"
            )
        assert self._bucket_of is not None
        heads = np.empty(len(users), self._head)
        heads["user"], heads["y"] = users, y
        heads["size"] = 0 if isinstance(x, np.ndarray) else [len(text) for text in x]
        numbers = self._bucket_of[users]
        order = grouping(numbers, len(self.buckets))
        bounds = np.searchsorted(numbers[order], np.arange(len(self.buckets) + 1))
        for bucket, start, end in zip(self.buckets, bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            if start < end:
                chosen = order[start:end]
                data = (
                    x[chosen].tobytes() if isinstance(x, np.ndarray) else b"".join([x[row] for row in chosen.tolist()])
                )
                _append(bucket.heads, heads[chosen].tobytes())
                _append(bucket.samples, data)

    def of_users(self, users: range) -> SpilledUsers:
        """Return the buckets of some users, which must begin and end with buckets."""
        mine = [bucket for bucket in self.buckets if bucket.users.start in users]
        return SpilledUsers(mine, self._head, self._rows)

    def _open(self, x: Samples) -> None:
        """Choose the buckets: by the rows' size, or what texts seem to need."""
        if isinstance(x, np.ndarray):
            self._rows = x.dtype, x.shape[1:]
            width = x.nbytes / max(1, len(x))
        else:
            width = 2.0 * sum(map(len, x)) / max(1, len(x))
        room = max(_BUCKET_BYTES, int(width * int(self._num_samples.sum()) / _MOST_BUCKETS))
        for start, end in _runs(self._num_samples.astype(np.float64) * width, self._ends, room):
            self.buckets.append(Bucket(self._folder / f"bucket-{len(self.buckets)}", range(start, end)))
        lengths = [len(bucket.users) for bucket in self.buckets]
        self._bucket_of = np.repeat(np.arange(len(self.buckets), dtype=np.int32), lengths)


@dataclass(frozen=True)
class SpilledUsers:
    """Consecutive users whose samples are spilled. rows: type and shape of a sample, None for texts."""

    buckets: Sequence[Bucket]
    head: np.dtype[Any]
    rows: tuple[np.dtype[Any], tuple[int, ...]] | None

    def texts(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield each user's number of samples, and their text in pieces; holds one bucket."""
        for bucket in self.buckets:
            heads = np.fromfile(bucket.heads, self.head) if bucket.heads.exists() else np.empty(0, self.head)
            order = grouping(heads["user"] - bucket.users.start, len(bucket.users))
            ends = np.cumsum(np.bincount(heads["user"] - bucket.users.start, minlength=len(bucket.users)))
            load = self._load_texts if self.rows is None else self._load_rows
            samples = load(bucket, heads) if len(heads) else None
            for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True):
                mine = order[start:end]
                yield end - start, _user_text(samples, mine, heads["y"][mine])

    def delete(self) -> None:
        """Delete the files: when what is made of them is done, for a lost worker's work is done again."""
        for bucket in self.buckets:
            for file in (bucket.heads, bucket.samples):
                file.unlink(missing_ok=True)

    def _load_rows(self, bucket: Bucket, heads: NDArray[Any]) -> NDArray[Any]:
        assert self.rows is not None
        return np.fromfile(bucket.samples, self.rows[0]).reshape(len(heads), *self.rows[1])

    def _load_texts(self, bucket: Bucket, heads: NDArray[Any]) -> list[bytes]:
        data = bucket.samples.read_bytes()
        ends = np.cumsum(heads["size"]).tolist()
        return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


@dataclass(frozen=True)
class PartJob:
    """One file of all_data. users, num_samples: its head; spilled: the same users' samples."""

    path: Path
    users: Sequence[str]
    num_samples: Sequence[int]
    spilled: SpilledUsers


def write_part(job: PartJob, progress: Progress) -> FileStamp:
    """Write a file from its buckets and return its stamp; replaces what a dead worker left."""
    check_shared([job.path.parent])
    job.path.unlink(missing_ok=True)
    with LeafWriter(job.path, job.users, job.num_samples) as writer:
        for size, (found, text) in zip(job.num_samples, job.spilled.texts(), strict=True):
            if found != size:
                raise DataError(f"{job.path}: its samples are gone that were put aside; run the same command again")
            writer.write_user(*text)
            progress(1)
        return writer.finish()[0]


def _user_text(samples: Samples | None, mine: NDArray[np.int64], y: NDArray[Any]) -> Iterator[bytes]:
    if samples is None or isinstance(samples, np.ndarray):
        yield from user_pieces(np.empty(0) if samples is None else samples[mine], y)
        return
    yield b'{"x": ['
    yield b", ".join([samples[row] for row in mine.tolist()])
    yield b'], "y": ['
    yield from sample_pieces(y)
    yield b"]}"


def _runs(sizes: NDArray[np.float64], ends: Sequence[int], room: int) -> Iterator[tuple[int, int]]:
    """Cut consecutive users into runs that fit into the room, or have one user, and end where they must."""
    start = 0
    for end in ends:
        before = np.cumsum(sizes[start:end])
        at = 0
        while at < end - start:
            held = before[at - 1] if at else 0.0
            following = max(at + 1, int(np.searchsorted(before, held + room, side="right")))
            yield start + at, start + min(following, end - start)
            at = following
        start = end


def _append(path: Path, data: bytes) -> None:
    with naming(path), path.open("ab", buffering=0) as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
