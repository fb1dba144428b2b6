"""`meta/manifest.json`: what each stage did, and from what. The only code that reads or writes it.

The file is input like any other: it is checked against the types below, so that nothing invalid in it reaches a path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from fedsynth.errors import DataError
from fedsynth.records.layout import ALL_DATA, NEW_USERS, REM_USERS, SAMPLED, TEST, TRAIN, VAL, meta_dir, settled
from fedsynth.records.mark import new_file
from fedsynth.records.stamp import FileStamp, stamp_file
from fedsynth.system import write_text

FILE_NAME = "manifest.json"
FORMAT = 1

MAKERS = {
    ALL_DATA: ("generate", "partition"),
    SAMPLED: ("sample",),
    REM_USERS: ("remove_users",),
    TRAIN: ("split",),
    VAL: ("split",),
    TEST: ("split",),
    NEW_USERS: ("split",),
}
"""Which stages make which folder; one that is made replaces what the others made."""

Typed = TypeVar("Typed")
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Folder = Annotated[str, Meta(pattern=f"^({'|'.join(MAKERS)})$")]
StageName = Annotated[str, Meta(pattern=f"^({'|'.join(stage for stages in MAKERS.values() for stage in stages)})$")]
Md5 = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Version = Annotated[str, Meta(pattern="^[0-9A-Za-z.+-]{1,64}$")]


class FileRecord(msgspec.Struct, frozen=True):
    """One file. path: from the data folder's own name on, with slashes; the rest as in FileStamp."""

    path: str
    size: Count
    mtime_ns: int
    md5: Md5

    def __post_init__(self) -> None:
        parts = self.path.split("/")
        if len(parts) != 3 or parts[1] not in MAKERS or parts[2] in ("", ".", "..") or "\0" in self.path:
            raise ValueError(f"Expected a path such as data/train/NAME.json, got {self.path[:60]!r}")

    @classmethod
    def of(cls, path: Path, stamp: FileStamp) -> FileRecord:
        """Return the record of a file that stands in a stage's folder."""
        folder = settled(path.parent)
        return cls(f"{folder.parent.name}/{folder.name}/{path.name}", stamp.size, stamp.mtime_ns, stamp.md5)

    @property
    def folder(self) -> str:
        """The stage's folder that the file is in."""
        return self.path.split("/", 2)[1]

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    def fits(self, path: Path | str) -> bool:
        """Whether the file is what it was: by size and time, which costs nothing, or else by MD5."""
        status = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and asked for every shard
        if status.st_size != self.size:
            return False
        return status.st_mtime_ns == self.mtime_ns or stamp_file(Path(path)).md5 == self.md5


class SourceRecord(msgspec.Struct, frozen=True):
    """A file from elsewhere that a stage read. path: absolute; the rest as in FileStamp."""

    path: str
    size: Count
    mtime_ns: int
    md5: Md5

    @classmethod
    def of(cls, path: Path, stamp: FileStamp) -> SourceRecord:
        """Return the record of a file."""
        return cls(str(path.resolve()), stamp.size, stamp.mtime_ns, stamp.md5)

    def change(self) -> str | None:
        """Return what became of the file in a few words, None if it is as it was, or gone: it isn't needed any more."""
        path = Path(self.path)
        if not path.is_file():
            return None
        status = path.stat()
        if (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns):
            return None
        same = status.st_size == self.size and stamp_file(path).md5 == self.md5
        return None if same else f"{path} has changed"


class LeftOut(msgspec.Struct, frozen=True):
    """Users that a stage could not split. users: the first ten of them."""

    count: Count = 0
    users: Sequence[str] = ()


class StageRecord(msgspec.Struct, frozen=True):
    """What one stage did. before and after: counts of users and samples, after by folder."""

    stage: StageName
    fedsynth: Version
    parameters: dict[str, Any]
    seed: int | None
    inputs: Sequence[FileRecord]
    outputs: Sequence[FileRecord]
    before: dict[str, Count] | None
    after: dict[Folder, dict[str, Count]]
    left_out: LeftOut = LeftOut()
    sources: Sequence[SourceRecord] = ()
    """Files from elsewhere that were read; inputs are those of other stages."""

    def __post_init__(self) -> None:
        if any(counts.keys() != {"users", "samples"} for counts in self.after.values()):
            raise ValueError("Expected counts of users and samples")
        if any(self.stage not in MAKERS[folder] for folder in self.folders):
            raise ValueError(f"Expected outputs of {self.stage} alone")

    @property
    def folders(self) -> list[str]:
        """The folders that the stage made."""
        return list(dict.fromkeys([*self.after, *(file.folder for file in self.outputs)]))


