"""What all sources have in common."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import DataError, UsageError, named
from fedsynth.records.stamp import FileState

Values = NDArray[Any] | Sequence[str] | Sequence[bytes]
"""A column of a batch: numbers [rows, ...], texts, or JSON texts (bytes) of what is neither."""

Batch = Mapping[str, Values]

NUMBER, TEXT, JSON, OTHER = "number", "text", "json", "other"
"""Kinds of columns. other: what can't be a sample as it is, such as an image."""


@dataclass(frozen=True)
class ColumnInfo:
    """What is known of a column before it is read. described: its type in the source's own words.

    width: of rows of numbers, the shape of one; (): single numbers; None: not known. whole: whole numbers.
    label_names: of numbered classes, where the source names them. advice: what to do about a column of kind other.
    """

    kind: str
    described: str
    width: tuple[int, ...] | None = ()
    whole: bool = False
    label_names: Sequence[str] = field(default_factory=list)
    advice: str = ""


class Source(Protocol):
    """A table in files. path: what was asked for; files: what it consists of, in order; columns: by name, in order."""

    path: Path
    files: Sequence[Path]
    columns: Mapping[str, ColumnInfo]

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows, in their order, a few at a time, with these columns. Holds one batch of some megabytes.

        Raises DataError, with the row's number, for nulls and whatever is damaged.
        """


def find_column(source: Source, name: str, parameter: str) -> ColumnInfo:
    """Return what is known of a column. Raises UsageError, suggesting the nearest one, for a name that is not there."""
    if name in source.columns:
        return source.columns[name]
    near = difflib.get_close_matches(name, source.columns, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}? it has" if near else "it has"
    raise UsageError(f"{source.path}: no column {name!r} for {named(parameter)}; {hint} {listed(list(source.columns))}")


def listed(names: Sequence[str]) -> str:
    """Return names as a list in text, at most ten."""
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def null_error(path: Path, column: str, row: int) -> DataError:
    """Return the error of a value that is not there. row: counted from 0 through the whole source."""
    return DataError(
        f"{path}: nothing in row {row:,} (from 0) of column {column!r}, expected a value; fill it in, or drop the row"
    )


def check_finite(path: Path, column: str, values: NDArray[Any], first_row: int) -> None:
    """Raise DataError, with the row's number, for NaN and infinity, which LEAF's files can't hold."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        row = first_row + int(np.argwhere(~np.isfinite(values))[0][0])
        found = f"NaN or infinity in row {row:,} (from 0) of column {column!r}"
        raise DataError(f"{path}: {found}, expected a number; fill it in, or drop the row")


@contextlib.contextmanager
def standing_still(files: Sequence[Path]) -> Iterator[None]:
    """Check at the end of the block that no file of a source changed in it. Raises DataError."""
    before = [FileState.of(path.stat()) for path in files]
    yield
    for path, state in zip(files, before, strict=True):
        if not path.exists() or FileState.of(path.stat()) != state:
            raise DataError(f"{path}: changed while it was read; run the same command again once nothing writes to it")
