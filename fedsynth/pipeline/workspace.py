"""A data folder at work: locked, repaired after crashes, and changed only in whole steps.

Whatever is to change is made in the data folder's private folder, `.fedsynth`; see `draft` for its layout. When
everything is there and synced, one rename commits it. What is left, moving each part to its path, can be done by any
later run. So a reader sees a stage's folders whole or not at all, and what is replaced stands until the new is whole.

What vanishes is deleted file by file, and only files that the manifest, when the change was committed, knew as a run's
own. Whatever else is in such a folder is moved to `data/NAME.kept`. Nothing else outside private folders is deleted.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from secrets import token_hex

from fedsynth.errors import BusyError, StageError, UsageError, named
from fedsynth.pipeline.draft import MAKING, Change, Draft, Made, read_change
from fedsynth.records.layout import META, meta_dir
from fedsynth.records.manifest import FILE_NAME, Manifest
from fedsynth.records.mark import NAME, discard, find_private, is_marked, make_private
from fedsynth.records.origin import COMMITTED
from fedsynth.system import exclusive_lock, move_folder, sync_folder

_TRASH = "trash"
_NFS_DELETED = re.compile("[.]nfs[0-9a-f]{24}")
"""What NFS calls files that are deleted and still open somewhere."""


class Workspace:
    """A data folder and its records, held by this process alone. Make it with `open_workspace`."""

    def __init__(self, data_dir: Path, private: Path) -> None:
        self.data_dir = data_dir
        self.meta_dir = meta_dir(data_dir)
        self._kept: list[Path] = []
        self._private = private
        self._passing: Path | None = None
        self._live: set[Path] = set()
        self._recover()
        self.manifest = Manifest(data_dir)

    @contextlib.contextmanager
    def draft(self, folders: Sequence[str] = ()) -> Iterator[Draft]:
        """Make a change in a hidden folder; without `commit` nothing of it stays. folders: those that will appear.

        Raises StageError where one of them could not be moved into the data folder.
        """
        for name in folders:
            _check_replaceable(self.data_dir / name)
        draft = Draft(self._private / MAKING / token_hex(4), self.meta_dir)
        self._live.add(draft.root)
        try:
            yield draft
        finally:
            self._live.discard(draft.root)
            draft.abandon()
            with contextlib.suppress(OSError):
                self._tidy_up()

    def passing_folder(self) -> Path:
        """Return a folder for what is only needed until this run's end, which `close` deletes."""
        if self._passing is None:
            self._passing = self._private / MAKING / token_hex(4)
            self._passing.mkdir(parents=True)
            self._live.add(self._passing)
        return self._passing

    def close(self) -> None:
        """Delete what was needed only until this run's end."""
        self._passing = None
        self._live.clear()
        with contextlib.suppress(OSError):
            self._tidy_up()

    def commit(self, draft: Draft) -> None:
        """Commit a draft: its folders replace those of the same names, in one step.

        Other folders that were made together with one that is replaced or removed vanish: half of a split is none.
        """
        gone = self.manifest.made_with([*draft.folders, *draft.removed])
        draft.removed = [name for name in gone if name not in draft.folders]
        for name in (*draft.folders, *draft.removed):
            _check_replaceable(self.data_dir / name)
        change = draft.seal(self.data_dir, self.manifest)
        if change.meta or change.records or change.dropped:
            _check_writable(self.meta_dir, [FILE_NAME, *(file.name for file in change.meta)])
        draft.root.rename(self._private / COMMITTED)
        sync_folder(self._private)
        try:
            self._finish(change)
        except OSError:
            self._take_back(draft)
            raise

    def remove(self, folders: Sequence[str]) -> list[str]:
        """Remove folders and forget the stages that made them, in one step; return those that were there.

        What the same stages made beside them goes too.
        """
        folders = self.manifest.made_with(folders)
        present = [name for name in folders if os.path.lexists(self.data_dir / name)]
        if present or any(self.manifest.made(name) for name in folders):
            with self.draft() as draft:
                draft.removed = folders
                self.commit(draft)
        return present

    def notes(self) -> list[str]:
        """Return, once, what a user should know of this folder: where things were moved that no run had made."""
        kept, self._kept = self._kept, []
        return [f"{path}: holds what stood in a folder that was replaced, and that no run had made" for path in kept]

    def _finish(self, change: Change) -> None:
        """Move a committed change's parts to their paths; does only what an earlier, interrupted try left undone."""
        committed = self._private / COMMITTED
        for name in change.folders:
            self._put(committed / "folders" / name, committed / "replaced" / name)
        for name in change.removed:
            self._take_away(self.data_dir / name, committed / "replaced" / name)
        meta = find_private(self.meta_dir)
        for file in change.meta:
            if meta is not None and (meta / MAKING / file.name).exists():
                (meta / MAKING / file.name).replace(self.meta_dir / file.name)
        for gone in change.outdated:
            (self.meta_dir / gone).unlink(missing_ok=True)
        sync_folder(self.data_dir)
        if meta is not None:
            sync_folder(self.meta_dir)
        self.manifest = Manifest(self.data_dir)
        self.manifest.change(change.records, change.dropped)
        for old in sorted((committed / "replaced").iterdir()):
            self._purge(old, change.replaced.get(old.name, ()))
        committed.rename(self._free_name(_TRASH))
        self._tidy_up()

    def _take_back(self, draft: Draft) -> None:
        """Undo a commit of which nothing could be moved: else all later runs would fail at what can't be done."""
        committed = self._private / COMMITTED
        unmoved = all((committed / "folders" / name).exists() for name in draft.folders)
        if unmoved and (draft.folders or draft.removed) and not any((committed / "replaced").iterdir()):
            committed.rename(draft.root)

    def _put(self, new: Path, old: Path) -> None:
        if new.exists():
            target = self.data_dir / new.name
            if os.path.lexists(old) and os.path.lexists(target):  # somebody put it there after the run had died
                self._keep(target)
            self._take_away(target, old)
            move_folder(new, target)

    def _take_away(self, target: Path, old: Path) -> None:
        if os.path.lexists(target) and not os.path.lexists(old):
            target.rename(old)

    def _purge(self, old: Path, made: Sequence[Made]) -> None:
        """Delete what runs made of a folder that was replaced, and move the rest to `NAME.kept`."""
        if stat.S_ISDIR(old.lstat().st_mode):
            for file in made:
                with contextlib.suppress(FileNotFoundError):
                    status = (old / file.name).lstat()
                    if (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns):
                        (old / file.name).unlink()
            for path in [path for path in old.iterdir() if is_marked(path)]:
                discard(path)
            if all(_NFS_DELETED.fullmatch(path.name) for path in old.iterdir()):
                discard(old)
                return
        self._keep(old)

    def _keep(self, path: Path) -> None:
        numbers = (f"-{number}" if number else "" for number in itertools.count())
        names = (self.data_dir / f"{path.name}.kept{number}" for number in numbers)
        target = next(name for name in names if not os.path.lexists(name))
        path.rename(target)
        self._kept.append(target)

    def _recover(self) -> None:
        """Finish what was committed, delete what was not: what a run that died here left behind."""
        committed = self._private / COMMITTED
        if os.path.lexists(committed):
            meta = find_private(self.meta_dir)
            self._finish(read_change(committed, self.meta_dir if meta is None else meta))
        self._tidy_up()

    def _tidy_up(self) -> None:
        """Delete drafts, but for those that are still being made, and what is done with."""
        for path in self._private.iterdir():
            if path.name == MAKING and self._live:
                for draft in [draft for draft in path.iterdir() if draft not in self._live]:
                    discard(draft)
            elif path.name == MAKING or path.name.startswith(_TRASH):
                discard(path)
        meta = find_private(self.meta_dir)
        if meta is not None and not os.path.lexists(self._private / COMMITTED):
            for path in [path for path in meta.iterdir() if path.name != NAME]:
                discard(path)

    def _free_name(self, name: str) -> Path:
        names = (self._private / f"{name}{number or ''}" for number in itertools.count())
        return next(path for path in names if not os.path.lexists(path))


