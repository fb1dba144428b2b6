"""What must hold before a stage runs, and before what is there already is taken for its result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedsynth.errors import StageError
from fedsynth.leaf.plan import StagePlan
from fedsynth.pipeline.manifest import FILE_NAME as MANIFEST
from fedsynth.pipeline.manifest import StageRecord
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.workspace import Workspace
from fedsynth.records.layout import in_use

MAKERS = {
    "all_data": "generate",
    "sampled_data": "sample",
    "rem_user_data": "remove_users",
    "train": "split",
    "test": "split",
}
"""Which stage makes which folder."""

_WAY_OUT = "add --overwrite to make the stages again, or clear them with `fedsynth clean`"


def check_fresh(workspace: Workspace, source: Path) -> None:
    """Check that a folder about to be read is what its stage made of what its own sources hold now, all the way back.

    Data that fedsynth has no record of is taken as it is: LEAF's own for example, also in place of what was generated.
    Raises StageError if the data is stale, or files are missing, new or changed.
    """
    record = workspace.manifest.stages.get(MAKERS[source.name])
    if record is None:
        return
    changed = record.outputs_changed(workspace.data_dir, source.name)
    if not record.inputs and len(changed) >= len(record.outputs):
        return
    if changed:
        raise StageError(
            f"{source}: {changed[0]} since `{record.stage}` made it; {_WAY_OUT}, or take it as it is "
            f"by deleting {workspace.meta_dir / MANIFEST}"
        )
    _check_inputs(workspace, record, source)


def _check_inputs(workspace: Workspace, record: StageRecord, folder: Path) -> None:
    """Compare what a stage read with what is there, then what that was made from, and so on."""
    changed = record.inputs_changed(workspace.data_dir)
    if changed is not None:
        raise StageError(f"{folder}: stale, {changed} since it was made from it; {_WAY_OUT}")
    for name in {file.folder for file in record.inputs}:
        earlier = workspace.manifest.stages.get(MAKERS.get(name, ""))
        if earlier is not None and in_use(workspace.data_dir / name):
            _check_inputs(workspace, earlier, workspace.data_dir / name)


def require_same(workspace: Workspace, stage: Stage, source: Path) -> StageRecord:
    """Return the record of the folders that a stage would make, if it would make just these from `source`.

    Raises StageError that says what is different and how to go on.
    """
    record = require_same_parameters(workspace, stage)
    here = ", ".join(str(workspace.data_dir / name) for name in stage.folders)
    found = {file.folder for file in record.inputs}
    if found != {source.name}:
        raise StageError(f"{here}: made from {', '.join(found)}, now it would be made from {source.name}; {_WAY_OUT}")
    read = record.inputs_changed(workspace.data_dir)
    changed = [] if read is None else [read]
    changed += record.outputs_changed(workspace.data_dir)
    if changed:
        raise StageError(f"{here}: {changed[0]} since `{stage.name}` ran; {_WAY_OUT}")
    return record


def require_same_parameters(workspace: Workspace, stage: Stage) -> StageRecord:
    """Return the record of a stage's folders. Raises StageError if there is none, or parameters or seed differ."""
    here = ", ".join(str(workspace.data_dir / name) for name in stage.folders)
    record = workspace.manifest.stages.get(stage.name)
    if record is None:
        raise StageError(f"{here}: exists, and nothing in {workspace.meta_dir} tells how it was made; {_WAY_OUT}")
    seed = record.seed if stage.seed is None else stage.seed
    if record.parameters != stage.parameters or record.seed != seed:
        made, wanted = {**record.parameters, "seed": record.seed}, {**stage.parameters, "seed": seed}
        found, asked = _described(made, wanted), _described(wanted, made)
        raise StageError(f"{here}: exists, made with {found}, but {asked} was asked for; {_WAY_OUT}")
    return record


def check_left(stage: Stage, plan: StagePlan, source: Path) -> None:
    """Raise StageError if a folder of the stage would hold no sample."""
    for name in stage.folders:
        if not any(size for files in plan.files for size in files[name].num_samples):
            asked = _described(stage.parameters)
            raise StageError(
                f"{source}: no samples are left for {name} with {asked}; nothing was written: "
                "use more data, a larger fraction or a smaller -k"
            )


def _described(values: dict[str, Any], others: dict[str, Any] | None = None) -> str:
    """Return values in words, only those that differ from the others."""
    return (
        ", ".join(f"{key} {value}" for key, value in values.items() if not others or others.get(key) != value) or "less"
    )
