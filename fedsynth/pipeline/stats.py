"""Statistics, measures and pictures of any stage's folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedsynth.engine import INLINE, Engine, Progress, check_shared
from fedsynth.errors import DataError, StageError
from fedsynth.leaf.head import read_head
from fedsynth.leaf.reader import read_index
from fedsynth.leaf.value_blocks import ValueBlock, read_blocks
from fedsynth.pipeline.run import Bar, no_bar
from fedsynth.pipeline.workspace import open_workspace
from fedsynth.records.layout import ALL_DATA, in_use, json_files, meta_dir, settled
from fedsynth.records.manifest import Manifest
from fedsynth.records.origin import find_origin, is_changing, unchanged
from fedsynth.stats.heterogeneity import Measures, Meter
from fedsynth.stats.summary import Summary, summarize
from fedsynth.stats.table import table_lines
from fedsynth.stats.tally import Tally
from fedsynth.truth import NoTruth, find_truth


@dataclass(frozen=True)
class Description:
    """LEAF's statistics of a folder, and the measures of its heterogeneity if they were asked for."""

    summary: Summary
    measures: Measures | None
    note: str = ""
    """What a user should know of where the data is from."""
    label_names: Sequence[str] = ()
    """What labels 0, 1, ... stand for, where that is known."""
    called: str = ""
    """A name for the data, "" if its source has none."""

    def lines(self, name: str) -> list[str]:
        """Return LEAF's lines, then a table of the measures."""
        return [*self.summary.lines(name), *(["", *table_lines(self.measures)] if self.measures else [])]

    def as_json(self) -> dict[str, Any]:
        """Return all numbers, unrounded, as JSON values: LEAF's by their names, measures by their keys."""
        return {**self.summary.as_json(), **(self.measures.as_json() if self.measures else {})}


def find_folder(data_dir: Path, folder: str) -> Path:
    """Return `data/FOLDER`, or FOLDER itself where only that is there. Raises StageError if neither is, or is empty."""
    for path in (data_dir / folder, Path(folder)):
        _refuse_file(path)
        settle(settled(path).parent)
        if in_use(path):
            return path
    raise StageError(f"{data_dir / folder}: missing or empty, expected LEAF data; generate some first")


def settle(data_dir: Path) -> None:
    """Finish what a run that died had committed, so that the folders can be read."""
    if is_changing(data_dir):
        with open_workspace(data_dir):
            pass


def summarize_folder(folder: Path) -> Description:
    """Return LEAF's statistics alone.

    Of files that the manifest knows and that have not changed, the heads are enough; others are read and checked to
    the end.
    Raises StageError if the folder has no users or is stale, DataError if a file is damaged.
    """
    files = json_files(folder)
    with unchanged(files):
        manifest = Manifest(settled(folder).parent)
        origin = find_origin(folder, manifest)
        counts = [count for file in files for count in _num_samples(file, manifest)]
    _require_users(folder, counts)
    return Description(summarize(counts), None, origin.note, origin.label_names, origin.called)


@dataclass(frozen=True)
class MeasureJob:
    """One file. users: their positions among those of all files; meter: empty, for just these users."""

    path: Path
    users: range
    meter: Tally


def measure_file(job: MeasureJob, progress: Progress) -> Tally:
    """Return what the job's meter found in the file; holds, and raises, what `read_blocks` does."""
    check_shared([job.path])
    position: dict[str, int] = {}
    for found in read_blocks(job.path, lambda: job.meter.wants_x, progress):
        if isinstance(found, ValueBlock):
            users = job.users[found.users.start : found.users.stop]
            job.meter.add_block(users, found.sizes, found.x, found.y)
        else:
            position = position or dict(zip(read_head(job.path)["users"], job.users, strict=True))
            job.meter.add(position[found[0]], *found[1:])
    return job.meter.found()


