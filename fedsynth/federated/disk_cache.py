"""A cache of a file's arrays on disk, which later runs map instead of decoding the file.

The folder, if it is made here, carries a mark that says so; whatever else is in it, or in one that was there, stays.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
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
from fedsynth.records.mark import put_mark

CACHE = ".arrays"
"""The cache's folder, beside the files unless another is given; a hidden name, which LEAF and the stages ignore."""

_TRIES = 3
_ABANDONED = 3600.0
"""Seconds since the last write after which an unfinished cache is taken to be a killed run's."""


def cache_folder(path: Path, cache: bool | str | Path) -> Path | None:
    """Return where a folder's or a file's arrays are kept, as `LeafDataset` is asked; None if they are not."""
    if isinstance(cache, bool):
        return (path if path.is_dir() else path.parent) / CACHE if cache else None
    return Path(cache)


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
    """Where a file's cache is.

    source: the file's name where the cache is beside it, which it then stays when both are moved, else its path; name:
    starts the names of all caches of this file; state: of those of its contents as they are now.
    """

    file: LazyLeafFile
    types: ArrayTypes
    folder: Path

    @property
    def source(self) -> str:
        path = self.file.path.absolute()
        return path.name if path.parent == self.folder.parent.absolute() else str(path)

    @property
    def name(self) -> str:
        return hashlib.sha256(os.fsencode(self.source)).hexdigest()[:16]

    @property
    def state(self) -> str:
        state = self.file.state
        return f"{self.name}-{state.size}-{state.mtime_ns}-{state.inode}-{state.ctime_ns}"

    @property
    def path(self) -> Path:
        return self.folder / f"{self.state}-{_type_name(self.types.features)}-{_type_name(self.types.labels)}"


def cached_arrays(file: LazyLeafFile, types: ArrayTypes, folder: Path) -> CachedArrays | None:
    """Return a file's cache in the folder; make it first if there is none that fits the file's name and state.

    The state is the file's size, times and inode, so that other contents are never taken for these. Making it decodes
    the whole file, one user at a time, and drops the file's older caches; the first time in a process and a folder,
    also those of files that are gone, and what runs left that were killed an hour ago or more. It appears whole or not
    at all. Its arrays are read-only maps of files. Returns None if the samples are not all numbers of one shape: these
    can't be cached. Raises StageError where nothing can be written or read.
    """
    cache = _Cache(file, types, folder)
    try:
        for _ in range(_TRIES):  # another process may put its own cache there
            found = _open(cache.path, cache)
            if found is not None or not _make(cache):
                return found
    except OSError as error:
        raise StageError(
            f"{folder}: the cache of {file.path} can't be made or read ({error}), expected a folder to write to; pass "
            "another one as cache, or none"
        ) from error
    raise StageError(f"{cache.path}: is damaged again and again, expected what was written; pass another cache folder")


def _type_name(dtype: np.dtype[Any]) -> str:
    """Return a name that tells byte orders apart and may stand in a file's name."""
    return ("be" if dtype.str[0] == ">" else "") + dtype.str[1:]


def _open(path: Path, cache: _Cache) -> CachedArrays | None:
    """Map a cache. Returns None if there is none, or if it is damaged."""
    try:
        x, y, offsets = (open_memmap(path / f"{name}.npy", mode="r").view(np.ndarray) for name in _FILES)
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
_SOURCE = "source"


def _make(cache: _Cache) -> bool:
    """Write the cache beside its path, then move it there, and tidy up. Returns whether the samples can be cached."""
    _make_folder(cache.folder)
    with tempfile.TemporaryDirectory(dir=cache.folder, prefix=".new-", ignore_cleanup_errors=True) as new:
        made = Path(new) / cache.path.name
        made.mkdir()
        if not _write(cache.file, cache.types, made):
            return False
        (made / _SOURCE).write_bytes(os.fsencode(cache.source))
        _publish(made, cache)
        _tidy(cache, _last_write(Path(new)))
    return True


def _make_folder(folder: Path) -> None:
    """Make the folder and mark it, unless it is there: what is in it then may be anybody's."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir()
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    put_mark(folder)


def _tidy(cache: _Cache, now: float) -> None:
    """Remove the file's older caches and, once in a process, those of files that are gone and what killed runs left."""
    for path in cache.folder.glob(f"{cache.name}-*"):
        if _CACHE.fullmatch(path.name) and not path.name.startswith(f"{cache.state}-"):
            _remove(path)
    if cache.folder in _tidied:  # it costs a look at every cache, and a folder may have one for each of many files
        return
    _tidied.add(cache.folder)
    for path in cache.folder.iterdir():
        if _CACHE.fullmatch(path.name) and _is_orphan(path):
            _remove(path)
        elif _NEW.fullmatch(path.name) and _last_write(path) < now - _ABANDONED:
            for part in (*_inside(path), path):
                _remove(part)


_tidied: set[Path] = set()
_NEW = re.compile(r"\.new-[\w-]+")
_CACHE = re.compile(r"[0-9a-f]{16}(-\d+){2}((-\d+){2})?(-\w+){2}")
"""The names of caches; the first ones had neither inode and ctime nor a source."""


def _is_orphan(cache: Path) -> bool:
    """Whether the file that it was made from is gone, or it doesn't say which that was."""
    try:
        return not (cache.parent.parent / os.fsdecode((cache / _SOURCE).read_bytes())).exists()
    except (OSError, ValueError):
        return True


def _remove(cache: Path) -> None:
    """Remove a cache's files, and its folder if nothing else is in it; links are never followed."""
    if cache.is_symlink():
        return
    for name in (*(f"{name}.npy" for name in _FILES), _SOURCE):
        with contextlib.suppress(OSError):
            (cache / name).unlink()
    with contextlib.suppress(OSError):
        cache.rmdir()


def _inside(folder: Path) -> list[Path]:
    try:
        return [] if folder.is_symlink() else list(folder.iterdir())
    except OSError:
        return []


def _publish(made: Path, cache: _Cache) -> None:
    """Move a new cache to its path, unless another process was faster; a damaged one there is removed."""
    if _open(cache.path, cache) is None:
        with contextlib.suppress(FileNotFoundError):
            cache.path.rename(made.with_name("damaged"))
    try:
        made.rename(cache.path)
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
