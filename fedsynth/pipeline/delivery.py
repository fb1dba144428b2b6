"""A folder that no stage makes: it appears whole or not at all, and is deleted only if a run made all of it.

    PARENT/.fedsynth/NAME.export/new     what is to appear as PARENT/NAME
    PARENT/.fedsynth/NAME.export/old     what it replaces, until the new one is there
    PARENT/.fedsynth/NAME.export/gone    what was replaced, and is being deleted
    PARENT/.fedsynth/NAME.export/scratch what is made on the way
    PARENT/.fedsynth/NAME.lock           held by the run at work

What a run that died left is finished or taken back by the next one to the same folder.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from fedsynth.errors import BusyError, StageError, named
from fedsynth.records.manifest import Count, Md5, from_text, to_text
from fedsynth.records.mark import discard, make_private
from fedsynth.records.stamp import FileStamp, stamp_file
from fedsynth.system import exclusive_lock, move_folder, sync_folder, write_text

RECORD = ".fedsynth-export.json"
"""In a folder that was delivered: which files, of which contents, a run made."""
FORMAT = 1


class MadeFile(msgspec.Struct, frozen=True):
    """A file that a run made."""

    size: Count
    md5: Md5


class DeliveryRecord(msgspec.Struct, frozen=True):
    """What a run made, by path from the folder on, with slashes."""

    format: int
    files: dict[str, MadeFile]

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"Expected format {FORMAT}, got {self.format}")


class Delivery:
    """A folder in the making. new: where its contents go; scratch: for what is made on the way."""

    def __init__(self, out: Path, work: Path, record: str = RECORD) -> None:
        self._out = out
        self._record = record
        self._work = work
        self._old = work / "old"
        self._gone = work / "gone"
        self.new = work / "new"
        self.scratch = work / "scratch"

    def commit(self, files: Mapping[str, FileStamp]) -> None:
        """Move the folder to its path. files: what it holds, by path. Raises StageError if that is not so any more."""
        made = {path: MadeFile(stamp.size, stamp.md5) for path, stamp in sorted(files.items())}
        write_text(self.new / self._record, to_text(DeliveryRecord(FORMAT, made)) + "\n")
        _check_sizes(self.new, made, self._record)
        for folder in sorted({self.new, *((self.new / path).parent for path in files)}):
            sync_folder(folder)
        if self._out.is_dir() and any(self._out.iterdir()):
            self._out.rename(self._old)
        try:
            move_folder(self.new, self._out)
        finally:
            self.recover()
        sync_folder(self._out.parent)

    def recover(self) -> None:
        """Undo what was not committed, and delete what is done with; what no run made is kept, as `NAME.kept`."""
        discard(self._gone)
        if not os.path.lexists(self._old):
            return
        if not os.path.lexists(self._out):
            self._old.rename(self._out)
        elif self._is_replaced():
            self._old.rename(self._gone)  # half of it is never taken for the whole
            discard(self._gone)
        else:
            numbers = (f"-{number}" if number else "" for number in itertools.count())
            names = (self._out.with_name(f"{self._out.name}.kept{number}") for number in numbers)
            self._old.rename(next(name for name in names if not os.path.lexists(name)))

    def _is_replaced(self) -> bool:
        """Whether the new folder has taken the old one's name, and a run made all of the old one."""
        if os.path.lexists(self.new):  # somebody else took the name
            return False
        try:
            require_own(self._old, self._record)
        except StageError:  # it came while the new one was made
            return False
        return True

    def discard(self) -> None:
        """Delete what was made; what is to be replaced stays, whatever failed."""
        for folder in (self.new, self.scratch):
            discard(folder)
        with contextlib.suppress(OSError):
            self._work.rmdir()


@contextlib.contextmanager
def deliver(out: Path, *, overwrite: bool, record: str = RECORD, keep: bool = False) -> Iterator[Delivery]:
    """Make a folder in a hidden one beside it; without `commit` nothing of it stays.

    record: the name of the file that tells what a run made; keep: move what no run made to `NAME.kept`, without asking.
    Raises StageError if something is there that is not to be replaced, BusyError if another run makes the same folder.
    """
    out = out.resolve() if out.name in ("", "..") else out
    check_free(out, overwrite=overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise StageError(
            f"{out.parent}: a file, or in one, or a link that leads nowhere, expected a folder for {out.name}; name "
            "another"
        ) from error
    private = make_private(out.parent)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(private / f"{out.name}.lock"))
        except BlockingIOError as error:
            raise BusyError(
                f"{out}: another fedsynth run is writing it; wait for it to end, or name another"
            ) from error
        work = private / f"{out.name}.export"
        delivery = Delivery(out, work, record)
        delivery.recover()
        delivery.discard()
        check_free(out, overwrite=overwrite)
        if out.is_dir() and not keep:
            require_own(out, record)
        try:
            for folder in (delivery.new, delivery.scratch):
                folder.mkdir(parents=True)
            yield delivery
        finally:
            with contextlib.suppress(OSError):
                delivery.discard()


def check_free(out: Path, *, overwrite: bool) -> None:
    """Raise StageError for what must not be replaced: files, links, and folders unless asked for."""
    if out.is_symlink():
        raise StageError(f"{out}: a link, expected a folder to write; name what it leads to, or another folder")
    if out.exists() and not out.is_dir():
        raise StageError(f"{out}: found a file, expected a folder to write; choose another name")
    if not out.is_dir() or not any(out.iterdir()):
        return
    if not overwrite:
        raise StageError(f"{out}: exists; add {named('overwrite')} to replace it, or name another folder")


def require_own(folder: Path, record: str = RECORD) -> None:
    """Raise StageError, naming the first of them, if a folder holds anything that no run put there as it is now."""
    if not any(folder.iterdir()):
        return
    way_out = "which is not replaced, for a run deletes only what a run made; move it elsewhere, or name another folder"
    try:
        made = from_text((folder / record).read_bytes(), DeliveryRecord).files
    except FileNotFoundError as error:
        raise StageError(f"{folder}: not made by `fedsynth export`, {way_out}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise StageError(
            f"{folder / record}: damaged ({error}), so nothing tells what made that folder, {way_out}"
        ) from error
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        if name == record or (name in made and not path.is_symlink() and _fits(path, made[name])):
            continue
        raise StageError(
            f"{path}: {'changed since it was exported' if name in made else 'no export made it'}, {way_out}"
        )


def _fits(path: Path, made: MadeFile) -> bool:
    return path.stat().st_size == made.size and stamp_file(path).md5 == made.md5


def _check_sizes(folder: Path, made: Mapping[str, MadeFile], record: str) -> None:
    there = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    there.pop(record, None)
    wanted = {path: file.size for path, file in made.items()}
    for path in sorted(there.keys() ^ wanted.keys() | {path for path in there if there[path] != wanted.get(path)}):
        raise StageError(f"{folder / path}: changed since this run wrote it; see what else writes there, and run again")