def describe(folder: Path, *, features: bool = True, engine: Engine = INLINE, bar: Bar = no_bar) -> Description:
    """Return LEAF's statistics and all measures of a folder, or of one file, in one pass that checks all to the end.

    Holds one user's values, and for each user a size and numbers of labels. features: whether x is parsed.
    Raises StageError if the folder has no users or is stale, DataError if a file is damaged, a user is in two files,
    `meta/truth.npz` belongs to another dataset, or anything of it changes meanwhile.
    """
    files = [folder] if folder.is_file() else json_files(folder)
    meta = meta_dir(settled(files[0].parent).parent)
    with unchanged(files):
        origin = find_origin(folder)
        with _damage_first(files):
            users, counts, parts = _users(folder, files)
            truth = find_truth(origin, meta, users, counts)
        known = None if isinstance(truth, NoTruth) else truth
        why_not = truth.reason if isinstance(truth, NoTruth) else ""
        meter = Meter(counts, known, no_truth=why_not, features=features, names=users)
        jobs = (MeasureJob(file, part, meter.part(part)) for file, part in zip(files, parts, strict=True))
        with bar(f"stats {folder.name}", len(users)) as progress:
            for part in engine.map(measure_file, jobs, progress=progress, users=lambda job: len(job.users)):
                meter.merge(part)
    return Description(summarize(counts), meter.measures(), origin.note, origin.label_names, origin.called)


def measure(folder: str | Path, *, features: bool = True, engine: Engine = INLINE, bar: Bar = no_bar) -> dict[str, Any]:
    """Return what `stats --json` prints of a folder of LEAF files: LEAF's statistics and the measures by their keys.

    `left_out` says why each other measure does not apply. For the rest see `describe`.
    """
    path = require_data(Path(folder))
    return describe(path, features=features, engine=engine, bar=bar).as_json()


def require_data(folder: Path) -> Path:
    """Return a folder that is ready to be read. Raises StageError if nothing is in it, or it is a file."""
    _refuse_file(folder)
    settle(settled(folder).parent)
    if not in_use(folder):
        raise StageError(f"{folder}: missing or empty, expected LEAF data; name another folder")
    return folder


def draw(folder: Path, name: str, description: Description) -> list[Path]:
    """Write the pictures beside a folder and return their paths: `NAME_hist.png` for all_data, as in LEAF.

    Other folders' names are part of the file's, so that no picture replaces another folder's.
    """
    from fedsynth.stats.figures import save_pictures  # Pillow, which `measure` does without

    folder = settled(folder)
    label = name if folder.name == ALL_DATA else f"{name}_{folder.name}"
    return save_pictures(folder.parent, label, description.summary, named_measures(description))


def named_measures(description: Description) -> Measures | None:
    """Return the measures with the labels called by their names, where these are known."""
    measures, names = description.measures, description.label_names
    if measures is None or measures.labels is None or not names:
        return measures
    called: dict[Any, str] = dict(enumerate(names))
    labels = replace(measures.labels, names=[called.get(name, name) for name in measures.labels.names])
    return replace(measures, labels=labels)


@contextmanager
def _damage_first(files: Sequence[Path]) -> Iterator[None]:
    """If heads or truth don't fit, say before all else that a file is damaged, where one is."""
    try:
        yield
    except DataError:
        for file in files:
            read_index(file)
        raise


def _users(folder: Path, files: Sequence[Path]) -> tuple[list[str], list[int], list[range]]:
    """Return all users of all files, how many samples each has, as the heads say, and which are each file's."""
    users: list[str] = []
    counts: list[int] = []
    parts: list[range] = []
    for file in files:
        head = read_head(file)
        parts.append(range(len(users), len(users) + len(head["users"])))
        users += head["users"]
        counts += head["num_samples"]
    _require_users(folder, users)
    if not _are_different(users):
        twice = Counter(users).most_common(1)[0][0]
        raise DataError(f'{folder}: user "{twice}" is in two files, expected each in one; rename one of the two')
    return users, counts, parts


def _are_different(users: Sequence[str]) -> bool:
    """Whether no id stands twice. Of a million a set takes 60 MB, their hashes 8."""
    hashes = np.sort(np.fromiter(map(hash, users), np.int64, len(users)))
    return bool((hashes[1:] != hashes[:-1]).all()) or len(set(users)) == len(users)


def _refuse_file(path: Path) -> None:
    if path.is_file():
        raise StageError(f"{path}: a file, expected a folder of LEAF data; name its folder, {path.parent}")


def _require_users(folder: Path, users: Sequence[object]) -> None:
    if not users:
        raise StageError(f"{folder}: no users, expected at least one; generate the data again")


def _num_samples(file: Path, manifest: Manifest) -> Sequence[int]:
    if manifest.find(file) is not None:
        return list(read_head(file)["num_samples"])
    return read_index(file).counts.num_samples
