"""`.npz` files of NumPy arrays, read row by row with NumPy alone, compressed or not, and never unpickled."""

from __future__ import annotations

import contextlib
import math
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from fedsynth.errors import DataError
from fedsynth.sources.source import NUMBER, OTHER, TEXT, Batch, ColumnInfo, Values, check_finite

_BATCH_BYTES = 8 << 20
_USUAL = ("x", "y", "label")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.shape[1:])


class NpzSource:
    """The longest arrays of one length as columns: [n], or [n, ...] of rows. Raises DataError if there is none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: Sequence[Path] = [path]
        with _readable(path), zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            headers = {name.removesuffix(".npy"): _read_header(archive, name) for name in names}
        lengths = [header.shape[0] for header in headers.values() if header.shape]
        if not lengths or not max(lengths):
            raise DataError(f"{path}: no array with rows, expected x and y; save them with np.savez(path, x=x, y=y)")
        self._rows = max(lengths)
        _check_lengths(path, headers)
        self._headers = {name: head for name, head in headers.items() if head.shape and head.shape[0] == self._rows}
        self.columns: Mapping[str, ColumnInfo] = {name: _describe(head) for name, head in self._headers.items()}

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows; see `Source`."""
        heads = {name: self._headers[name] for name in columns}
        step = max(1, _BATCH_BYTES // max(1, sum(head.row_bytes for head in heads.values())))
        with contextlib.ExitStack() as stack:
            with _readable(self.path):
                archive = stack.enter_context(zipfile.ZipFile(self.path))
                files = {name: stack.enter_context(archive.open(f"{name}.npy")) for name in columns}
                for file in files.values():
                    _skip_header(file)
            for start in range(0, self._rows, step):
                count = min(step, self._rows - start)
                with _readable(self.path):
                    batch = {name: _read_rows(files[name], head, count) for name, head in heads.items()}
                for name, values in batch.items():
                    if isinstance(values, np.ndarray):
                        check_finite(self.path, name, values, start)
                yield batch


def _check_lengths(path: Path, headers: Mapping[str, _Header]) -> None:
    """Raise DataError if x and a column of labels are there, but have not as many rows."""
    lengths = {name: headers[name].shape[0] for name in _USUAL if name in headers and headers[name].shape}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {rows:,}" for name, rows in lengths.items())
        raise DataError(
            f"{path}: arrays of different lengths ({found}), expected one row a sample in each; save it again"
        )


def _describe(head: _Header) -> ColumnInfo:
    described = f"{head.dtype} of shape {head.shape}"
    if head.dtype.hasobject:
        advice = "it holds Python objects, which are never unpickled; save it as numbers or texts"
        return ColumnInfo(OTHER, described, None, advice=advice)
    if head.fortran and len(head.shape) > 1:
        return ColumnInfo(OTHER, described, None, advice="its rows are not together; save np.ascontiguousarray of it")
    if head.dtype.kind == "U" and len(head.shape) == 1:
        return ColumnInfo(TEXT, described, None)
    if head.dtype.kind in "biuf" and head.dtype.itemsize <= 8:
        return ColumnInfo(NUMBER, described, head.shape[1:], whole=head.dtype.kind != "f")
    return ColumnInfo(OTHER, described, None, advice="it is neither numbers nor texts; convert it")


def _read_header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(name) as file:
        return _skip_header(file)


def _skip_header(file: IO[bytes]) -> _Header:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return _Header(*read(file))


def _read_rows(file: IO[bytes], head: _Header, count: int) -> Values:
    wanted = count * head.row_bytes
    data = file.read(wanted)
    if len(data) != wanted:
        raise EOFError("it ends too early")
    array = np.frombuffer(data, head.dtype).reshape(count, *head.shape[1:])
    if head.dtype.kind == "U":
        texts: list[str] = array.tolist()
        return texts
    return array


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise DataError(f"{path}: damaged, expected a file that np.savez wrote ({error}); save it again") from error
