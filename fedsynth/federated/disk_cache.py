"""A cache of a file's arrays on disk, which later runs map instead of decoding the file."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap, write_array_header_1_0
from numpy.typing import NDArray

from fedsynth.errors import StageError
from fedsynth.federated.arrays import ArrayTypes, Samples, read_arrays
from fedsynth.leaf.lazy import LazyLeafFile

_TRIES = 3
_ABANDONED = 3600.0
"""Seconds since the last write after which an unfinished cache is taken to be a killed run's."""


@dataclass(frozen=True)
class CachedArrays:
    """A file's samples, mapped from disk. x: [samples, ...]; y: [samples]; offsets: [users + 1] where users start."""

    x: NDArray[Any]
    y: NDArray[Any]
    offsets: Sequence[int]

    def user(self, number: int) -> Samples:
        """Return views of a user's samples: read-only, into a map of the cache's files."""
        start, stop = self.offsets[number], self.offsets[number + 1]
        return self.x[start:stop], self.y[start:stop]


@dataclass(frozen=True)
class _Cache:
    """Where a file's cache is. name: starts the names of all caches of this file; key: this state and these types."""

    file: LazyLeafFile
    types: ArrayTypes
    folder: Path
    name: str
    key: str

    @property
    def place(self) -> Path:
        return self.folder / self.key


def cached_arrays(file: LazyLeafFile, types: ArrayTypes, folder: Path) -> CachedArrays | None:
    """Return a file's cache in the folder; make it first if there is none that fits the file's size, time and name.

    Making it decodes the whole file, one user at a time, and drops the file's older caches and what killed runs left.
    It appears whole or not at all. Its arrays are read-only maps of files. Returns None if the samples are not all
    numbers of one shape: these can't be cached. Raises StageError where nothing can be written or read.
    """
    name = hashlib.sha256(str(file.path.absolute()).encode()).hexdigest()[:16]
    state = f"{name}-{file.state.size}-{file.state.mtime_ns}"
    cache = _Cache(file, types, folder, name, f"{state}-{_type_name(types.features)}-{_type_name(types.labels)}")
    try:
        for _ in range(_TRIES):  # another process may put a cache of its own in the place of this one's
            found = _open(cache.place, cache)
            if found is not None or not _make(cache, state):
                return found
    except OSError as error:
        raise StageError(
            f"{folder}: the cache of {file.path} can't be made or read ({error}), expected a folder to write to; pass "
            "another one as cache, or none"
        ) from error
    raise StageError(f"{cache.place}: is damaged again and again, expected what was written; pass another cache folder")


def _type_name(dtype: np.dtype[Any]) -> str:
    """Return a name that tells byte orders apart and may stand in a file's name."""
    return ("be" if dtype.str[0] == ">" else "") + dtype.str[1:]


def _open(place: Path, cache: _Cache) -> CachedArrays | None:
    """Map a cache. Returns None if there is none, or if it is damaged."""
    try:
        x, y, offsets = (open_memmap(place / f"{name}.npy", mode="r").view(np.ndarray) for name in _FILES)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError:
        raise
    except Exception:  # NumPy lets Python parse the header: a damaged one raises nearly anything
        return None
    right = np.concatenate([[0], np.cumsum(cache.file.num_samples, dtype=np.int64)])
    if (x.dtype, y.dtype) != (cache.types.features, cache.types.labels) or not np.array_equal(offsets, right):
        return None
    if x.shape[:1] != (right[-1],) or y.shape[:1] != (right[-1],):
        return None
    cache.file.trust_early_head()
    return CachedArrays(x, y, offsets.tolist())


_FILES = ("x", "y", "offsets")


def _make(cache: _Cache, state: str) -> bool:
    """Write the cache beside its place, then move it there, and tidy up. Returns whether the samples can be cached."""
    cache.folder.mkdir(parents=True, exist_ok=True)
    prefix = f".new-{cache.name}-"
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=prefix, ignore_cleanup_errors=True) as new:
        made = Path(new) / cache.key
        made.mkdir()
        if not _write(cache.file, cache.types, made):
            return False
        _publish(made, cache)
        for left in cache.folder.glob(f"{prefix}*"):
            if _last_write(left) < _last_write(Path(new)) - _ABANDONED:
                shutil.rmtree(left, ignore_errors=True)
    for old in cache.folder.glob(f"{cache.name}-*"):
        if not old.name.startswith(f"{state}-"):
            shutil.rmtree(old, ignore_errors=True)
    return True


def _publish(made: Path, cache: _Cache) -> None:
    """Move a new cache to its place, unless another process was faster; what is damaged there goes."""
    if _open(cache.place, cache) is None:
        with contextlib.suppress(FileNotFoundError):
            cache.place.rename(made.with_name("damaged"))
    try:
        made.rename(cache.place)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _last_write(folder: Path) -> float:
    """Return when the folder, or anything in it, was last written to; infinity if it vanishes meanwhile."""
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
    except FileNotFoundError:
        return float("inf")


def _write(file: LazyLeafFile, types: ArrayTypes, folder: Path) -> bool:
    offsets = np.concatenate([[0], np.cumsum(file.num_samples, dtype=np.int64)])
    if offsets[-1] == 0 or not file.ends_with_data:  # who opens a cache need not look at what is after the data
        return False
    first_x, first_y = next(_decoded(file, types))
    if _unlike(first_x, first_x) or _unlike(first_y, first_y):
        return False
    with (folder / "x.npy").open("wb") as x, (folder / "y.npy").open("wb") as y:
        for part, first in ((x, first_x), (y, first_y)):
            shape = (int(offsets[-1]), *first.shape[1:])
            write_array_header_1_0(part, {"descr": first.dtype.str, "fortran_order": False, "shape": shape})
        for user_x, user_y in _decoded(file, types):
            if _unlike(user_x, first_x) or _unlike(user_y, first_y):
                return False
            x.write(user_x.tobytes())
            y.write(user_y.tobytes())
    np.save(folder / "offsets.npy", offsets)
    return True


def _decoded(file: LazyLeafFile, types: ArrayTypes) -> Iterator[Samples]:
    """Yield the users who have samples."""
    for user, size in enumerate(file.num_samples):
        if size:
            yield read_arrays(file, user, types)


def _unlike(array: NDArray[Any], first: NDArray[Any]) -> bool:
    """Whether an array can't stand behind the first one in a file, or is of objects."""
    return array.dtype.kind == "O" or array.dtype != first.dtype or array.shape[1:] != first.shape[1:]
