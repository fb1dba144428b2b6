"""Write folders of LEAF's files for other programs: the formats by name, and what they have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import UsageError, named
from fedsynth.formats.schema import DTYPES
from fedsynth.pipeline.delivery import Delivery, deliver
from fedsynth.pipeline.export_card import Commands
from fedsynth.pipeline.export_pfllib import Numbered
from fedsynth.pipeline.export_source import ExportFolder, choose_folders, open_folders
from fedsynth.pipeline.export_tables import LAYOUTS, Tables
from fedsynth.pipeline.run import Bar, no_bar
from fedsynth.records.layout import FOLDERS, json_files, settled
from fedsynth.records.origin import unchanged
from fedsynth.records.stamp import FileStamp
from fedsynth.words import counted

PFLLIB = "pfllib"
FORMATS = (*LAYOUTS, PFLLIB)


@dataclass(frozen=True)
class ExportedFolder:
    """A folder that was exported as a split. users: those with samples."""

    path: Path
    split: str
    users: int
    samples: int


@dataclass(frozen=True)
class Exported:
    """What was written. files: in the order of their names; size: of all, in bytes.

    notes: what a user should know of where the data is from, and of what has no rows.
    """

    path: Path
    to: str
    folders: Sequence[ExportedFolder]
    files: Sequence[Path]
    size: int
    notes: Sequence[str] = field(default_factory=list)


class _Writer(Protocol):
    def write(self, delivery: Delivery) -> dict[str, FileStamp]:
        """Write all files of a format."""


@dataclass(frozen=True)
class ExportWish:
    """What is asked for. to: a format; folders: names, None for the usual ones; features: measures that need x.

    Raises UsageError for a format or type that is not known.
    """

    to: str = "huggingface"
    folders: Sequence[str] | None = None
    dtype: str = "float64"
    features: bool = True

    def __post_init__(self) -> None:
        for name, value, known in (("to", self.to, FORMATS), ("dtype", self.dtype, DTYPES)):
            if value not in known:
                raise UsageError(f"{named(name)} is {value!r}, expected one of {', '.join(known)}")


def export_folders(
    data_dir: Path,
    out: Path,
    wish: ExportWish,
    *,
    overwrite: bool = False,
    engine: Engine = INLINE,
    bar: Bar = no_bar,
    commands: Commands = lambda stages: [],
) -> Exported:
    """Write folders of a data folder for another program into a new one, whole or not at all.

    Reads each file twice: its labels, then all of it. The same data gives the same bytes, whatever the workers. Holds
    one user's text and values per file at work, a megabyte of rows, and a name, a size and a cluster for each user.
    overwrite: replace what an earlier export made there. commands: gives the command lines of stages. Raises
    StageError for a folder that is missing or stale, and for what is in the way; DataError for files that are damaged,
    samples that the format can't hold, and data that changes meanwhile; EngineError where pyarrow is not installed.
    """
    folders = choose_folders(data_dir, wish.folders)
    _refuse_within(data_dir, folders, out)
    with deliver(out, overwrite=overwrite) as delivery, contextlib.ExitStack() as stack:
        for folder in folders:
            stack.enter_context(unchanged(json_files(folder)))
        opened = open_folders(folders, engine, bar)
        files = _writer(wish, opened, engine, bar, commands).write(delivery)
        stack.close()
        delivery.commit(files)
    exported = [
        ExportedFolder(one.path, one.name, sum(map(bool, one.num_samples)), sum(one.num_samples)) for one in opened
    ]
    notes = [note for one in opened for note in _notes(one)]
    size = sum(stamp.size for stamp in files.values())
    return Exported(out, wish.to, exported, [out / path for path in sorted(files)], size, notes)


def _writer(wish: ExportWish, folders: Sequence[ExportFolder], engine: Engine, bar: Bar, commands: Commands) -> _Writer:
    if wish.to == PFLLIB:
        return Numbered(folders, wish.dtype, engine, bar)
    return Tables(folders, LAYOUTS[wish.to], wish.dtype, wish.features, commands, engine, bar)


def _refuse_within(data_dir: Path, folders: Sequence[Path], out: Path) -> None:
    """Raise UsageError for a folder that is one of the data's own, or in one of them."""
    resolved = settled(out).resolve()
    own = [data_dir / name for name in FOLDERS]
    for folder in (*own, *folders):
        if folder.resolve() in (resolved, *resolved.parents):
            raise UsageError(f"{out}: is in {folder}, which is for LEAF's files; name another folder")
    if resolved in data_dir.resolve().parents or resolved == data_dir.resolve():
        raise UsageError(f"{out}: holds the data that is to be exported; name another folder")


def _notes(folder: ExportFolder) -> list[str]:
    empty = sum(not size for size in folder.num_samples)
    lacking = [f"{folder.path}: dropped {counted(empty, 'user')} without samples"] if empty else []
    return [*([folder.origin.note] if folder.origin.note else []), *lacking]
