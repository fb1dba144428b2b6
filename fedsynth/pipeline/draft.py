"""A change of a data folder in the making, and what is written down of it when it is committed.

    .fedsynth/making/X/folders/NAME    folders that are to appear in data/
    .fedsynth/making/X/change.json     what is to happen, written last
    .fedsynth/making/X/passing         what is needed while that is made; it goes with the draft
    .fedsynth/making/X/replaced        where folders go that are to vanish
    meta/.fedsynth/making/NAME         files that are to appear in meta/, which may be another disk

X is another name each time: a job of a dead run, still at work on a cluster, writes nowhere near. A commit renames
`making/X` to `committed`: from then on the change has happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from fedsynth.errors import DataError, StageError
from fedsynth.pipeline.syncing import Syncing
from fedsynth.records.layout import data_files, data_names
from fedsynth.records.manifest import (
    Count,
    FileRecord,
    Folder,
    Manifest,
    Md5,
    StageName,
    StageRecord,
    differences,
    from_text,
    to_text,
)
from fedsynth.records.mark import make_private
from fedsynth.records.stamp import stamp_file
from fedsynth.system import sync_file, sync_folder, write_text

MAKING = "making"
FORMAT = 1


class Made(msgspec.Struct, frozen=True):
    """A file that a run made, and that may be deleted while it is still so."""

    name: str
    size: Count
    mtime_ns: int

    def __post_init__(self) -> None:
        if "/" in self.name or self.name in ("", ".", ".."):
            raise ValueError("Expected the name of a file")


MetaName = Annotated[str, Meta(pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]*$")]


class MetaFile(msgspec.Struct, frozen=True):
    """A file for meta/."""

    name: MetaName
    size: Count
    md5: Md5


class Change(msgspec.Struct, frozen=True):
    """What a commit changes. folders appear, removed vanish; replaced: what a run had made of those that vanish.

    records are put into the manifest, dropped stages leave it.
    """

    format: int
    folders: Sequence[Folder]
    removed: Sequence[Folder]
    replaced: dict[Folder, Sequence[Made]]
    meta: Sequence[MetaFile]
    records: Sequence[StageRecord]
    dropped: Sequence[StageName]
    outdated: Sequence[MetaName] = ()
    """Files of meta/ that a run made and that are true no longer."""

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"Expected format {FORMAT}, got {self.format}")

    def outputs(self, folder: str) -> list[FileRecord]:
        """Return the files that the new folder holds."""
        return [file for record in self.records for file in record.outputs if file.folder == folder]


class Draft:
    """Stages' output in the making. folders: by name, where the contents of each are to be written."""

    def __init__(self, root: Path, meta_dir: Path) -> None:
        self.root = root
        self._meta_dir = meta_dir
        self._meta: list[Path] = []
        self.folders: dict[str, Path] = {}
        self.removed: list[str] = []
        self.outdated: list[str] = []
        self._records: list[StageRecord] = []
        self._texts: dict[str, str] = {}
        self._syncing = Syncing()
        for part in ("folders", "replaced"):
            (root / part).mkdir(parents=True)

    def add_folder(self, name: str) -> Path:
        """Make the folder that is to appear as `data/NAME`, and return it."""
        self.folders[name] = self.root / "folders" / name
        self.folders[name].mkdir()
        return self.folders[name]

    def passing_folder(self) -> Path:
        """Make a folder for what is needed until the commit and never appears, and return it; workers see it too."""
        folder = self.root / "passing"
        folder.mkdir()
        return folder

    def meta_file(self, name: str) -> Path:
        """Return where `meta/NAME` is to be written."""
        self._meta_dir.mkdir(parents=True, exist_ok=True)
        making = make_private(self._meta_dir) / MAKING
        making.mkdir(exist_ok=True)
        self._meta.append(making / name)
        return self._meta[-1]

    def add_text(self, name: str, text: str) -> None:
        """Take a small file for `meta/NAME`, which is written at the end."""
        self._texts[name] = text

    def sync(self, path: Path) -> None:
        """Take a finished file of the draft that is not synced yet, to sync it meanwhile."""
        self._syncing.add(path)

    def abandon(self) -> None:
        """Stop syncing: the draft is not wanted any more."""
        self._syncing.abandon()

    def add_record(self, record: StageRecord) -> None:
        """Take what the manifest is to say of a stage."""
        self._records.append(record)

    def seal(self, data_dir: Path, manifest: Manifest) -> Change:
        """Write down what is to happen, and sync everything: the draft can be committed."""
        for name, text in self._texts.items():
            write_text(self.meta_file(name), text)
        self._syncing.finish()
        self._check_untouched()
        change = Change(
            format=FORMAT,
            folders=list(self.folders),
            removed=self.removed,
            replaced={},
            meta=[_described(file) for file in self._meta],
            records=self._records,
            dropped=self._dropped(manifest),
            outdated=self.outdated,
        )
        made = {name: _made(data_dir / name, manifest, change) for name in (*self.folders, *self.removed)}
        change = msgspec.structs.replace(change, replaced=made)
        write_text(self.root / "change.json", to_text(change))
        for file in self._meta:
            sync_file(file)
        meta = {file.parent for file in self._meta}
        for folder in [*self.folders.values(), self.root / "folders", self.root, *meta]:
            sync_folder(folder)
        return change

    def _dropped(self, manifest: Manifest) -> list[str]:
        """Return the stages whose folders vanish, or become another stage's."""
        made = (record for name in (*self.folders, *self.removed) if (record := manifest.made(name)))
        return sorted({record.stage for record in made} - {record.stage for record in self._records})

    def _check_untouched(self) -> None:
        """Check that the files are as they were when their writers were done with them."""
        outputs = [file for record in self._records for file in record.outputs]
        for folder in self.folders.values():
            changed = differences(outputs, folder, data_names(folder))
            if changed:
                raise DataError(f"{changed[0]} since this run wrote it; see what else writes there, and run again")


