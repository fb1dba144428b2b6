"""The generator's step: all_data and the ground truth, made together."""

from __future__ import annotations

from pathlib import Path

from fedsynth import __version__
from fedsynth.errors import StageError
from fedsynth.generate.dataset import write_dataset
from fedsynth.generate.models import AnyParameters, recorded
from fedsynth.leaf.layout import ALL_DATA, ALL_DATA_FILE, in_use
from fedsynth.pipeline.manifest import FileRecord, StageRecord
from fedsynth.pipeline.run import Bar, StageResult, no_bar
from fedsynth.pipeline.workspace import Workspace, open_workspace
from fedsynth.truth import FILE_NAME as TRUTH_FILE

_STAGE = "generate"


def generate(data_dir: Path, parameters: AnyParameters, *, overwrite: bool = False, bar: Bar = no_bar) -> StageResult:
    """Write `all_data/all_data.json` below a data folder and `meta/truth.npz` beside it, both or none.

    Data that is there already is kept if it was made with the same parameters. Memory: one task's samples and text.
    Raises StageError if other data is there and not to be overwritten, BusyError if another run is at work.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with open_workspace(data_dir) as workspace:
        if in_use(data_dir / ALL_DATA) and not overwrite:
            return StageResult(_require_same(workspace, parameters), kept=True)
        return StageResult(_make(workspace, parameters, overwrite, bar), kept=False)


def _make(workspace: Workspace, parameters: AnyParameters, overwrite: bool, bar: Bar) -> StageRecord:
    with workspace.staged(_STAGE, [ALL_DATA]) as staged:
        path = staged.folder(ALL_DATA) / ALL_DATA_FILE
        with bar(_STAGE, parameters.num_tasks) as progress:
            stamp, index = write_dataset(path, staged.meta_file(TRUTH_FILE), parameters, progress)
        totals = {"users": parameters.num_tasks, "samples": sum(index.counts.num_samples)}
        record = StageRecord(
            stage=_STAGE,
            fedsynth=__version__,
            parameters=recorded(parameters),
            seed=parameters.seed,
            inputs=[],
            outputs=[FileRecord.of(workspace.data_dir / ALL_DATA / ALL_DATA_FILE, stamp)],
            before=None,
            after={ALL_DATA: totals},
        )
        staged.commit(record, overwrite=overwrite)
    return record


def _require_same(workspace: Workspace, parameters: AnyParameters) -> StageRecord:
    """Return the record of the data that is there. Raises StageError unless it is what would be made now."""
    folder = workspace.data_dir / ALL_DATA
    way_out = "add --overwrite to replace it, or name another folder with -data-dir"
    record = workspace.manifest.stages.get(_STAGE)
    if record is None:
        raise StageError(f"{folder}: exists, and nothing in {workspace.meta_dir} tells how it was made; {way_out}")
    asked = recorded(parameters)
    different = [key for key in asked if record.parameters.get(key) != asked[key]]
    if different:
        found = ", ".join(f"{key} {record.parameters.get(key)}" for key in different)
        wanted = ", ".join(f"{key} {asked[key]}" for key in different)
        raise StageError(f"{folder}: exists, made with {found}, but {wanted} was asked for; {way_out}")
    changed = record.outputs_changed(workspace.data_dir)
    if changed:
        raise StageError(f"{folder}: {changed[0]} since it was generated; {way_out}")
    return record
