"""A dataset as the command that makes it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from fedsynth.processes.dataset import Dataset
from fedsynth.processes.registry import arguments


def shortest_command(dataset: Dataset, data_dir: Path, sizes: str | None = None) -> str:
    """Return the shortest command that makes a dataset; numbers as `repr` has them, which give the same bits.

    sizes: how to say sizes that are given, absent: as a list.
    """
    parameters = dataset.parameters
    said = arguments(parameters)
    if "sizes" in said and sizes is not None:
        said["sizes"] = sizes
    words = ["fedsynth", "generate", "-num-tasks", repr(said.pop("num_tasks")), "-model", parameters.model]
    for name, value in said.items():
        words += [f"-{name.replace('_', '-')}", *_texts(value)]
    if dataset.stream != Dataset(parameters).stream:
        words += ["-stream", dataset.stream]
    if dataset.num_shards > 1:
        words += ["-num-shards", str(dataset.num_shards)]
    if data_dir != Path("data"):
        words += ["-data-dir", str(data_dir)]
    return shlex.join(words)


def _texts(value: Any) -> list[str]:
    """Return an option's value as words, none for one that takes no value."""
    if value is True:
        return []
    if isinstance(value, str):
        return [value]
    return [",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)]
