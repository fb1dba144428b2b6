"""Read LEAF's files: an index of users and places, made in one checking pass, then one user at a time."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.errors import DataError
from fedsynth.leaf.head import check_head, decode_value
from fedsynth.leaf.plan import Counts
from fedsynth.leaf.samples import MalformedError, Raw, UserSamples, join_samples, read_user, split_standard
from fedsynth.leaf.scan import Scanner
from fedsynth.records.stamp import stamp_file
from fedsynth.system import read_at, read_slices


class SamplePlaces:
    """Where each sample's x and y are in a file, numbered in the order in which users are added. All [samples]."""

    def __init__(self) -> None:
        self.x_offsets, self.x_sizes = array("q"), array("i")
        self.y_offsets, self.y_sizes = array("q"), array("i")

    def add(self, offset: int, user: UserSamples) -> None:
        """Add a user whose standard text is at `offset`: two bytes are between samples, so sizes tell the places."""
        at = offset + len('{"x": [')
        at = _append(self.x_offsets, self.x_sizes, at, user.x)
        _append(self.y_offsets, self.y_sizes, at + len('], "y": ['), user.y)


def _append(offsets: array[int], sizes: array[int], at: int, samples: Sequence[Raw]) -> int:
    """Append the places of consecutive samples; return where the last one ends."""
    for raw in samples:
        size = len(memoryview(raw))
        offsets.append(at)
        sizes.append(size)
        at += size + 2
    return at - 2 if samples else at


@dataclass(frozen=True)
class LeafIndex:
    """Where the users of one file are. All sequences are [users], in the order of the file's `users`."""

    path: Path
    counts: Counts
    offsets: Sequence[int]
    sizes: Sequence[int]
    standard: Sequence[int]
    """1 where the user's text is x and y with LEAF's separators, so that a slice of it can be copied as it is."""
    exact: bool = False
    """Whether the whole file is LEAF's text to the byte, as everything is that fedsynth wrote."""
    samples: SamplePlaces | None = None
    """Where each sample is; None where nobody asked, and where not every user's text is standard."""


@dataclass(frozen=True)
class IndexJob:
    """A file to check and index. md5: its sum, None if it is to be found as well; samples: as for `read_index`."""

    path: Path
    md5: str | None
    samples: bool


def index_file(job: IndexJob, progress: Progress = no_progress) -> tuple[LeafIndex, str]:
    """Return a file's index and its MD5 sum; raises as `read_index`."""
    check_shared([job.path])
    return read_index(job.path, progress, samples=job.samples), job.md5 or stamp_file(job.path).md5


def read_index(path: Path, progress: Progress = no_progress, *, samples: bool = False) -> LeafIndex:
    """Check a whole file and return its index; holds one user's text at a time.

    samples: whether to index each sample too, for 24 bytes of memory a sample.
    Raises DataError, naming file and user or byte, for anything that is not LEAF's format: broken JSON, NaN, users
    that are named twice, have no data or are not in `users`, counts that differ, x and y of different lengths.
    """
    with path.open("rb") as file:
        scanner = Scanner(file, path)
        head: dict[str, Any] = {}
        places: dict[str, _Place] | None = None
        sample_places = SamplePlaces() if samples else None
        for key in scanner.members():
            if key == "user_data":
                places = dict(_read_places(scanner, progress, sample_places))
            else:
                head[key] = decode_value(scanner, key)
        scanner.end()
    if places is None:
        raise DataError(f'{path}: no "user_data", which every LEAF file has; generate or fetch the file again')
    return _build_index(path, head, places, sample_places)


@dataclass(frozen=True)
class _Place:
    offset: int
    size: int
    num_samples: int
    standard: bool


