"""Which format a path is of."""

from __future__ import annotations

from pathlib import Path

from fedsynth.errors import StageError, UsageError
from fedsynth.records.layout import data_files
from fedsynth.sources.arrow import open_csv, open_ipc, open_parquet, open_saved, refuse_splits
from fedsynth.sources.leaf import LeafSource
from fedsynth.sources.npz import NpzSource
from fedsynth.sources.source import Source

_FORMATS = (
    "a .parquet, .arrow, .feather, .csv or .npz file, or a folder of Parquet files, of LEAF's, or that Hugging Face's "
    "`save_to_disk` made"
)


def open_source(path: Path) -> Source:
    """Open data of any format there is. Raises UsageError for others, StageError for nothing, DataError for damage."""
    if path.is_dir():
        return _open_folder(path)
    if not path.exists():
        raise StageError(f"{path}: no such file or folder, expected {_FORMATS}; name another one")
    if not path.is_file():
        raise StageError(f"{path}: no regular file, expected {_FORMATS}; copy it to a file")
    if not path.stat().st_size:
        raise StageError(f"{path}: empty, expected {_FORMATS}; name another one")
    match path.suffix.lower():
        case ".parquet" | ".pq":
            return open_parquet(path, [path])
        case ".arrow" | ".feather" | ".ipc":
            return open_ipc(path, [path])
        case ".csv":
            return open_csv(path)
        case ".npz":
            return NpzSource(path)
        case ".json":
            return LeafSource(path)
    raise UsageError(f"{path}: of a format that is not known, expected {_FORMATS}; convert it")


def _open_folder(path: Path) -> Source:
    if (path / "dataset_dict.json").is_file():
        refuse_splits(path, path / "dataset_dict.json")
    if (path / "state.json").is_file():
        return open_saved(path, path / "state.json")
    parquet = _visible(path, "*.parquet")
    if parquet:
        return open_parquet(path, parquet)
    if data_files(path):
        return LeafSource(path)
    arrow = _visible(path, "*.arrow")
    if arrow:
        return open_ipc(path, arrow)
    raise StageError(f"{path}: no data in this folder, expected {_FORMATS}; name another one")


def _visible(folder: Path, pattern: str) -> list[Path]:
    """Return the files below a folder, in the order of their names, without hidden ones."""
    found = (path for path in folder.rglob(pattern) if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))
