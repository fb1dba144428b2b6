"""Columns put together to samples: numbers become rows, lists rows themselves, text stays text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.sources.source import JSON, NUMBER, OTHER, TEXT, Batch, Source, find_column, listed

Samples = NDArray[Any] | Sequence[bytes]
"""x of a batch: numbers [rows, ...] of one type and shape for all batches, or the JSON text of each sample."""


@dataclass(frozen=True)
class SampleColumns:
    """The columns that make a sample. rows: whether it is numbers of one shape; else it is JSON text."""

    names: Sequence[str]
    kind: str
    rows: bool

    def samples(self, batch: Batch) -> Samples:
        """Return the samples of a batch with these columns."""
        columns = [batch[name] for name in self.names]
        if self.rows:
            return _matrix([np.asarray(column) for column in columns])
        if self.kind == JSON:
            return [bytes(text) for text in columns[0]]  # type: ignore[arg-type]
        if len(columns) == 1:
            return [json.dumps(text).encode() for text in columns[0]]
        return [json.dumps(texts).encode() for texts in zip(*columns, strict=True)]


def choose_samples(source: Source, wanted: Sequence[str] | None, taken: Sequence[str]) -> SampleColumns:
    """Return the columns of x: those wanted; else one called x of lists or texts; else all but those that are taken.

    Raises UsageError if they don't fit together.
    """
    names = _usual(source, taken) if wanted is None else list(wanted)
    kinds: dict[str, list[str]] = {}
    for name in names:
        info = find_column(source, name, "x")
        if info.kind == OTHER:
            raise UsageError(f"{source.path}: column {name!r} is of type {info.described}: {info.advice}")
        kind = "list" if info.kind == JSON or info.width else info.kind
        kinds.setdefault(kind, []).append(name)
    if not names:
        raise UsageError(f"{source.path}: no columns for {named('x')}, expected at least one beside {listed(taken)}")
    if len(kinds) > 1 or len(kinds.get("list", [])) > 1:
        found = "; ".join(f"{listed(of_kind)} ({kind}s)" for kind, of_kind in kinds.items())
        raise UsageError(
            f"{source.path}: a sample can't be made of {found}, expected numbers alone, texts alone or one list; "
            f"choose columns with {named('x')}"
        )
    first = source.columns[names[0]]
    return SampleColumns(names, first.kind, first.kind == NUMBER)


def _usual(source: Source, taken: Sequence[str]) -> list[str]:
    info = source.columns.get("x")
    if info is not None and "x" not in taken and (info.kind in (JSON, TEXT) or info.width):
        return ["x"]
    return [name for name in source.columns if name not in taken]


def require_values(source: Source, name: str, parameter: str) -> None:
    """Check that a column can name classes or users. Raises UsageError unless it holds single numbers or texts."""
    info = find_column(source, name, parameter)
    single = (info.kind == NUMBER and not info.width) or info.kind == TEXT or (info.kind == JSON and name == "y")
    if not single:
        advice = info.advice or "name another one"
        raise UsageError(
            f"{source.path}: column {name!r} for {named(parameter)} is of type {info.described}, expected numbers or "
            f"texts; {advice}"
        )


def _matrix(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    if len(columns) == 1:
        rows = columns[0] if columns[0].ndim > 1 else columns[0][:, np.newaxis]
        return rows.astype(np.uint8) if rows.dtype.kind == "b" else rows
    whole = all(column.dtype.kind != "f" and column.dtype != np.uint64 for column in columns)
    return np.column_stack([column.astype(np.int64 if whole else np.float64) for column in columns])
