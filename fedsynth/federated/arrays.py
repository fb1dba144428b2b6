"""Arrays of a user's samples, and an optional cache of them on disk."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import DTypeLike, NDArray

from fedsynth.errors import DataError
from fedsynth.leaf.lazy import LazyLeafFile

Samples = tuple[NDArray[Any], NDArray[Any]]
"""One user's features [n, ...] and labels [n]."""


@dataclass(frozen=True)
class ArrayTypes:
    """What numbers become. Anything else, strings above all, stays in arrays of objects."""

    features: np.dtype[Any]
    labels: np.dtype[Any]

    @classmethod
    def of(cls, dtype: DTypeLike, label_dtype: DTypeLike) -> ArrayTypes:
        """Return the types that these names, classes or dtypes mean."""
        return cls(np.dtype(dtype), np.dtype(label_dtype))


def read_arrays(file: LazyLeafFile, user: int, types: ArrayTypes) -> Samples:
    """Decode a user. Raises DataError if the file is damaged or has changed, or labels don't fit their type."""
    x, y = file.samples(user)
    try:
        return _to_array(x, types.features), _to_array(y, types.labels)
    except ValueError as error:
        raise DataError(f'{file.path}: user "{file.users[user]}" has {error}') from error


def _to_array(values: list[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if not values:
        return np.empty(0, dtype)
    try:
        array = np.array(values)
    except ValueError:  # samples of different lengths
        return _objects(values)
    if array.dtype.kind not in "fiub":
        return _objects(values)
    if array.dtype.kind == "f" and dtype.kind in "iu" and (array != np.trunc(array)).any():
        fraction = array[array != np.trunc(array)][0]
        raise ValueError(f"{fraction} among values to load as {dtype}, expected whole numbers; pass another dtype")
    return array.astype(dtype, copy=False)


def _objects(values: list[Any]) -> NDArray[Any]:
    """Return an array of objects: [n, m] for samples that are lists of the same length, else [n]."""
    with contextlib.suppress(ValueError):
        return np.array(values, dtype=object)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@dataclass(frozen=True)
class CachedArrays:
    """A file's samples, mapped from disk. x: [samples, ...]; y: [samples]; offsets: [users + 1] where users start."""

    x: NDArray[Any]
    y: NDArray[Any]
    offsets: Sequence[int]

    def user(self, number: int) -> Samples:
        """Return views of a user's samples, read-only."""
        start, stop = self.offsets[number], self.offsets[number + 1]
        return self.x[start:stop], self.y[start:stop]


def cached_arrays(file: LazyLeafFile, types: ArrayTypes, folder: Path) -> CachedArrays | None:
    """Return a file's cache in the folder; make it first if there is none that fits the file's size, time and name.

    Making it decodes the whole file, one user at a time, and drops the file's older caches. It appears whole or not
    at all. Returns None if the samples are not all numbers of one shape: these can't be cached.
    """
    name = hashlib.sha256(str(file.path.absolute()).encode()).hexdigest()[:16]
    key = f"{name}-{file.state.size}-{file.state.mtime_ns}-{types.features.str[1:]}-{types.labels.str[1:]}"
    try:
        return _open(folder / key, file)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, EOFError):  # damaged
        shutil.rmtree(folder / key, ignore_errors=True)
    if not _make(file, types, folder, key):
        return None
    for old in folder.glob(f"{name}-*"):
        if not old.name.startswith(f"{name}-{file.state.size}-{file.state.mtime_ns}-"):
            shutil.rmtree(old, ignore_errors=True)
    return _open(folder / key, file)


def _open(folder: Path, file: LazyLeafFile) -> CachedArrays:
    """Map a cache. Raises FileNotFoundError if there is none, OSError, ValueError or EOFError if it is damaged."""
    x, y = (np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name in "xy")
    offsets = np.load(folder / "offsets.npy")
    if not len(x) == len(y) == offsets[-1] or not np.array_equal(np.diff(offsets), file.num_samples):
        raise ValueError(f"{folder}: not what {file.path} says")
    return CachedArrays(x, y, offsets.tolist())


def _make(file: LazyLeafFile, types: ArrayTypes, folder: Path, key: str) -> bool:
    """Write the cache beside its place, then move it there, unless another process was faster.

    Returns whether the samples can be cached. Raises OSError where nothing can be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".new-", ignore_cleanup_errors=True) as new:
        made = Path(new) / key
        made.mkdir()
        if not _write(file, types, made):
            return False
        with contextlib.suppress(OSError):
            made.rename(folder / key)
    return True


def _write(file: LazyLeafFile, types: ArrayTypes, folder: Path) -> bool:
    offsets = np.concatenate([[0], np.cumsum(file.num_samples, dtype=np.int64)])
    if offsets[-1] == 0:
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
