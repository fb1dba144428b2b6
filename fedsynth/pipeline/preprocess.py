"""The chain of stages: sample, remove users, split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fedsynth.engine import INLINE, Engine
from fedsynth.pipeline.checks import MAKERS, require_same_parameters
from fedsynth.pipeline.checksums import write_checksums
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.run import Bar, StageResult, StageRunner, no_bar
from fedsynth.pipeline.workspace import Workspace, open_workspace
from fedsynth.records.layout import STAGE_FOLDERS, in_use


def preprocess(
    data_dir: Path,
    stages: Sequence[Stage],
    *,
    clear: Sequence[str] = (),
    checksums: bool = True,
    engine: Engine = INLINE,
    bar: Bar = no_bar,
) -> Iterator[StageResult]:
    """Run stages in their order, yielding what became of each as it ends; then write the checksums.

    clear: folders to remove first. A stage that an earlier run did with the same parameters, seed and input is kept.
    Memory: one user's text at a time, an index of users, and two bytes per sample (24 for iid sampling).
    Raises StageError, DataError or BusyError; what is in the data folder then is whole stages, as before or newer.
    """
    with open_workspace(data_dir) as workspace:
        if clear:
            _clear(workspace, clear)
        for stage in stages:
            if any(in_use(data_dir / name) for name in stage.folders):
                require_same_parameters(workspace, stage)
        runner = StageRunner(workspace, engine, bar)
        for stage in stages:
            yield runner.run(stage)
        if checksums:
            write_checksums(data_dir, workspace.meta_dir, workspace.manifest)


def clean(data_dir: Path) -> list[str]:
    """Remove the stages' folders, never all_data, and what dead runs left; return the names of those removed."""
    with open_workspace(data_dir) as workspace:
        return _clear(workspace, STAGE_FOLDERS)


def _clear(workspace: Workspace, folders: Sequence[str]) -> list[str]:
    stages = {MAKERS[name] for name in folders}
    return workspace.remove(folders, sorted(stages))