def _check_replaceable(folder: Path) -> None:
    """Check what is at the path of a stage's folder. Raises StageError for what can't be moved out of the way."""
    if folder.is_symlink():
        if not folder.exists():
            raise StageError(f"{folder}: a link that leads nowhere (is its disk mounted?); mend or remove the link")
    elif folder.is_dir():
        if os.path.ismount(folder):
            raise StageError(
                f"{folder}: a mount point, which can't be replaced as a whole; mount the data folder above it, or link"
            )
        if not os.access(folder, os.W_OK):
            raise StageError(f"{folder}: Permission denied; check who owns the folder and what its permissions are")
    elif folder.exists():
        raise StageError(f"{folder}: found a file where the stage's folder goes; move it elsewhere")


def _check_writable(meta_dir: Path, names: Sequence[str]) -> None:
    """Check that records can be written. Raises StageError while nothing has happened yet."""
    meta_dir.mkdir(parents=True, exist_ok=True)
    if not os.access(meta_dir, os.W_OK):
        raise StageError(f"{meta_dir}: Permission denied; check who owns the folder and what its permissions are")
    for name in names:
        if (meta_dir / name).is_dir():
            raise StageError(f"{meta_dir / name}: found a folder where a file of records goes; move it elsewhere")


@contextlib.contextmanager
def open_workspace(data_dir: Path) -> Iterator[Workspace]:
    """Lock and repair a data folder. Raises BusyError if another run holds it, StageError if it does not exist."""
    if not data_dir.is_dir():
        raise StageError(f"{data_dir}: no such folder, expected the data folder; generate data first")
    name = data_dir.resolve().name
    if name == META or name.startswith(NAME) or Path(name).suffix in (".json", ".npz", ".md5", ".txt"):  # as in meta/
        raise UsageError(f"{data_dir}: this name is for records; choose another {named('data_dir')}")
    private = make_private(data_dir)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(private / "lock"))
        except BlockingIOError as error:
            raise BusyError(
                f"{data_dir}: another fedsynth run is at work there; wait for it to end, or name another folder"
            ) from error
        yield stack.enter_context(contextlib.closing(Workspace(data_dir, private)))
