"""`meta/manifest.json`: what each stage did, and from what; how stale data is told from fresh."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fedsynth.errors import DataError
from fedsynth.records.stamp import FileStamp, stamp_file
from fedsynth.system import write_text

FILE_NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class FileRecord:
    """One file. path: from the data folder's own name on, with slashes; the rest as in FileStamp."""

    path: str
    size: int
    mtime_ns: int
    md5: str

    @classmethod
    def of(cls, path: Path, stamp: FileStamp) -> FileRecord:
        """Return the record of a file that stands in a stage's folder."""
        return cls(recorded_path(path), stamp.size, stamp.mtime_ns, stamp.md5)

    @property
    def folder(self) -> str:
        """The stage's folder that the file is in."""
        return self.path.split("/")[-2]

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.split("/")[-1]

    def fits(self, path: Path) -> bool:
        """Whether the file is what it was: by size and time, which costs nothing, or else by MD5."""
        status = path.stat()
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.mtime_ns or stamp_file(path).md5 == self.md5


def recorded_path(path: Path) -> str:
    """Return `data/train/all_data.json` for that file, wherever `data` lies."""
    return "/".join(path.absolute().parts[-3:])


@dataclass(frozen=True)
class StageRecord:
    """What one stage did. before and after: counts of users and samples, after by folder."""

    stage: str
    fedsynth: str
    parameters: dict[str, Any]
    seed: int | None
    inputs: Sequence[FileRecord]
    outputs: Sequence[FileRecord]
    before: dict[str, int] | None
    after: dict[str, dict[str, int]]
    left_out: dict[str, Any] = field(default_factory=dict)
    """count: users who could not be dealt with; users: the first ten of them."""

    def inputs_changed(self, data_dir: Path) -> str | None:
        """Return what no longer fits what this stage read, None if all does.

        A folder that is gone is no contradiction: people delete what they don't need any more.
        """
        for name in sorted({record.folder for record in self.inputs}):
            if any((data_dir / name).glob("[!.]*.json")):
                return next(iter(_differences(self.inputs, data_dir / name)), None)
        return None

    def outputs_changed(self, data_dir: Path, folder: str | None = None) -> list[str]:
        """Return all that is no longer as this stage left it, in one of its folders or in all."""
        folders = sorted({record.folder for record in self.outputs}) if folder is None else [folder]
        return [found for name in folders for found in _differences(self.outputs, data_dir / name)]


def _differences(records: Sequence[FileRecord], folder: Path) -> list[str]:
    """Return how the data files in a folder differ from those recorded, a few words for each."""
    recorded = {record.name: record for record in records if record.folder == folder.name}
    present = {path.name: path for path in folder.glob("[!.]*.json")}
    found = []
    for name in sorted(recorded.keys() | present.keys()):
        if name not in recorded:
            found.append(f"{present[name]} is new")
        elif name not in present:
            found.append(f"{folder / name} is gone")
        elif not recorded[name].fits(present[name]):
            found.append(f"{present[name]} has changed")
    return found


class Manifest:
    """The records of all stages by name, as the file has them."""

    def __init__(self, meta_dir: Path) -> None:
        self._path = meta_dir / FILE_NAME
        self.stages: dict[str, StageRecord] = _load(self._path)

    def put(self, record: StageRecord) -> None:
        """Add or replace a stage's record, in the file too."""
        self.stages[record.stage] = record
        self._save()

    def drop(self, stages: Sequence[str]) -> None:
        """Forget stages, in the file too."""
        if any(self.stages.pop(stage, None) for stage in stages):
            self._save()

    def md5(self, path: Path) -> str:
        """Return a file's MD5 sum, as recorded where size and time still fit."""
        record = self.find(path)
        return stamp_file(path).md5 if record is None else record.md5

    def find(self, path: Path) -> FileRecord | None:
        """Return the record of a file that fedsynth wrote or read, if its size and time are still those."""
        status = path.stat()
        place = (recorded_path(path), status.st_size, status.st_mtime_ns)
        records = (record for stage in self.stages.values() for record in (*stage.outputs, *stage.inputs))
        return next((record for record in records if (record.path, record.size, record.mtime_ns) == place), None)

    def _save(self) -> None:
        stages = {name: record_to_json(record) for name, record in self.stages.items()}
        text = json.dumps({"format": FORMAT, "stages": stages}, indent=1) + "\n"
        replace_text(self._path, text)


def record_to_json(record: StageRecord) -> dict[str, Any]:
    """Return a record as JSON values."""
    return asdict(record)


def record_from_json(values: Mapping[str, Any]) -> StageRecord:
    """Return the record that `record_to_json` took apart. Raises TypeError or KeyError if it is none."""
    files = {key: [FileRecord(**file) for file in values[key]] for key in ("inputs", "outputs")}
    return StageRecord(**{**values, **files})


def replace_text(path: Path, text: str) -> None:
    """Write a small file in one step: readers see the old one or the new one, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    write_text(new, text)
    new.replace(path)


def _load(path: Path) -> dict[str, StageRecord]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: record_from_json(values) for name, values in content["stages"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: damaged, expected the record that fedsynth keeps of its stages ({error}); "
            "delete it, and run with --overwrite to make the stages again"
        ) from error
