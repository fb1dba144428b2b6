"""Write any users as a folder of LEAF's files."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import DataError, StageError, UsageError
from fedsynth.leaf.text import user_pieces
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.layout import in_use, shard_names
from fedsynth.system import sync_folder

Samples = NDArray[Any] | list[Any]


def write_folder(folder: Path, users: Mapping[str, Any], *, num_shards: int = 1, overwrite: bool = False) -> list[Path]:
    """Write users, each to its (x, y), as LEAF's files, whole or not at all; return the files.

    x, y: arrays, tensors or sequences of JSON values, of one length. Users are asked for twice, one at a time: for the
    numbers of samples, which stand first, and for the samples. overwrite: replace a folder's data files; one that holds
    anything else is kept beside, as `NAME.kept`. Raises StageError if other files are there and not to be replaced,
    DataError, naming the user, for samples that JSON can't hold, UsageError for more shards than users.
    """
    names = list(users)
    if not 1 <= num_shards <= len(names):
        raise UsageError(f"num_shards is {num_shards}, expected 1 to the number of users, {len(names)}")
    if folder.exists() and not folder.is_dir():
        raise StageError(f"{folder}: found a file, expected a folder to write; choose another name")
    if in_use(folder) and not overwrite:
        raise StageError(f"{folder}: exists; pass overwrite=True to replace it, or name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    new, old = partial / "new", partial / "old"
    new.mkdir()
    try:
        for number, name in enumerate(shard_names(num_shards)):
            bounds = len(names) * number // num_shards, len(names) * (number + 1) // num_shards
            _write_file(new / name, users, names[slice(*bounds)])
        sync_folder(new)
        _replace(folder, new, old)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return [folder / name for name in shard_names(num_shards)]


def _replace(folder: Path, new: Path, old: Path) -> None:
    if folder.is_dir():
        folder.rename(old)
    try:
        new.rename(folder)
    except OSError:
        if old.is_dir():
            old.rename(folder)
        raise
    if old.is_dir() and any(path.is_symlink() or path.suffix != ".json" for path in old.iterdir()):
        numbers = (f"-{number}" if number else "" for number in itertools.count())
        names = (folder.with_name(f"{folder.name}.kept{number}") for number in numbers)
        old.rename(next(name for name in names if not os.path.lexists(name)))


def _write_file(path: Path, users: Mapping[str, Any], names: Sequence[Any]) -> None:
    sizes = [len(_samples_of(name, users[name])[1]) for name in names]
    with LeafWriter(path, [str(name) for name in names], sizes) as writer:
        for name, size in zip(names, sizes, strict=True):
            x, y = _samples_of(name, users[name])
            if len(y) != size:
                raise DataError(f'user "{name}" had {size} labels and now has {len(y)}, expected the same each time')
            try:
                writer.write_user(*user_pieces(x, y))
            except (ValueError, TypeError) as error:
                raise DataError(f'user "{name}" has a value that JSON can\'t hold ({error}); convert it') from error
        writer.finish()


def _samples_of(name: str, samples: Any) -> tuple[Samples, Samples]:
    """Return x and y of a user, as arrays of numbers or lists."""
    pair = (samples.features, samples.labels) if hasattr(samples, "features") else tuple(samples)
    if len(pair) != 2:
        raise DataError(f'user "{name}" has {len(pair)} parts, expected two, x and y')
    x, y = (_plain(name, part) for part in pair)
    if len(x) != len(y):
        raise DataError(f'user "{name}" has {len(x)} entries in x and {len(y)} in y, expected as many')
    return x, y


def _plain(name: str, values: Any) -> Samples:
    if hasattr(values, "detach"):  # a tensor, wherever it is
        values = values.detach().cpu().numpy()
    elif hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if not isinstance(values, np.ndarray):
        return [_json_value(value) for value in values]
    if values.dtype.kind not in "biuf":
        found: list[Any] = values.tolist()
        return found
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        sample = int(np.argwhere(~np.isfinite(values))[0][0])
        raise DataError(f'user "{name}" has NaN or infinity in sample {sample}, which JSON can\'t hold; fill it in')
    return values


def _json_value(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
