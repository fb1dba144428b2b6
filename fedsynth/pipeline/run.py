"""Run one stage: find its input, plan, carry out, record; or keep what an earlier run made of the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fedsynth.engine import INLINE, Engine, Progress, no_progress
from fedsynth.errors import DataError
from fedsynth.leaf.carry import CopyJob, carry_out
from fedsynth.leaf.plan import Counts, FilePlan, StagePlan
from fedsynth.leaf.reader import IndexJob, LeafIndex, index_file
from fedsynth.pipeline.checks import check_fresh, check_left, require_same
from fedsynth.pipeline.manifest import FileRecord, StageRecord
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.workspace import Staged, Workspace
from fedsynth.records.layout import in_use, json_files, latest, stepped_name
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
    """What became of a stage. kept: an earlier run had made the same."""

    record: StageRecord
    kept: bool


class StageRunner:
    """Runs stages in one workspace; remembers the indexes of the files it wrote, so that none is read twice."""

    def __init__(self, workspace: Workspace, engine: Engine = INLINE, bar: Bar = no_bar) -> None:
        self._workspace = workspace
        self._engine = engine
        self._bar = bar
        self._indexes: dict[Path, LeafIndex] = {}

    def run(self, stage: Stage) -> StageResult:
        """Run a stage, or keep its folders if they are what it would make.

        Raises StageError if its folders are in the way, its input is missing or stale, or nothing would be left;
        DataError if the input is not LEAF's format.
        """
        source = latest(self._workspace.data_dir, *stage.reads)
        check_fresh(self._workspace, source)
        if any(in_use(self._workspace.data_dir / name) for name in stage.folders):
            return StageResult(require_same(self._workspace, stage, source), kept=True)
        return StageResult(self._make(stage, source), kept=False)

    def _make(self, stage: Stage, source: Path) -> StageRecord:
        paths = json_files(source)
        # Of one file the samples' places come along with the check. Those of many would be too much to hold at once.
        inputs = self._read_inputs(paths, samples=stage.pools and len(paths) == 1)
        counts = [index.counts for index in inputs.values()]
        seed = _seed(stage)
        plan = stage.plan(counts, random.Random(seed))
        check_left(stage, plan, source)
        with self._workspace.staged(stage.name, stage.folders) as staged:
            written = self._carry_out(stage, plan, inputs, staged)
            record = StageRecord(
                stage=stage.name,
                fedsynth=__version__,
                parameters=stage.parameters,
                seed=seed,
                inputs=list(inputs),
                outputs=list(written),
                before=_totals(counts),
                after={name: _totals([files[name] for files in plan.files]) for name in stage.folders},
                left_out={"count": len(plan.left_out), "users": list(plan.left_out[:_NAMED])},
            )
            if stage.seed_file is not None and seed is not None:
                text = f"{stage.seed_file.comment}\n{seed}"
                write_text(staged.meta_file(stage.seed_file.name), text)
            staged.commit(record)
        self._indexes = {index.path: index for index in written.values()}
        return record

    def _read_inputs(self, paths: Sequence[Path], *, samples: bool) -> dict[FileRecord, LeafIndex]:
        """Index and check the files that this run did not write itself; samples: their samples' places too."""
        manifest = self._workspace.manifest
        known = {path: manifest.find(path) for path in paths}
        before = {path: path.stat() for path in paths}
        unread = [path for path in paths if path not in self._indexes]
        sums = [None if (record := known[path]) is None else record.md5 for path in unread]
        jobs = [IndexJob(path, md5, samples) for path, md5 in zip(unread, sums, strict=True)]
        read = dict(zip(unread, self._engine.map(index_file, jobs), strict=True))
        inputs = {}
        for path in paths:
            if path in read:
                index, stamp = read[path]
                md5 = stamp.md5
            else:
                index, md5 = self._indexes[path], manifest.md5(path)
            stamp = FileStamp(before[path].st_size, before[path].st_mtime_ns, md5)
            inputs[FileRecord.of(path, stamp)] = index
        return inputs

    def _carry_out(
        self, stage: Stage, plan: StagePlan, inputs: dict[FileRecord, LeafIndex], staged: Staged
    ) -> dict[FileRecord, LeafIndex]:
        """Write all files; return what they will be once in place."""
        jobs = []
        for (record, source), files in zip(inputs.items(), plan.files, strict=True):
            names = {name: stepped_name(source.path, *stage.labels[name]) for name in files}
            plans = {staged.folder(name) / names[name]: files[name] for name in files}
            jobs.append(CopyJob(source, plans, record.md5))
        written = {}
        with self._bar(stage.name.replace("_", " "), sum(job.users for job in jobs)) as progress:
            results = self._engine.map(carry_out, jobs, progress=progress, users=lambda job: job.users)
            for record, outputs in zip(inputs, results, strict=True):
                if not record.fits(self._workspace.data_dir / record.folder / record.name):
                    raise DataError(f"{record.path}: changed while it was read; run the same command again")
                for path, (stamp, index) in outputs.items():
                    final = self._workspace.data_dir / path.parent.name / path.name
                    written[FileRecord.of(final, stamp)] = replace(index, path=final)
        return written


def _seed(stage: Stage) -> int | None:
    if not stage.draws:
        return None
    return random.SystemRandom().randrange(2**32) if stage.seed is None else stage.seed


def _totals(files: Sequence[FilePlan | Counts]) -> dict[str, int]:
    return {"users": sum(len(file.users) for file in files), "samples": sum(sum(file.num_samples) for file in files)}
