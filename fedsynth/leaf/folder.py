"""Write any users as a folder of LEAF's files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import DataError, UsageError
from fedsynth.leaf.text import user_pieces
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.layout import shard_names
from fedsynth.records.stamp import FileStamp

Samples = NDArray[Any] | list[Any]


def check_shards(users: Mapping[str, Any], num_shards: int) -> None:
    """Raise UsageError for more shards than users, or none."""
    if not 1 <= num_shards <= len(users):
        raise UsageError(f"num_shards is {num_shards}, expected 1 to the number of users, {len(users)}")


def write_files(folder: Path, users: Mapping[str, Any], *, num_shards: int) -> dict[str, FileStamp]:
    """Write users, each to its (x, y), as LEAF's files into an empty folder; return their stamps, by name.

    x, y: arrays, tensors or sequences of JSON values, of one length. Users are asked for twice, one at a time: for the
    numbers of samples, which stand first, and for the samples. Raises DataError, naming the user, for samples that JSON
    can't hold.
    """
    names, stamps = list(users), {}
    for number, name in enumerate(shard_names(num_shards)):
        bounds = len(names) * number // num_shards, len(names) * (number + 1) // num_shards
        stamps[name] = _write_file(folder / name, users, names[slice(*bounds)])
    return stamps


def _write_file(path: Path, users: Mapping[str, Any], names: Sequence[Any]) -> FileStamp:
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
        return writer.finish()[0]


def _samples_of(name: str, samples: Any) -> tuple[Samples, Samples]:
    """Return x and y of a user, as arrays of numbers or lists."""
    try:
        pair = (samples.features, samples.labels) if hasattr(samples, "features") else tuple(samples)
    except TypeError as error:
        raise DataError(f'user "{name}" has {samples!r:.80}, expected two parts, x and y') from error
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
    if not isinstance(values, Iterable):
        raise DataError(f'user "{name}" has {values!r:.80} for x or y, expected an entry for each sample')
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
