"""The folders that are exported: where they are from, their users, and their labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from fedsynth.engine import Engine
from fedsynth.errors import DataError, StageError, UsageError
from fedsynth.formats.survey import MOST_CLASSES, Labels, Survey, survey_file
from fedsynth.pipeline.run import Bar
from fedsynth.pipeline.stats import find_folder
from fedsynth.records.layout import ALL_DATA, TEST, TRAIN, VAL, in_use, json_files, meta_dir, settled
from fedsynth.records.manifest import Manifest, StageRecord
from fedsynth.records.origin import Origin, find_origin
from fedsynth.truth import NoTruth, Truth, find_truth

USUAL = (TRAIN, VAL, TEST)
"""What is exported unless folders are named, as far as it is there."""
_DENSE = 1_000
"""Up to this number of classes all are named whatever the labels are; of more, at least half must be there."""


@dataclass(frozen=True)
class ExportFolder:
    """A folder of LEAF's files. name: of the split that it becomes; md5: of its files, by name.

    truth: of its users, in the order of the surveys, None with the reason in no_truth.
    """

    path: Path
    name: str
    origin: Origin
    surveys: Sequence[Survey]
    md5: Mapping[str, str]
    truth: Truth | None
    no_truth: str

    @cached_property
    def users(self) -> list[str]:
        """All users, in the order of the files and of their data."""
        return list(chain.from_iterable(survey.users for survey in self.surveys))

    @cached_property
    def num_samples(self) -> list[int]:
        """How many samples each user has."""
        return list(chain.from_iterable(survey.num_samples for survey in self.surveys))

    @property
    def stages(self) -> list[dict[str, Any]]:
        """What made the folder, the first stage first, as JSON values."""
        return [_stage(record) for record in reversed(self.origin.stages)]


def choose_folders(data_dir: Path, names: Sequence[str] | None) -> list[Path]:
    """Return the folders with these names; without any, train, val and test as far as they are there, else all_data.

    Raises StageError for one that is missing or empty, UsageError for two that would become one split.
    """
    if not names:
        names = [name for name in USUAL if in_use(data_dir / name)] or [ALL_DATA]
    folders = [find_folder(data_dir, name) for name in names]
    times = Counter(split_name(folder) for folder in folders)
    twice = next((folder for folder in folders if times[split_name(folder)] > 1), None)
    if twice is not None:
        raise UsageError(f"{twice}: another folder becomes {split_name(twice)} too, expected names that differ")
    return folders


def split_name(folder: Path) -> str:
    """Return a folder's name in letters, digits and underscores."""
    return re.sub(r"[^A-Za-z0-9_]", "_", settled(folder).name) or "data"


def open_folders(folders: Sequence[Path], engine: Engine, bar: Bar) -> list[ExportFolder]:
    """Check where folders are from, and survey their files to the end.

    Raises StageError for a folder that is stale or without samples, DataError if a file is damaged.
    """
    opened = []
    for folder in folders:
        manifest = Manifest(settled(folder).parent)
        origin = find_origin(folder, manifest)
        files = json_files(folder)
        with bar(f"look at {folder.name}", 0) as progress:
            surveys = list(engine.map(survey_file, files, progress=progress))
        md5 = {file.name: manifest.md5(file) for file in files}
        opened.append(_with_truth(folder, origin, surveys, md5))
    return opened


def class_names(folders: Sequence[ExportFolder], labels: Labels) -> list[str] | None:
    """Return the names of labels 0, 1, ..., None unless labels are such numbers.

    They are what the source called them where that is known. A generator's classes are all there, drawn or not.
    """
    if labels.other or not labels.whole or min(labels.whole) < 0:
        return None
    count = max(labels.whole) + 1
    for folder in folders:
        made = {} if folder.truth is None else folder.truth.parameters
        known = plain(made.get("num_classes", 0))
        count = max(count, int(known) if isinstance(known, int) else 0)
    if count > MOST_CLASSES or (count > _DENSE and count > 2 * len(labels.whole)):
        return None
    named = next((list(folder.origin.label_names) for folder in folders if folder.origin.label_names), [])
    if len(named) >= count and len(set(named)) == len(named):
        return named
    return [str(number) for number in range(count)]


def all_labels(folders: Sequence[ExportFolder]) -> Labels:
    """Return the labels of all folders."""
    labels = Labels()
    for folder in folders:
        for survey in folder.surveys:
            labels.merge(survey.labels)
    return labels


def _with_truth(folder: Path, origin: Origin, surveys: Sequence[Survey], md5: Mapping[str, str]) -> ExportFolder:
    opened = ExportFolder(folder, split_name(folder), origin, surveys, md5, None, "")
    if not sum(opened.num_samples):
        raise StageError(f"{folder}: no samples, expected some to export; generate the data again")
    user, times = Counter(opened.users).most_common(1)[0]
    if times > 1:
        raise DataError(f'{folder}: user "{user}" is in two files, expected each in one; rename one of the two')
    truth = find_truth(origin, meta_dir(settled(folder).parent), opened.users, opened.num_samples)
    if isinstance(truth, NoTruth):
        return ExportFolder(folder, opened.name, origin, surveys, md5, None, truth.reason)
    return ExportFolder(folder, opened.name, origin, surveys, md5, truth, "")


def _stage(record: StageRecord) -> dict[str, Any]:
    """Return what a stage did, without paths of this machine."""
    parameters = dict(record.parameters)
    if isinstance(parameters.get("source"), str):
        parameters["source"] = Path(parameters["source"]).name
    return {"stage": record.stage, "fedsynth": record.fedsynth, "seed": record.seed, "parameters": parameters}


def plain(value: Any) -> Any:
    """Return a parameter as a JSON value, whatever NumPy made of it."""
    return value.tolist() if hasattr(value, "tolist") else value
