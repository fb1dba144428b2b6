"""Statistics, measures and pictures of any stage's folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise, starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import DataError, StageError
from fedsynth.leaf.head import read_head
from fedsynth.leaf.reader import read_index
from fedsynth.pipeline.measure_file import MeasureJob, measure_chance, measure_file
from fedsynth.pipeline.run import Bar, no_bar
from fedsynth.pipeline.workspace import open_workspace
from fedsynth.records.layout import ALL_DATA, in_use, json_files, meta_dir, settled
from fedsynth.records.manifest import Manifest
from fedsynth.records.origin import Origin, find_origin, is_changing, unchanged
from fedsynth.stats.heterogeneity import Measures, Meter
from fedsynth.stats.labels import margins
from fedsynth.stats.pictures import Pictures, write_pictures
from fedsynth.stats.summary import Summary, summarize
from fedsynth.stats.table import table_lines
from fedsynth.truth import NoTruth, find_truth, id_array

if TYPE_CHECKING:
    from fedsynth.truth.ids import Ids


_LARGE = 32 << 20
"""Bytes of data from which on other processes are started while this one still reads heads and truth."""


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


class Counted:
    """All of a folder's users, looked at: what is left is to finish the measures, and to draw pictures meanwhile."""

    def __init__(self, origin: Origin, counts: NDArray[np.int64], meter: Meter, engine: Engine) -> None:
        self._origin, self._counts, self._meter = origin, counts, meter
        labels = meter.labels
        self._chance = None if labels is None else engine.begin(measure_chance, margins(labels))

    def without_values(self) -> Description:
        """Return what pictures are drawn of: all but the measures' values."""
        return self._described(Measures({}, {}, self._meter.labels, self._meter.truth))

    def described(self) -> Description:
        """Return all, once what was begun elsewhere has ended."""
        return self._described(self._meter.measures(self._chance))

    def _described(self, measures: Measures) -> Description:
        origin = self._origin
        return Description(summarize(self._counts), measures, origin.note, origin.label_names, origin.called)


def count(folder: Path, *, features: bool = True, engine: Engine = INLINE, bar: Bar = no_bar) -> Counted:
    """Look at all users of a folder, or of one file, in one pass that checks all to the end.

    Holds one user's values, and for each user an id, a size and numbers of labels, in arrays. features: whether x is
    parsed.
    Raises StageError if the folder has no users or is stale, DataError if a file is damaged, a user is in two files,
    `meta/truth.npz` belongs to another dataset, or anything of it changes meanwhile.
    """
    files = [folder] if folder.is_file() else json_files(folder)
    meta = meta_dir(settled(files[0].parent).parent)
    with unchanged(files):
        origin = find_origin(folder)
        if sum(file.stat().st_size for file in files) > _LARGE:
            engine.prepare(measure_file, len(files))
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
    return Counted(origin, counts, meter, engine)


def describe(folder: Path, *, features: bool = True, engine: Engine = INLINE, bar: Bar = no_bar) -> Description:
    """Return LEAF's statistics and all measures of a folder, or of one file; for the rest see `count`."""
    return count(folder, features=features, engine=engine, bar=bar).described()


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


def paint(folder: Path, name: str, description: Description) -> Pictures:
    """Return a folder's pictures as files, by their paths: beside it, and `NAME_hist.png` for all_data, as in LEAF.

    Other folders' names are part of the file's, so that no picture replaces another folder's. None is for what does
    not apply, whose old picture is to go.
    """
    from fedsynth.stats.figures import paint_pictures  # Pillow, which `measure` does without

    folder = settled(folder)
    label = name if folder.name == ALL_DATA else f"{name}_{folder.name}"
    painted = paint_pictures(label, description.summary, named_measures(description))
    return {folder.parent / file: content for file, content in painted.items()}


def keep(painted: Pictures) -> list[Path]:
    """Write what `paint` gave, each picture in one step, and return the paths."""
    return write_pictures(painted)


def draw(folder: Path, name: str, description: Description) -> list[Path]:
    """Write the pictures beside a folder, see `paint`, and return their paths."""
    return keep(paint(folder, name, description))


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


def _users(folder: Path, files: Sequence[Path]) -> tuple[Ids, NDArray[np.int64], list[range]]:
    """Return all users of all files, how many samples each has, as the heads say, and which are each file's."""
    ids: list[Ids] = []
    counts: list[NDArray[np.int64]] = []
    for file in files:
        head = read_head(file)
        ids.append(id_array(head["users"]))
        counts.append(np.array(head["num_samples"], np.int64))
    users, ends = np.concatenate(ids), np.cumsum([0, *map(len, ids)]).tolist()
    _require_users(folder, users)
    in_order = np.sort(users)
    if (in_order[1:] == in_order[:-1]).any():
        twice = Counter(users.tolist()).most_common(1)[0][0]
        raise DataError(f'{folder}: user "{twice}" is in two files, expected each in one; rename one of the two')
    return users, np.concatenate(counts), [*starmap(range, pairwise(ends))]


def _refuse_file(path: Path) -> None:
    if path.is_file():
        raise StageError(f"{path}: a file, expected a folder of LEAF data; name its folder, {path.parent}")


def _require_users(folder: Path, users: Sequence[object] | NDArray[Any]) -> None:
    if not len(users):
        raise StageError(f"{folder}: no users, expected at least one; generate the data again")


def _num_samples(file: Path, manifest: Manifest) -> Sequence[int]:
    if manifest.find(file) is not None:
        return list(read_head(file)["num_samples"])
    return read_index(file).counts.num_samples
