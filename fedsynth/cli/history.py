"""The command lines that repeat recorded stages."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fedsynth.cli.command_line import shortest_command
from fedsynth.errors import FedsynthError
from fedsynth.processes.dataset import Dataset
from fedsynth.processes.registry import choose_process
from fedsynth.records.manifest import StageRecord


def command_lines(stages: Sequence[StageRecord]) -> list[str]:
    """Return the commands of stages that are given last one first, in the order to run them; [] if one is not known.

    Numbers are as `repr` has them, and seeds are named, so that the same data comes out.
    """
    lines: list[list[str]] = []
    for record in reversed(stages):
        try:
            words = _WORDS[record.stage](record)
        except (KeyError, TypeError, ValueError, FedsynthError):  # of another version
            return []
        if record.stage in _PREPROCESS and lines and lines[-1][:2] == _PREPROCESS_WORDS:
            lines[-1] += words
        else:
            lines.append([*_PREPROCESS_WORDS, *words] if record.stage in _PREPROCESS else words)
    return [shlex.join(line) for line in lines]


def _generate(record: StageRecord) -> list[str]:
    values = record.parameters
    process = choose_process(values["model"])
    chosen = {name: _frozen(values[name]) for name in process.options if name in values}
    dataset = Dataset(process.parameters(**chosen), stream=values["stream"], num_shards=values["num_shards"])
    return shlex.split(shortest_command(dataset, Path("data")))


def _partition(record: StageRecord) -> list[str]:
    values = {**record.parameters, "seed": record.seed}
    words = ["fedsynth", "partition", Path(values.pop("source")).name]
    for name in _PARTITION:
        value = values.get(name)
        if value is not None and value != _PARTITION[name]:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    return words


def _sample(record: StageRecord) -> list[str]:
    values = record.parameters
    users = ["--iu", repr(values["user_fraction"])] if "user_fraction" in values else []
    return ["-s", values["method"], *users, "--sf", repr(values["fraction"]), "--smplseed", str(record.seed)]


def _remove(record: StageRecord) -> list[str]:
    return ["-k", str(record.parameters["min_samples"])]


def _split(record: StageRecord) -> list[str]:
    values = record.parameters
    words = ["-t", values["method"], "--tf", repr(values["fraction"])]
    words += ["--vf", repr(values["val_fraction"])] if "val_fraction" in values else []
    words += ["--new-users", repr(values["new_users"])] if "new_users" in values else []
    words += ["--name", values["dataset"]] if "dataset" in values else []
    return words if record.seed is None else [*words, "--spltseed", str(record.seed)]


_PREPROCESS_WORDS = ["fedsynth", "preprocess"]
_PREPROCESS = ("sample", "remove_users", "split")
_WORDS: Mapping[str, Callable[[StageRecord], list[str]]] = {
    "generate": _generate,
    "partition": _partition,
    "sample": _sample,
    "remove_users": _remove,
    "split": _split,
}
_PARTITION: Mapping[str, Any] = {
    "scheme": None,
    "user": None,
    "users": None,
    "label": None,
    "by": None,
    "bins": None,
    "x": None,
    "alpha": None,
    "sigma": None,
    "sizes": None,
    "classes": None,
    "shards": None,
    "min_samples": 1,
    "clusters": 1,
    "swap_labels": 0,
    "seed": None,
    "num_shards": 1,
}
"""The options of `partition` that a record has, each with its default."""


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
