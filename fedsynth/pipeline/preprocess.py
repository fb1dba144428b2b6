"""The chain of stages: sample, remove users, split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import UsageError, named
from fedsynth.pipeline.checks import in_the_way, require_same_parameters
from fedsynth.pipeline.checksums import write_checksums
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.run import Bar, StageResult, StageRunner, no_bar
from fedsynth.pipeline.workspace import Workspace, open_workspace
from fedsynth.records.layout import STAGE_FOLDERS

Report = Callable[[StageResult], None]
"""Called with the result of each stage, once there is one."""


@dataclass(frozen=True)
class Cleaned:
    """What `clean` did. removed: the folders that were there; notes: what a user should know."""

    removed: Sequence[str]
    notes: Sequence[str]


def preprocess(
    data_dir: Path,
    stages: Sequence[Stage],
    *,
    overwrite: Sequence[str] = (),
    checksums: bool = True,
    engine: Engine = INLINE,
    bar: Bar = no_bar,
    report: Report = lambda result: None,
) -> list[StageResult]:
    """Run stages in their order, then write the checksums; return what became of each.

    A stage that an earlier run did with the same parameters, seed and input is kept. overwrite: folders whose contents
    make way for what the stages make: the new is made beside the old, which stands until all of the new is there.
    Memory: up to three times the largest user's text, however many users there are, an index of users, 60 MB, and
    a byte per sample and side (24 for iid sampling).
    Raises StageError, DataError or BusyError; what is in the data folder then is whole stages, as before or newer;
    UsageError for `overwrite` without a stage.
    """
    if overwrite and not stages:
        found = f"{named('overwrite')} without a stage would only delete what is there"
        raise UsageError(f"{found}; name the stages to make again, or use `fedsynth clean`")
    with open_workspace(data_dir) as workspace:
        run = _replace if overwrite else _add
        results = run(workspace, stages, overwrite, engine, bar, report)
        if checksums:
            write_checksums(data_dir, workspace.meta_dir, workspace.manifest)
        return results


def clean(data_dir: Path) -> Cleaned:
    """Remove the stages' folders, never all_data, and what dead runs left.

    `val` and `new_users` are not LEAF's names: such folders are removed where a run made them.
    """
    with open_workspace(data_dir) as workspace:
        removed = workspace.remove(STAGE_FOLDERS)
        return Cleaned(removed, workspace.notes())


def _add(
    workspace: Workspace, stages: Sequence[Stage], overwrite: Sequence[str], engine: Engine, bar: Bar, report: Report
) -> list[StageResult]:
    """Run stages one by one, each committed in its turn, once it is on the disk."""
    there = [bool(in_the_way(workspace, stage)) for stage in stages]
    for stage, found in zip(stages, there, strict=True):
        if found:
            require_same_parameters(workspace, stage)
    results: list[StageResult] = []

    def done(result: StageResult) -> None:
        results.append(replace(result, notes=[*result.notes, *workspace.notes()]))
        report(results[-1])

    runner = StageRunner(workspace, engine, bar, done=done)
    for number, stage in enumerate(stages):
        if not there[number] and any(there[number:]):
            stage = _as_before(workspace, stage)
        runner.run(stage)
    runner.settle()
    return results


def _as_before(workspace: Workspace, stage: Stage) -> Stage:
    """Return a stage whose folders somebody deleted with the seed that it had: what was made from it is there yet."""
    record = workspace.manifest.stages.get(stage.name)
    if record is None or stage.seed is not None or record.parameters != stage.parameters:
        return stage
    return replace(stage, seed=record.seed)


def _replace(
    workspace: Workspace, stages: Sequence[Stage], overwrite: Sequence[str], engine: Engine, bar: Bar, report: Report
) -> list[StageResult]:
    """Run all stages in one draft, which replaces what is there in one step."""
    with workspace.draft([name for stage in stages for name in stage.folders]) as draft:
        runner = StageRunner(workspace, engine, bar, draft=draft, clear=overwrite)
        results = [runner.run(stage) for stage in stages]
        draft.removed = [name for name in overwrite if name not in draft.folders]
        workspace.commit(draft)
    results[-1] = replace(results[-1], notes=[*results[-1].notes, *workspace.notes()])
    for result in results:
        report(result)
    return results