class _Content(msgspec.Struct):
    format: int
    stages: dict[StageName, StageRecord]

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"Expected format {FORMAT}, got {self.format}, of another version of fedsynth")
        if any(name != record.stage for name, record in self.stages.items()):
            raise ValueError("Expected each stage under its own name")


class Manifest:
    """The records of all stages of a data folder, as the file has them; looks files up in constant time."""

    def __init__(self, data_dir: Path) -> None:
        self.path = meta_dir(data_dir) / FILE_NAME
        self.stages: dict[str, StageRecord] = _load(self.path)
        self._index()

    def change(self, put: Iterable[StageRecord], drop: Iterable[str] = ()) -> None:
        """Forget stages, then add or replace others, in the file too, in one step; write nothing if nothing changes."""
        stages = {name: record for name, record in self.stages.items() if name not in set(drop)}
        stages |= {record.stage: record for record in put}
        if stages == self.stages:
            return
        self.stages = stages
        self._index()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        replace_text(self.path, to_text(_Content(FORMAT, stages)) + "\n")

    def made(self, folder: str) -> StageRecord | None:
        """Return the record of the stage that made a folder of this name, None if none did."""
        made = (stage for stage in MAKERS.get(folder, ()) if folder in self._folders.get(stage, ()))
        return next((self.stages[stage] for stage in made), None)

    def made_with(self, folders: Iterable[str]) -> list[str]:
        """Return these folders, then the others that the stages which made them made too: they come and go together."""
        records = [record for name in folders if (record := self.made(name))]
        return list(dict.fromkeys([*folders, *(name for record in records for name in record.folders)]))

    def find(self, path: Path) -> FileRecord | None:
        """Return the record of a file that fedsynth wrote or read, if its size and time are still those."""
        status = os.stat(path)  # noqa: PTH116
        return self._by_location.get((path.parent.name, path.name, status.st_size, status.st_mtime_ns))

    def md5(self, path: Path) -> str:
        """Return a file's MD5 sum, as recorded where size and time still fit."""
        record = self.find(path)
        return stamp_file(path).md5 if record is None else record.md5

    def knows_size(self, size: int) -> bool:
        """Whether any stage wrote a file of this size; a file of another size needs no MD5 sum to be told apart."""
        return size in self._sizes

    def maker(self, md5: str) -> StageRecord | None:
        """Return the stage that made a file of this content, None if none did."""
        return self._makers.get(md5)

    def _index(self) -> None:
        self._folders = {name: record.folders for name, record in self.stages.items()}
        files = [(record, stage) for stage in self.stages.values() for record in stage.outputs]
        self._makers = {record.md5: stage for record, stage in reversed(files)}
        self._sizes = {record.size for record, _ in files}
        known = [record for stage in self.stages.values() for record in (*stage.inputs, *stage.outputs)]
        self._by_location = {(record.folder, record.name, record.size, record.mtime_ns): record for record in known}


def differences(records: Iterable[FileRecord], folder: Path, present: Iterable[str]) -> list[str]:
    """Return how the data files in a folder differ from those recorded of it, a few words for each.

    present: the names of those that are there. Ten microseconds a file: thousands of shards are no reason not to ask.
    """
    prefix, own = os.fspath(folder), folder.name
    recorded = {record.name: record for record in records if record.folder == own}
    there = set(present)
    found = dict.fromkeys(recorded.keys() - there, "is gone") | dict.fromkeys(there - recorded.keys(), "is new")
    for name in there & recorded.keys():
        if not recorded[name].fits(f"{prefix}/{name}"):
            found[name] = "has changed"
    return [f"{folder / name} {what}" for name, what in sorted(found.items())]


def replace_text(path: Path, text: str) -> None:
    """Write a small file in one step: readers see the old one or the new one, also after a crash."""
    with new_file(path) as new:
        write_text(new, text)


def to_text(values: msgspec.Struct) -> str:
    """Return JSON text, indented; names of files may hold bytes that are no UTF-8."""
    try:
        return msgspec.json.format(msgspec.json.encode(values), indent=1).decode()
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(values), indent=1)


def from_text(text: bytes, kind: type[Typed]) -> Typed:
    """Return what `to_text` wrote. Raises ValueError for anything that is not of this type."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(text), kind)


def _load(path: Path) -> dict[str, StageRecord]:
    try:
        return from_text(path.read_bytes(), _Content).stages
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: damaged, expected the record that fedsynth keeps of its stages ({error}); "
            "delete it, and make the stages again"
        ) from error
