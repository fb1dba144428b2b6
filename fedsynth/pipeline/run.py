"""Run one stage: find its input, plan, carry out, record; or keep what an earlier run made of the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fedsynth.engine import INLINE, Engine, Progress, no_progress
from fedsynth.errors import DataError
from fedsynth.leaf.carry import CopyJob, carry_out
from fedsynth.leaf.plan import Counts, FilePlan, StagePlan
from fedsynth.leaf.reader import IndexJob, LeafIndex, index_file
from fedsynth.pipeline.checks import check_left, in_the_way, require_same
from fedsynth.pipeline.draft import Draft
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.workspace import Workspace
from fedsynth.records.layout import in_use, json_files, latest, stepped_name
from fedsynth.records.manifest import FileRecord, LeftOut, StageRecord
from fedsynth.records.origin import find_origin
from fedsynth.records.stamp import FileStamp
from fedsynth.system import write_text
from fedsynth.version import __version__

Bar = Callable[[str, int], AbstractContextManager[Progress]]
"""Called with what is being done and to how many users; gives a callback that takes the users just done."""

_NAMED = 10
"""Users left out who are named."""


def no_bar(what: str, users: int) -> AbstractContextManager[Progress]:
    """Show nothing."""
    return nullcontext(no_progress)


@dataclass(frozen=True)
class StageResult:
    """What became of a stage. kept: an earlier run had made the same; notes: what a user should know of it."""

    record: StageRecord
    kept: bool
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class _Input:
    """A file that a stage reads. record: as the manifest is to have it, also before it is in place."""

    record: FileRecord
    index: LeafIndex


class StageRunner:
    """Runs stages in one workspace; remembers the indexes of the files it wrote, so that none is read twice.

    draft: where to make them all, to replace what is there at the end in one step; without it each stage is committed
    when it is done. clear: folders that the draft will replace or remove, and that no stage may read.
    """

    def __init__(
        self,
        workspace: Workspace,
        engine: Engine = INLINE,
        bar: Bar = no_bar,
        *,
        draft: Draft | None = None,
        clear: Sequence[str] = (),
    ) -> None:
        self._workspace = workspace
        self._engine = engine
        self._bar = bar
        self._draft = draft
        self._clear = clear
        self._written: dict[Path, tuple[LeafIndex, FileStamp]] = {}

    def run(self, stage: Stage) -> StageResult:
        """Run a stage, or keep its folders if they are what it would make.

        Raises StageError if its folders are in the way, its input is missing or stale, or nothing would be left;
        DataError if the input is not LEAF's format.
        """
        source = self._source(stage)
        notes = [] if source in self._drafted() else self._check(source)
        if self._draft is None and in_the_way(self._workspace, stage):
            return StageResult(require_same(self._workspace, stage, source), kept=True, notes=notes)
        with self._drafting(stage) as draft:
            return StageResult(self._make(stage, source, draft), kept=False, notes=notes)

    def _drafted(self) -> Sequence[Path]:
        return [] if self._draft is None else list(self._draft.folders.values())

    def _source(self, stage: Stage) -> Path:
        """Return the most recent folder that the stage may read: made just now, or there and not to be replaced."""
        drafted = {} if self._draft is None else self._draft.folders
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

    @contextmanager
    def _drafting(self, stage: Stage) -> Iterator[Draft]:
        if self._draft is not None:
            yield self._draft
            return
        with self._workspace.draft(stage.folders) as draft:
            yield draft
            self._workspace.commit(draft)
            for path in list(self._written):
                index, stamp = self._written.pop(path)
                final = self._workspace.data_dir / path.parent.name / path.name
                self._written[final] = replace(index, path=final), stamp

    def _make(self, stage: Stage, source: Path, draft: Draft) -> StageRecord:
        paths = json_files(source)
        # Of one file the samples' places come along with the check. Those of many would be too much to hold at once.
        inputs = self._read_inputs(paths, samples=stage.pools and len(paths) == 1)
        counts = [file.index.counts for file in inputs]
        seed = _seed(stage)
        plan = stage.plan(counts, random.Random(seed))
        check_left(stage, plan, source)
        for name in stage.folders:
            draft.add_folder(name)
        outputs = self._carry_out(stage, plan, inputs, draft)
        record = StageRecord(
            stage=stage.name,
            fedsynth=__version__,
            parameters=stage.parameters,
            seed=seed,
            inputs=[file.record for file in inputs],
            outputs=outputs,
            before=_totals(counts),
            after={name: _totals([files[name] for files in plan.files]) for name in stage.folders},
            left_out=LeftOut(len(plan.left_out), list(plan.left_out[:_NAMED])),
        )
        draft.add_record(record)
        if stage.seed_file is not None and seed is not None:
            write_text(draft.meta_file(stage.seed_file.name), f"{stage.seed_file.comment}\n{seed}")
        return record

    def _read_inputs(self, paths: Sequence[Path], *, samples: bool) -> list[_Input]:
        """Index and check the files that this run did not write itself; samples: their samples' places too."""
        unread = [path for path in paths if path not in self._written]
        known = [self._workspace.manifest.find(path) for path in unread]
        jobs = [
            IndexJob(path, None if record is None else record.md5, samples)
            for path, record in zip(unread, known, strict=True)
        ]
        read = dict(self._written)
        for path, record, (index, stamp) in zip(unread, known, self._engine.map(index_file, jobs), strict=True):
            if record is not None and (stamp.size, stamp.mtime_ns) != (record.size, record.mtime_ns):
                raise DataError(f"{path}: changed while it was read; run the same command again")
            read[path] = index, stamp
        return [_Input(FileRecord.of(self._final(path), read[path][1]), read[path][0]) for path in paths]

    def _carry_out(self, stage: Stage, plan: StagePlan, inputs: Sequence[_Input], draft: Draft) -> list[FileRecord]:
        """Write all files; return what they will be once in place."""
        jobs = []
        for file, files in zip(inputs, plan.files, strict=True):
            names = {name: stepped_name(file.index.path, *stage.labels[name]) for name in files}
            plans = {draft.folders[name] / names[name]: files[name] for name in files}
            jobs.append(CopyJob(file.index, plans, file.record.md5))
        records = []
        self._written = {}
        with self._bar(stage.name.replace("_", " "), sum(job.users for job in jobs)) as progress:
            results = self._engine.map(carry_out, jobs, progress=progress, users=lambda job: job.users)
            for file, outputs in zip(inputs, results, strict=True):
                if not file.record.fits(file.index.path):
                    raise DataError(f"{file.index.path}: changed while it was read; run the same command again")
                for path, (stamp, index) in outputs.items():
                    records.append(FileRecord.of(self._final(path), stamp))
                    self._written[path] = index, stamp
        return records

    def _final(self, path: Path) -> Path:
        """Return where a file will be that is in the draft, or is already."""
        return self._workspace.data_dir / path.parent.name / path.name


def _seed(stage: Stage) -> int | None:
    if not stage.draws:
        return None
    return random.SystemRandom().randrange(2**32) if stage.seed is None else stage.seed


def _totals(files: Sequence[FilePlan | Counts]) -> dict[str, int]:
    return {"users": sum(len(file.users) for file in files), "samples": sum(sum(file.num_samples) for file in files)}
