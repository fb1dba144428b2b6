"""Users in memory written as a folder of LEAF's files, whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsynth.leaf.folder import check_shards, write_files
from fedsynth.pipeline.delivery import deliver
from fedsynth.records.layout import shard_names

RECORD = ".fedsynth-leaf.json"
"""In a folder that was written: which files, of which contents, a run made."""


def write_folder(folder: Path, users: Mapping[str, Any], *, num_shards: int = 1, overwrite: bool = False) -> list[Path]:
    """Write users, each to its (x, y), as LEAF's files, whole or not at all; return the files.

    overwrite: replace a folder; one that holds anything that no run wrote there is kept beside, as `NAME.kept`. Raises
    StageError if other files are there and not to be replaced, UsageError for more shards than users, BusyError if
    another run writes the same folder, and what `write_files` raises.
    """
    check_shards(users, num_shards)
    with deliver(folder, overwrite=overwrite, record=RECORD, keep=True) as delivery:
        delivery.commit(write_files(delivery.new, users, num_shards=num_shards))
    return [folder / name for name in shard_names(num_shards)]
