"""A data folder at work: locked, repaired after crashes, and changed only in whole steps.

A stage writes into the hidden folder `.STAGE.partial` beside its target. When everything is there and synced, that is
renamed to `.STAGE.ready`: from then on the stage has happened, and what is left, moving each part into place, can be
done by any later run. So a reader sees a stage's folders whole or not at all, whenever the process dies.

    .STAGE.partial/folders/...    the folders to appear in data/
    .STAGE.partial/meta/...       the files to appear in meta/
    .STAGE.ready/record.json      what the manifest is to say
    .STAGE.old, .FOLDER.old       what is done with, replaced or cleared, being deleted
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from fedsynth.errors import BusyError, StageError
from fedsynth.pipeline.manifest import Manifest, StageRecord, record_from_json, record_to_json
from fedsynth.records.layout import in_use, meta_dir
from fedsynth.system import exclusive_lock, move_folder, sync_file, sync_folder, write_text

_PARTIAL, _READY, _OLD = ".partial", ".ready", ".old"


class Workspace:
    """The folder `data` and `meta` beside it, held by this process alone. Make it with `open_workspace`."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.meta_dir = meta_dir(data_dir)
        self._recover()
        self.manifest = Manifest(self.meta_dir)

    @contextlib.contextmanager
    def staged(self, stage: str, folders: Sequence[str]) -> Iterator[Staged]:
        """Make a stage's output in a hidden place; without `Staged.commit` nothing of it stays."""
        for path in (self.data_dir / name for name in folders):
            if path.exists() and not path.is_dir():
                raise StageError(f"{path}: found a file where the stage's folder goes; move it elsewhere")
        try:
            yield Staged(self, stage, folders)
        finally:
            shutil.rmtree(self.partial(stage), ignore_errors=True)

    def partial(self, stage: str) -> Path:
        """Return the hidden folder that a stage writes into."""
        return self.data_dir / f".{stage}{_PARTIAL}"

    def remove(self, folders: Sequence[str], stages: Sequence[str]) -> list[str]:
        """Remove folders, each in one step, and forget the stages that made them; return those that were there."""
        removed = [name for name in folders if (self.data_dir / name).is_dir()]
        for name in removed:
            self._set_aside(self.data_dir / name)
        self.manifest.drop(stages)
        return removed

    def finish(self, ready: Path) -> None:
        """Move a committed stage's parts into place; does only what an earlier, interrupted try left undone."""
        content = json.loads((ready / "record.json").read_text(encoding="utf-8"))
        for folder in sorted((ready / "folders").iterdir()):
            target = self.data_dir / folder.name
            if in_use(target) and not content["overwrite"]:
                raise StageError(f"{target}: in the way of an interrupted run's output in {ready}; move one of the two")
            if target.exists():
                self._set_aside(target)
            move_folder(folder, target)
        self.meta_dir.mkdir(parents=True, exist_ok=True)
        for file in sorted((ready / "meta").iterdir()):
            file.replace(self.meta_dir / file.name)
        sync_folder(self.data_dir)
        sync_folder(self.meta_dir)
        Manifest(self.meta_dir).put(record_from_json(content["record"]))
        self._delete(ready, ready.with_suffix(_OLD))

    def _recover(self) -> None:
        """Finish what was committed, delete what was not: what a run that died here left behind."""
        for path in sorted(self.data_dir.glob(f".*{_READY}")):
            self.finish(path)
        for suffix in (_PARTIAL, _OLD):
            for path in self.data_dir.glob(f".*{suffix}"):
                shutil.rmtree(path)

    def _set_aside(self, folder: Path) -> None:
        if folder.is_symlink():  # what it leads to is not ours
            folder.unlink()
        else:
            self._delete(folder, folder.with_name(f".{folder.name}{_OLD}"))

    def _delete(self, folder: Path, old: Path) -> None:
        """Make a folder vanish in one step, then delete it under a name that the next run cleans up."""
        shutil.rmtree(old, ignore_errors=True)
        folder.rename(old)
        shutil.rmtree(old)


class Staged:
    """A stage's output in the making. root: its hidden folder."""

    def __init__(self, workspace: Workspace, stage: str, folders: Sequence[str]) -> None:
        self._workspace = workspace
        self.root = workspace.partial(stage)
        for part in ("meta", *(f"folders/{name}" for name in folders)):
            (self.root / part).mkdir(parents=True)

    def folder(self, name: str) -> Path:
        """Return where the contents of `data/NAME` are to be written."""
        return self.root / "folders" / name

    def meta_file(self, name: str) -> Path:
        """Return where `meta/NAME` is to be written."""
        return self.root / "meta" / name

    def commit(self, record: StageRecord, *, overwrite: bool = False) -> None:
        """Make the stage happen. overwrite: folders of the same names that are in use are replaced."""
        content: dict[str, Any] = {"overwrite": overwrite, "record": record_to_json(record)}
        write_text(self.root / "record.json", json.dumps(content))
        for file in (self.root / "meta").iterdir():
            sync_file(file)
        for folder in [*(self.root / "folders").iterdir(), self.root / "meta", self.root]:
            sync_folder(folder)
        ready = self.root.with_suffix(_READY)
        self.root.rename(ready)
        sync_folder(self._workspace.data_dir)
        self._workspace.finish(ready)
        self._workspace.manifest = Manifest(self._workspace.meta_dir)


@contextlib.contextmanager
def open_workspace(data_dir: Path) -> Iterator[Workspace]:
    """Lock and repair a data folder. Raises BusyError if another run holds it, StageError if it does not exist."""
    if not data_dir.is_dir():
        raise StageError(
            f"{data_dir}: no such folder, expected the data folder; run `python main.py -num-tasks T` first"
        )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(exclusive_lock(data_dir / ".lock"))
        except BlockingIOError as error:
            raise BusyError(
                f"{data_dir}: another fedsynth run is at work there; wait for it to end, or name another folder"
            ) from error
        yield Workspace(data_dir)