def read_change(committed: Path, meta: Path) -> Change:
    """Return what a run that died had committed. Raises StageError unless all that it is to move is whole."""
    try:
        change = from_text((committed / "change.json").read_bytes(), Change)
        problem = _problem(committed, meta, change)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise StageError(
            f"{committed}: not what a run of fedsynth left there ({problem}); nothing was changed: move that folder "
            "elsewhere to go on without it"
        )
    return change


def _problem(committed: Path, meta: Path, change: Change) -> str:
    """Return what is wrong with a commit's files, "" if nothing; what was moved already is not there any more.

    A link could lead out of the data folder, and what is behind it would be moved or deleted.
    """
    for path in (committed, committed / "folders", committed / "replaced", meta / MAKING):
        if path.is_symlink():
            return f"{path} is a link"
    for old in (committed / "replaced").iterdir():
        if old.name not in (*change.folders, *change.removed):
            return f"{old} is not part of it"
    for folder in (committed / "folders").iterdir():
        name = folder.name
        if name not in change.folders or folder.is_symlink():
            return f"{name} is not part of it"
        changed = differences(change.outputs(name), folder, data_names(folder))
        if changed or not change.outputs(name):
            return changed[0] if changed else f"{name} is empty"
    for file in change.meta:
        path = meta / MAKING / file.name
        if path.is_symlink() or (path.exists() and _described(path) != file):
            return f"{path} has changed"
    return ""


def _described(file: Path) -> MetaFile:
    stamp = stamp_file(file)
    return MetaFile(file.name, stamp.size, stamp.md5)


def _made(folder: Path, manifest: Manifest, change: Change) -> list[Made]:
    """Return the files of a folder that a run made, or that come back with the same contents; a link's are not ours."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    stage = manifest.made(folder.name)
    recorded = {file.name: file for file in (stage.outputs if stage else ()) if file.folder == folder.name}
    back: dict[int, set[str]] = {}
    for file in change.outputs(folder.name):
        back.setdefault(file.size, set()).add(file.md5)
    found = []
    for path in data_files(folder):
        if not path.is_symlink() and _is_known(path, recorded.get(path.name), back):
            status = path.stat()
            found.append(Made(path.name, status.st_size, status.st_mtime_ns))
    return found


def _is_known(path: Path, recorded: FileRecord | None, back: Mapping[int, Set[str]]) -> bool:
    """Whether a file is as recorded, or has the contents of one that comes back. back: MD5 sums by size."""
    if recorded is not None and recorded.fits(path):
        return True
    sums = back.get(path.stat().st_size)
    return sums is not None and stamp_file(path).md5 in sums