def _read_places(scanner: Scanner, progress: Progress, samples: SamplePlaces | None) -> Iterator[tuple[str, _Place]]:
    seen = set()
    for name in scanner.members():
        if name in seen:
            raise DataError(f'{scanner.path}: user "{name}" appears twice in user_data; merge or rename the two')
        seen.add(name)
        offset, text = scanner.value()
        user = check_user(scanner.path, name, offset, text)
        standard = user.text is text or join_samples(user.x, user.y) == text
        if samples is not None and standard:
            samples.add(offset, user)
        yield name, _Place(offset, len(text), len(user.x), standard)
        progress(1)


def check_user(path: Path, name: str, offset: int, text: bytes, *, standard: bool = False) -> UserSamples:
    """Return a user's raw samples. Raises DataError that names file, user and, where it can, the byte."""
    try:
        return split_standard(text) if standard else read_user(text)
    except MalformedError as error:
        where = "" if error.offset is None else f" at byte {offset + error.offset:,}"
        raise DataError(
            f'{path}: user "{name}" has {error.problem}{where}; generate or fetch the file again'
        ) from error


def _build_index(
    path: Path, head: dict[str, Any], places: dict[str, _Place], samples: SamplePlaces | None
) -> LeafIndex:
    users = check_head(path, head)
    _check_same_users(path, users, places)
    for user, stated in zip(users, head["num_samples"], strict=True):
        check_size(path, user, stated=stated, found=places[user].num_samples)
    position = {user: number for number, user in enumerate(users)}
    counts = Counts(users, head["num_samples"], head.get("hierarchies"), [position[name] for name in places])
    return LeafIndex(
        path=path,
        counts=counts,
        offsets=array("q", (places[user].offset for user in users)),
        sizes=array("q", (places[user].size for user in users)),
        standard=bytes(places[user].standard for user in users),
        samples=samples if all(place.standard for place in places.values()) else None,
    )


def check_size(path: Path, user: str, *, stated: int, found: int) -> None:
    """Raise DataError unless a user has as many samples as the head says."""
    if found != stated:
        raise DataError(
            f'{path}: user "{user}" has {stated} in num_samples but {found} samples; generate or fetch the file again'
        )


def _check_same_users(path: Path, users: Sequence[str], places: dict[str, _Place]) -> None:
    for user in users:
        if user not in places:
            raise DataError(f'{path}: user "{user}" has no entry in user_data; generate or fetch the file again')
    if len(places) > len(users):
        listed = set(users)
        extra = next(user for user in places if user not in listed)
        raise DataError(f'{path}: user "{extra}" has data but is not listed in users; generate or fetch the file again')


class SampleReader:
    """Open an indexed file and hand out users. Keeps one user in memory."""

    def __init__(self, index: LeafIndex) -> None:
        self._index = index
        self._file = FileIO(index.path)
        self._held: tuple[int, UserSamples] | None = None

    def __enter__(self) -> SampleReader:
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()

    def is_standard(self, user: int) -> bool:
        """Whether a user's text is x and y alone, with LEAF's separators."""
        return bool(self._index.standard[user])

    def text(self, user: int) -> bytes:
        """Return a user's text with LEAF's separators: a plain slice wherever the index says that it is so already."""
        return self._slice(user) if self._index.standard[user] else self.samples(user).text

    def samples(self, user: int) -> UserSamples:
        """Return a user's raw samples; asking again for the same user costs nothing."""
        if self._held is None or self._held[0] != user:
            name = self._index.counts.users[user]
            text = self._slice(user)
            offset, standard = self._index.offsets[user], self.is_standard(user)
            self._held = user, check_user(self._index.path, name, offset, text, standard=standard)
        return self._held[1]

    def pooled(self, samples: Sequence[int]) -> tuple[list[bytes], list[bytes]]:
        """Return x and y of samples numbered through the file, in the order of its user_data. Needs their places."""
        places = self._index.samples
        assert places is not None
        x = self._slices(places.x_offsets, places.x_sizes, samples)
        return x, self._slices(places.y_offsets, places.y_sizes, samples)

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
