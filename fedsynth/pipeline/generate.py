"""The generator's step: all_data and the ground truth, made together."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import StageError, named
from fedsynth.pipeline.checks import outputs_changed
from fedsynth.pipeline.run import Bar, StageResult, no_bar
from fedsynth.pipeline.workspace import Workspace, open_workspace
from fedsynth.processes.dataset import Dataset, write_dataset
from fedsynth.records.layout import ALL_DATA, in_use
from fedsynth.records.manifest import FileRecord, StageRecord
from fedsynth.records.origin import ASSIGNMENT_FILE
from fedsynth.truth import FILE_NAME as TRUTH_FILE
from fedsynth.version import __version__

_STAGE = "generate"
PARTITION = "partition"
"""The other stage that makes all_data."""
_SHOWN = 8
"""Numbers of a list that a message has."""


def generate(
    data_dir: Path,
    dataset: Dataset,
    *,
    overwrite: bool = False,
    engine: Engine = INLINE,
    bar: Bar = no_bar,
    found: Mapping[str, Any] | None = None,
) -> StageResult:
    """Write the files of `all_data` below a data folder and `meta/truth.npz` beside it, all or none.

    Data that is there already is kept if it was made with the same parameters. Memory: as for
    `write_dataset`. found: how the parameters were found, JSON values for the manifest. Raises StageError if
    other data is there and not to be overwritten, BusyError if another run is at work, UsageError if several workers
    are to share one sequence of draws.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with open_workspace(data_dir) as workspace:
        if in_use(data_dir / ALL_DATA) and not overwrite:
            return StageResult(_require_same(workspace, dataset), kept=True)
        record = _make(workspace, dataset, engine, bar, found or {})
        return StageResult(record, kept=False, notes=workspace.notes())


def check_not_in_the_way(data_dir: Path, dataset: Dataset, *, unsolved: Collection[str]) -> None:
    """Check that data which is there already is what would be made, but for parameters that are not yet known.

    Raises StageError if it can't be that.
    """
    if in_use(data_dir / ALL_DATA):
        with open_workspace(data_dir) as workspace:
            _require_same(workspace, dataset, unsolved)


def _make(workspace: Workspace, dataset: Dataset, engine: Engine, bar: Bar, found: Mapping[str, Any]) -> StageRecord:
    with workspace.draft([ALL_DATA]) as draft:
        with bar(_STAGE, dataset.parameters.num_tasks) as progress:
            folder, truth = draft.add_folder(ALL_DATA), draft.meta_file(TRUTH_FILE)
            passing = draft.passing_folder()
            shards = write_dataset(folder, truth, dataset, engine, progress, passing=passing, sync=draft.sync)
        samples = sum(int(shard.num_samples.sum()) for shard in shards.values())
        folder = workspace.data_dir / ALL_DATA
        record = StageRecord(
            stage=_STAGE,
            fedsynth=__version__,
            parameters={**_recorded(dataset), **found},
            seed=dataset.parameters.seed,
            inputs=[],
            outputs=[FileRecord.of(folder / name, shard.stamp) for name, shard in shards.items()],
            before=None,
            after={ALL_DATA: {"users": dataset.parameters.num_tasks, "samples": samples}},
        )
        draft.add_record(record)
        if PARTITION in workspace.manifest.stages:
            draft.outdated.append(ASSIGNMENT_FILE)
        workspace.commit(draft)
    return record


def _recorded(dataset: Dataset) -> dict[str, Any]:
    return {**dataset.recorded, "num_shards": dataset.num_shards}


def _require_same(workspace: Workspace, dataset: Dataset, unsolved: Collection[str] = ()) -> StageRecord:
    """Return the record of the data that is there. Raises StageError unless it is what would be made now."""
    folder = workspace.data_dir / ALL_DATA
    way_out = f"add {named('overwrite')} to replace it, or name another folder with {named('data_dir')}"
    record = workspace.manifest.stages.get(_STAGE)
    if PARTITION in workspace.manifest.stages:
        raise StageError(f"{folder}: exists, made by `{PARTITION}`; {way_out}")
    if record is None:
        raise StageError(f"{folder}: exists, and nothing in {workspace.meta_dir} tells how it was made; {way_out}")
    asked = _recorded(dataset)
    different = [key for key in asked if key not in unsolved and record.parameters.get(key) != asked[key]]
    if different:
        found = ", ".join(
            f"{named(key)} {_short(record.parameters[key])}" for key in different if key in record.parameters
        )
        wanted = ", ".join(f"{named(key)} {_short(asked[key])}" for key in different)
        raise StageError(f"{folder}: exists, made with {found}, but {wanted} was asked for; {way_out}")
    changed = outputs_changed(workspace, record, ALL_DATA)
    if changed:
        raise StageError(f"{folder}: {changed[0]} since it was generated; {way_out}")
    return record


def _short(value: Any) -> str:
    """Return a value as text, of a long list how it begins."""
    if isinstance(value, list) and len(value) > _SHOWN:
        return f"[{', '.join(map(str, value[:_SHOWN]))}, ... {len(value):,} numbers]"
    return str(value)
