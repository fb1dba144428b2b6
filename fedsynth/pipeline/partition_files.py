"""Write what a partition decided: the users' files, the truth about them, and each row's user."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.engine import Engine
from fedsynth.errors import DataError
from fedsynth.partitioners.assign import Assignment
from fedsynth.pipeline.draft import Draft
from fedsynth.pipeline.partition_levels import Reached
from fedsynth.pipeline.run import Bar
from fedsynth.pipeline.spill import PartJob, Spill, write_part
from fedsynth.pipeline.wish import Columns, Wish, class_labels
from fedsynth.records.layout import ALL_DATA, shard_names
from fedsynth.records.manifest import SourceRecord
from fedsynth.records.stamp import FileStamp
from fedsynth.sources.source import Source
from fedsynth.system import naming
from fedsynth.truth import FILE_NAME as TRUTH_FILE
from fedsynth.truth import PARTITIONED, TruthWriter


@dataclass(frozen=True)
class Partition:
    """Everything that is decided. wish: with the knobs that were found."""

    wish: Wish
    columns: Columns
    found: Assignment
    reached: Sequence[Reached]

    @property
    def recorded(self) -> dict[str, Any]:
        """What was asked and found, as JSON values."""
        names = self.columns.label_names
        found = {level.knob: level.value for level in self.reached}
        return {**self.wish.recorded, **found, **({"label_names": list(names)} if names else {})}


def write_data(draft: Draft, source: Source, partition: Partition, engine: Engine, bar: Bar) -> dict[str, FileStamp]:
    """Write all_data and the truth; return the files' stamps by name."""
    found, num_shards = partition.found, partition.wish.num_shards
    bounds = [len(found.users) * shard // num_shards for shard in range(num_shards + 1)]
    folder = draft.add_folder(ALL_DATA)
    sizes = found.num_samples.tolist()
    with _passing(draft.root / "spill") as passing:
        spill = _spill(passing, source, partition, bounds[1:], bar)
        parts = [range(*pair) for pair in itertools.pairwise(bounds)]
        jobs = [
            PartJob(folder / name, found.users[part.start : part.stop], sizes[part.start : part.stop], spilled)
            for name, part, spilled in zip(shard_names(num_shards), parts, map(spill.of_users, parts), strict=True)
        ]
        with bar("partition", len(found.users)) as progress:
            results = engine.map(write_part, jobs, progress=progress, users=lambda job: len(job.users))
            stamps = {}
            for job, stamp in zip(jobs, results, strict=True):
                stamps[job.path.name] = stamp
                job.spilled.delete()
    _write_truth(draft.meta_file(TRUTH_FILE), partition, list(stamps.values()))
    return stamps


def _spill(folder: Path, source: Source, partition: Partition, ends: Sequence[int], bar: Bar) -> Spill:
    """Read the samples and sort them roughly by user."""
    samples, user_of = partition.columns.samples, partition.found.user_of
    assert samples is not None  # read_columns chose them: they are wanted
    labels = _Labels(partition)
    spill = Spill(folder, partition.found.num_samples, ends, labels.dtype)
    row = 0
    with bar("read samples", len(user_of)) as progress:
        for batch in source.batches(samples.names):
            x = samples.samples(batch)
            rows = slice(row, row + len(x))
            if len(user_of[rows]) < len(x):
                break
            spill.add(user_of[rows], labels.of(rows), x)
            row += len(x)
            progress(len(x))
    if row != len(user_of):
        raise DataError(f"{source.path}: changed while it was read; run the same command again")
    return spill


class _Labels:
    """What is written as y, after exchanges of labels: made for some rows at a time."""

    def __init__(self, partition: Partition) -> None:
        self._columns, self._found = partition.columns, partition.found
        classes = partition.columns.classes
        self._values = None if classes is None else class_labels(classes)
        self.dtype = np.dtype(np.float64 if self._values is None else np.int64)

    def of(self, rows: slice) -> NDArray[Any]:
        """Return the labels of these rows."""
        if self._values is None or self._columns.classes is None:
            assert self._columns.numbers is not None  # labels are classes or numbers
            return self._columns.numbers[rows]
        codes: NDArray[Any] = self._columns.classes.codes[rows]
        if self._found.clusters is not None and self._found.swaps is not None:
            codes = self._found.swaps[self._found.clusters[self._found.user_of[rows]], codes]
        labels: NDArray[Any] = self._values[codes]
        return labels


def write_assignment(path: Path, partition: Partition, sources: Sequence[SourceRecord]) -> None:
    """Write each row's user: user_of [rows], positions in users [users]; and what was asked, of which files."""
    found = partition.found
    arrays: dict[str, Any] = {
        "users": np.array(found.users, np.str_),
        "user_of": found.user_of,
        "parameters": np.array(json.dumps(partition.recorded, sort_keys=True)),
        "source_files": np.array([source.path for source in sources]),
        "source_md5": np.array([source.md5 for source in sources]),
    }
    if found.clusters is not None and found.swaps is not None:
        classes = partition.columns.classes
        assert classes is not None  # labels that are exchanged are classes
        arrays |= {"cluster": found.clusters, "swaps": found.swaps, "class_labels": class_labels(classes)}
    with naming(path):
        np.savez(path, **arrays)


def _write_truth(path: Path, partition: Partition, data: Sequence[FileStamp]) -> None:
    """Write what is true of the users: their clusters, and how each exchanges labels; there are no models."""
    found = partition.found
    parameters = {key: value for key, value in partition.recorded.items() if key in _TRUE}
    shared: dict[str, Any] = {}
    with TruthWriter(path, len(found.users)) as truth:
        if found.clusters is not None and found.swaps is not None and partition.columns.classes is not None:
            for cluster in found.clusters.tolist():
                truth.add({"cluster": cluster})
            shared = {"swaps": found.swaps, "class_labels": class_labels(partition.columns.classes)}
            sizes = np.bincount(found.clusters, minlength=len(found.swaps))
            parameters["prob_clusters"] = (sizes / sizes.sum()).tolist()
        parameters = {"model": PARTITIONED, **parameters}
        truth.finish(found.users, found.num_samples.tolist(), parameters, shared, data=data)


_TRUE = ("scheme", "alpha", "sigma", "classes", "shards", "min_samples", "clusters", "swap_labels", "seed")
"""The parameters that the truth has, as the manifest has them."""


@contextlib.contextmanager
def _passing(folder: Path) -> Iterator[Path]:
    """Make a folder for the block alone."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
