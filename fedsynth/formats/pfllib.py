"""PFLlib's files: a user is a number N, with their samples in `train/N.npz` and `test/N.npz`. NumPy alone.

Its loader reads `np.load(file, allow_pickle=True)["data"].tolist()`, a dictionary of x and y, makes tensors of float32
and int64 of these, and takes users 0, 1, ... of both sides.
"""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.errors import DataError
from fedsynth.formats.numbers import as_type, to_numbers
from fedsynth.leaf.values import read_values
from fedsynth.records.stamp import FileStamp, stamp_file
from fedsynth.system import naming

TRAIN, TEST = "train", "test"
"""The sides that PFLlib has."""


@dataclass(frozen=True)
class NumberedJob:
    """One file of a side. numbers: of its users; labels: what each label is written as, None where as it is."""

    path: Path
    folder: Path
    numbers: Mapping[str, int]
    labels: Mapping[Any, int] | None
    dtype: str

    @property
    def users(self) -> int:
        """Number of users to process, for progress bars."""
        return len(self.numbers)


@dataclass(frozen=True)
class NumberedResult:
    """Files by name, and each user's labels: how many of each."""

    stamps: Mapping[str, FileStamp]
    labels: Mapping[int, Mapping[int, int]]


def write_numbered(job: NumberedJob, progress: Progress = no_progress) -> NumberedResult:
    """Write a file for each user with samples; holds one user's text, values and arrays.

    x is an array [n, ...] of numbers, or [n] of objects where samples differ in shape or are no numbers. Raises
    DataError, naming file and user, for numbers that the type asked for can't hold.
    """
    check_shared([job.path, job.folder])
    stamps, labels = {}, {}
    for user, x, y in read_values(job.path, lambda: True, progress):
        if not len(y):
            continue
        if user not in job.numbers:
            raise DataError(f"{job.path}: changed while it was read; run the same command again")
        number = job.numbers[user]
        codes = np.array([label if job.labels is None else job.labels[label] for label in y], np.int64)
        try:
            samples = _samples(x, job.dtype)
        except ValueError as error:
            raise DataError(f'{job.path}: user "{user}" has {error}') from error
        path = job.folder / f"{number}.npz"
        stamps[path.name] = _save(path, {"x": samples, "y": codes})
        labels[number] = dict(sorted(Counter(codes.tolist()).items()))
    return NumberedResult(stamps, labels)


def describe_clients(labels: Sequence[Mapping[int, int]], num_classes: int, alpha: float | None) -> dict[str, Any]:
    """Return what PFLlib's config.json says of data. labels: [users], how many each has of each, on both sides."""
    return {
        "num_clients": len(labels),
        "num_classes": num_classes,
        "non_iid": True,
        "balance": len({sum(counts.values()) for counts in labels}) == 1,
        "partition": "fedsynth",
        "Size of samples for labels in clients": [[list(item) for item in sorted(of.items())] for of in labels],
        "alpha": alpha,
        "batch_size": 10,
    }


def _samples(x: Sequence[Any], dtype: str) -> NDArray[Any]:
    values = x[:]
    numbers = to_numbers(values)
    if numbers is not None:
        return as_type(numbers, dtype)
    found = np.empty(len(values), dtype=object)
    for position, value in enumerate(values):
        found[position] = value
    return found


def _save(path: Path, values: Mapping[str, NDArray[Any]]) -> FileStamp:
    """Write a new file whole, as PFLlib does."""
    data = io.BytesIO()
    np.savez_compressed(data, data=np.array(dict(values), dtype=object))
    with naming(path), path.open("xb") as file:
        file.write(data.getbuffer())
        file.flush()
        os.fsync(file.fileno())
    return stamp_file(path)
