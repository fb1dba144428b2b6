"""What must hold before a stage runs, and before what is there already is taken for its result."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsynth.errors import StageError, named
from fedsynth.pipeline.options import Stage
from fedsynth.pipeline.workspace import Workspace
from fedsynth.records.layout import NEW_USERS, REM_USERS, SAMPLED, STAGE_FOLDERS, TRAIN, VAL, data_names, in_use
from fedsynth.records.manifest import StageRecord, differences
from fedsynth.records.origin import WAY_OUT

_WAY_OUT_OF_OWN = f"move it elsewhere, or make the stages again with {named('overwrite')}"

_LARGER = {SAMPLED: "fraction", TRAIN: "train_fraction", VAL: "val_fraction", NEW_USERS: "new_users"}
"""By folder: what makes it fuller."""


def in_the_way(workspace: Workspace, stage: Stage) -> list[str]:
    """Return the folders in use that a stage would make, or that it made before and would not make now."""
    record = workspace.manifest.stages.get(stage.name)
    before = () if record is None else record.folders
    return [name for name in dict.fromkeys([*stage.folders, *before]) if in_use(workspace.data_dir / name)]


def require_same(workspace: Workspace, stage: Stage, source: Path) -> StageRecord:
    """Return the record of the folders that a stage would make, if it would make just these from `source`.

    Raises StageError that says what is different and how to go on.
    """
    record = require_same_parameters(workspace, stage)
    here = ", ".join(str(workspace.data_dir / name) for name in stage.folders)
    found = {file.folder for file in record.inputs}
    if found != {source.name}:
        raise StageError(f"{here}: made from {', '.join(found)}, now it would be made from {source.name}; {WAY_OUT}")
    changed = differences(record.inputs, source, data_names(source))
    for name in stage.folders:
        changed += outputs_changed(workspace, record, name)
    if changed:
        raise StageError(f"{here}: {changed[0]} since `{stage.name}` ran; {WAY_OUT}")
    return record


def require_same_parameters(workspace: Workspace, stage: Stage) -> StageRecord:
    """Return the record of a stage's folders. Raises StageError if there is none, or parameters or seed differ."""
    record = workspace.manifest.stages.get(stage.name)
    present = in_the_way(workspace, stage)
    foreign = [name for name in present if record is None or name not in record.folders]
    here = ", ".join(str(workspace.data_dir / name) for name in foreign or present)
    if record is None or foreign:
        way_out = WAY_OUT if set(foreign) <= set(STAGE_FOLDERS) else _WAY_OUT_OF_OWN
        raise StageError(f"{here}: exists, and nothing in {workspace.meta_dir} tells how it was made; {way_out}")
    seed = record.seed if stage.seed is None else stage.seed
    if record.parameters != stage.parameters or record.seed != seed:
        made, wanted = {**record.parameters, "seed": record.seed}, {**stage.parameters, "seed": seed}
        raise StageError(f"{here}: exists, {_difference(stage, made, wanted)}; {WAY_OUT}")
    return record


def outputs_changed(workspace: Workspace, record: StageRecord, folder: str) -> list[str]:
    """Return all in one of a stage's folders that is no longer as the stage left it, a few words for each."""
    path = workspace.data_dir / folder
    return differences(record.outputs, path, data_names(path))


def check_left(stage: Stage, after: Mapping[str, Mapping[str, int]], source: Path) -> None:
    """Raise StageError if a folder of the stage would hold no sample. after: the folders' counts of samples."""
    for name in stage.folders:
        if not after[name]["samples"]:
            asked = _described(stage, stage.parameters)
            raise StageError(
                f"{source}: no samples are left for {name} with {asked}; nothing was written: "
                f"use {_more_samples(stage, name)}"
            )


def _more_samples(stage: Stage, folder: str) -> str:
    """Return what puts samples into a folder that would have none, of what the stage itself can be asked for."""
    if folder == REM_USERS:
        return f"more data, or a smaller {named('min_samples')}"
    if stage.parameters.get("method") == "sample" and folder != NEW_USERS:  # every user who has enough is on each side
        return "data whose users have more samples"
    return f"more data, or a larger {named(_LARGER[folder])}" if folder in _LARGER else "more data"


def _described(stage: Stage, values: dict[str, Any], others: dict[str, Any] | None = None) -> str:
    """Return values in words, only those that differ from the others."""
    return ", ".join(
        f"{named(stage.called.get(key, key))} {value}"
        for key, value in values.items()
        if not others or others.get(key) != value
    )


def _difference(stage: Stage, made: dict[str, Any], wanted: dict[str, Any]) -> str:
    found, asked = _described(stage, made, wanted), _described(stage, wanted, made)
    if not found:
        return f"made without {asked}, which was asked for"
    return f"made with {found}, " + (f"but {asked} was asked for" if asked else "which was not asked for")
