"""Run one stage: find its input, plan, carry out, record; or keep what an earlier run made of the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fedsynth.engine import INLINE, Engine, Progress, no_progress
from fedsynth.errors import DataError
from fedsynth.leaf.carry import CopyJob, carry_out
from fedsynth.leaf.offsets import AnyIndex, unshelved
from fedsynth.leaf.plan import StagePlan
from fedsynth.leaf.reader import IndexJob, index_file
from fedsynth.pipeline.checks import check_left, in_the_way, require_same
from fedsynth.pipeline.draft import Draft
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.workspace import Workspace
from fedsynth.records.layout import in_use, json_files, latest, stepped_name
from fedsynth.records.manifest import FileRecord, LeftOut, StageRecord
from fedsynth.records.origin import find_origin
from fedsynth.records.stamp import FileStamp
from fedsynth.version import __version__

Bar = Callable[[str, int], AbstractContextManager[Progress]]
"""Called with what is being done and to how many users; gives a callback that takes the users just done."""


def no_bar(what: str, users: int) -> AbstractContextManager[Progress]:
    """Ignore the progress."""
    return nullcontext(no_progress)


@dataclass(frozen=True)
class StageResult:
    """What became of a stage. kept: an earlier run had made the same; notes: what a user should know of it."""

    record: StageRecord
    kept: bool
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Input:
    """A file that a stage reads. record: as the manifest is to have it, also before the file is in its folder."""

    record: FileRecord
    index: AnyIndex


@dataclass(frozen=True)
class _Waiting:
    """A stage that is made and not committed yet. stack: ends its draft."""

    draft: Draft
    result: StageResult
    stack: ExitStack


class StageRunner:
    """Runs stages in one workspace; remembers the indexes of the files it wrote, so that none is read twice.

    draft: where to make them all, to replace what is there at the end in one step. Without it each stage has a draft of
    its own, which is committed, and `done` told, once the next stage is made, or in `settle`: meanwhile its files get
    to the disk, and the next stage reads them where they are. clear: folders that the draft will replace or remove,
    and that no stage may read.
    """

    def __init__(
        self,
        workspace: Workspace,
        engine: Engine = INLINE,
        bar: Bar = no_bar,
        *,
        draft: Draft | None = None,
        clear: Sequence[str] = (),
        done: Callable[[StageResult], None] = lambda result: None,
    ) -> None:
        self._workspace = workspace
        self._engine = engine
        self._bar = bar
        self._draft = draft
        self._clear = clear
        self._done = done
        self._written: dict[Path, tuple[AnyIndex, FileStamp]] = {}
        self._waiting: _Waiting | None = None

    def run(self, stage: Stage) -> StageResult:
        """Run a stage, or keep its folders if they are what it would make; whatever fails, the one before is settled.

        Raises StageError if its folders are in the way, its input is missing or stale, or nothing would be left;
        DataError if the input is not LEAF's format.
        """
        try:
            keep = self._draft is None and in_the_way(self._workspace, stage)
            if keep:
                self.settle()
            source = self._source(stage)
            notes = [] if source in self._drafted().values() else self._check(source)
            if keep:
                result = StageResult(require_same(self._workspace, stage, source), kept=True, notes=notes)
                self._done(result)
            elif self._draft is not None:
                result = StageResult(self._make(stage, source, self._draft), kept=False, notes=notes)
            else:
                result = self._run_apart(stage, source, notes)
        except BaseException:
            self.settle()
            raise
        return result

    def settle(self) -> None:
        """Commit the stage that was made last, once its files are on the disk."""
        if self._waiting is None:
            return
        waiting, self._waiting = self._waiting, None
        with waiting.stack:
            self._workspace.commit(waiting.draft)
        made = set(waiting.draft.folders.values())
        for path in [path for path in self._written if path.parent in made]:
            index, stamp = self._written.pop(path)
            self._written[self._final(path)] = replace(index, path=self._final(path)), stamp
        self._done(waiting.result)

    def _run_apart(self, stage: Stage, source: Path, notes: Sequence[str]) -> StageResult:
        """Make a stage in a draft of its own, then settle the one before: it may have been read until now."""
        with ExitStack() as stack:
            draft = stack.enter_context(self._workspace.draft(stage.folders))
            result = StageResult(self._make(stage, source, draft), kept=False, notes=notes)
            self.settle()
            self._waiting = _Waiting(draft, result, stack.pop_all())
        return result

    def _drafted(self) -> dict[str, Path]:
        """Return the folders that were made and are not committed yet."""
        draft = self._draft if self._waiting is None else self._waiting.draft
        return {} if draft is None else draft.folders

    def _source(self, stage: Stage) -> Path:
        """Return the most recent folder that the stage may read: made just now, or there and not to be replaced."""
        drafted = self._drafted()
        for name in stage.reads:
            if name in drafted:
                return drafted[name]
            if name not in self._clear and in_use(self._workspace.data_dir / name):
                return self._workspace.data_dir / name
        return latest(self._workspace.data_dir, *(name for name in stage.reads if name not in self._clear))

    def _check(self, source: Path) -> list[str]:
        """Return what a user should know of the data that is about to be read. Raises StageError if it is stale."""
        note = find_origin(source, self._workspace.manifest).note
        return [note] if note else []

    def _make(self, stage: Stage, source: Path, draft: Draft) -> StageRecord:
        paths = json_files(source)
        # Of one file the check also gives the samples' offsets. Those of many files would be too much to hold at once.
        inputs = self._read_inputs(paths, samples=stage.pools and len(paths) == 1)
        seed = _seed(stage)
        plan = stage.plan([file.index for file in inputs], random.Random(seed))
        for name in stage.folders:
            draft.add_folder(name)
        outputs, after = self._carry_out(stage, plan, inputs, draft)
        check_left(stage, after, source)
        record = StageRecord(
            stage=stage.name,
            fedsynth=__version__,
            parameters=stage.parameters,
            seed=seed,
            inputs=[file.record for file in inputs],
            outputs=outputs,
            before=_totals([file.index.num_samples for file in inputs]),
            after=after,
            left_out=LeftOut(plan.num_left_out, _names(inputs, plan.left_out)),
        )
        draft.add_record(record)
        if stage.seed_file is not None and seed is not None:
            draft.add_text(stage.seed_file.name, f"{stage.seed_file.comment}\n{seed}")
        return record

    def _read_inputs(self, paths: Sequence[Path], *, samples: bool) -> list[_Input]:
        """Index and check the files that this run did not write itself; samples: their samples' offsets too."""
        unread = [path for path in paths if path not in self._written]
        known = [self._workspace.manifest.find(path) for path in unread]
        jobs = [
            IndexJob(path, None if record is None else record.md5, samples, self._shelf(len(paths)))
            for path, record in zip(unread, known, strict=True)
        ]
        read = dict(self._written)
        for path, record, (index, stamp) in zip(unread, known, self._engine.map(index_file, jobs), strict=True):
            if record is not None and (stamp.size, stamp.mtime_ns) != (record.size, record.mtime_ns):
                raise DataError(f"{path}: changed while it was read; run the same command again")
            read[path] = index, stamp
        return [_Input(FileRecord.of(self._final(path), read[path][1]), read[path][0]) for path in paths]

    def _carry_out(
        self, stage: Stage, plan: StagePlan, inputs: Sequence[_Input], draft: Draft
    ) -> tuple[list[FileRecord], dict[str, dict[str, int]]]:
        """Write all files; return their records once committed, and the users and samples of each folder.

        A file's plan is drawn when a worker is free for it, so that few of them are held at a time.
        """
        after = {name: {"users": 0, "samples": 0} for name in stage.folders}
        shelf = self._shelf(len(inputs))

        def jobs() -> Iterator[CopyJob]:
            for file, files in zip(inputs, plan.files, strict=True):
                for name, one in files.items():
                    _add(after[name], one.num_samples)
                paths = {name: stepped_name(file.index.path, *stage.labels[name]) for name in files}
                plans = {draft.folders[name] / paths[name]: files[name] for name in files}
                yield CopyJob(file.index, plans, file.record.md5, shelf, sync=not self._engine.local)

        records = []
        self._written = {}
        with self._bar(stage.name.replace("_", " "), plan.users) as progress:
            results = self._engine.map(carry_out, jobs(), progress=progress, users=lambda job: job.users)
            for file, outputs in zip(inputs, results, strict=True):
                if not file.record.fits(file.index.path):
                    raise DataError(f"{file.index.path}: changed while it was read; run the same command again")
                for path, (stamp, index) in outputs.items():
                    if self._engine.local:
                        draft.sync(path)
                    records.append(FileRecord.of(self._final(path), stamp))
                    self._written[path] = index, stamp
        return records, after

    def _shelf(self, files: int) -> Path | None:
        """Return where indexes of several files are kept: those of all together may be too much to hold."""
        return self._workspace.passing_folder() if files > 1 else None

    def _final(self, path: Path) -> Path:
        """Return where a file will be that is in the draft, or is already."""
        return self._workspace.data_dir / path.parent.name / path.name


def _seed(stage: Stage) -> int | None:
    if not stage.draws:
        return None
    return random.SystemRandom().randrange(2**32) if stage.seed is None else stage.seed


def _totals(files: Iterable[Sequence[int]]) -> dict[str, int]:
    totals = {"users": 0, "samples": 0}
    for num_samples in files:
        _add(totals, num_samples)
    return totals


def _add(totals: dict[str, int], num_samples: Sequence[int]) -> None:
    totals["users"] += len(num_samples)
    totals["samples"] += sum(num_samples)


def _names(inputs: Sequence[_Input], users: Sequence[tuple[int, int]]) -> list[str]:
    """Return the names of users of these files and positions."""
    return [unshelved(inputs[file].index).counts.users[user] for file, user in users]
