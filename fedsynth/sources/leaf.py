"""LEAF's files, pooled: whatever users they have, their samples are redistributed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from fedsynth.leaf.values import read_values
from fedsynth.records.layout import json_files
from fedsynth.sources.source import JSON, TEXT, Batch, ColumnInfo

_ROWS = 4_096


class LeafSource:
    """The samples of a folder of LEAF's files, or of one: columns x, y, and user, the id of each sample's user.

    x is taken as text, whatever it is; nothing of it is parsed. Holds one user's text.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files: Sequence[Path] = [path] if path.is_file() else json_files(path)
        self.columns: Mapping[str, ColumnInfo] = {
            "x": ColumnInfo(JSON, "JSON"),
            "y": ColumnInfo(JSON, "JSON"),
            "user": ColumnInfo(TEXT, "text"),
        }

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the samples, user by user in the order of the files; see `Source`. y are JSON values."""
        for file in self.files:
            for user, x, y in read_values(file, lambda: False):
                rows = zip(x, y, strict=True)
                while part := list(islice(rows, _ROWS)):
                    yield {name: _column(name, user, part) for name in columns}


def _column(name: str, user: str, rows: Sequence[tuple[Any, Any]]) -> Any:
    if name == "user":
        return [user] * len(rows)
    return [_text(x) for x, _ in rows] if name == "x" else [y for _, y in rows]


def _text(x: Any) -> bytes:
    """Return a sample's text, as it is wherever `read_values` did not have to parse it."""
    return bytes(x) if isinstance(x, msgspec.Raw) else json.dumps(x).encode()
