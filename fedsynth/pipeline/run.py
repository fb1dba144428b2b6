"""Run one stage: find its input, plan, carry out, record; or keep what an earlier run made of the same."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fedsynth import __version__
from fedsynth.errors import DataError
from fedsynth.leaf.carry import carry_out
from fedsynth.leaf.layout import in_use, json_files, latest, stepped_name
from fedsynth.leaf.plan import Counts, FilePlan, StagePlan
from fedsynth.leaf.reader import LeafIndex, Progress, no_progress, read_index
from fedsynth.pipeline.checks import check_fresh, check_left, require_same
from fedsynth.pipeline.manifest import FileRecord, StageRecord, recorded_path
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.workspace import Staged, Workspace
from fedsynth.system import write_text

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

    def __init__(self, workspace: Workspace, bar: Bar = no_bar) -> None:
        self._workspace = workspace
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
        inputs = [self._index(path) for path in json_files(source)]
        records = [self._record_input(index) for index in inputs]
        seed = _seed(stage)
        plan = stage.plan([index.counts for index in inputs], random.Random(seed))
        check_left(stage, plan, source)
        with self._workspace.staged(stage.name, stage.folders) as staged:
            written = self._carry_out(stage, plan, inputs, records, staged)
            record = StageRecord(
                stage=stage.name,
                fedsynth=__version__,
                parameters=stage.parameters,
                seed=seed,
                inputs=records,
                outputs=list(written),
                before=_totals([index.counts for index in inputs]),
                after={name: _totals([files[name] for files in plan.files]) for name in stage.folders},
                left_out={"count": len(plan.left_out), "users": list(plan.left_out[:_NAMED])},
            )
            if stage.seed_file is not None and seed is not None:
                text = f"{stage.seed_file.comment}\n{seed}"
                write_text(staged.meta_file(stage.seed_file.name), text)
            staged.commit(record)
        self._indexes = {index.path: index for index in written.values()}
        return record

    def _carry_out(
        self, stage: Stage, plan: StagePlan, inputs: list[LeafIndex], records: list[FileRecord], staged: Staged
    ) -> dict[FileRecord, LeafIndex]:
        """Write all files; return what they will be once in place."""
        written = {}
        users = sum(max(len(file.users) for file in files.values()) for files in plan.files)
        with self._bar(stage.name.replace("_", " "), users) as progress:
            for source, record, files in zip(inputs, records, plan.files, strict=True):
                names = {name: stepped_name(source.path, *stage.labels[name]) for name in files}
                plans = {staged.folder(name) / names[name]: files[name] for name in files}
                outputs = carry_out(source, plans, record.md5, progress)
                if not record.fits(source.path):
                    raise DataError(f"{source.path}: changed while it was read; run the same command again")
                for path, (stamp, index) in outputs.items():
                    final = self._workspace.data_dir / path.parent.name / path.name
                    written[FileRecord.of(final, stamp)] = replace(index, path=final)
        return written

    def _index(self, path: Path) -> LeafIndex:
        return self._indexes.get(path) or read_index(path)

    def _record_input(self, index: LeafIndex) -> FileRecord:
        md5 = self._workspace.manifest.md5(index.path)
        status = index.path.stat()
        return FileRecord(recorded_path(index.path), status.st_size, status.st_mtime_ns, md5)


def _seed(stage: Stage) -> int | None:
    if not stage.draws:
        return None
    return random.SystemRandom().randrange(2**32) if stage.seed is None else stage.seed


def _totals(files: Sequence[FilePlan | Counts]) -> dict[str, int]:
    return {"users": sum(len(file.users) for file in files), "samples": sum(sum(file.num_samples) for file in files)}
