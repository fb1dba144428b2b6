"""Arguments of every kind but the right one: one sentence, and nothing is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth

ODD: dict[str, Any] = {
    "an object": object(),
    "a fraction": 3.5,
    "negative": -1,
    "bytes": b"x",
    "a list": ["x"],
    "a dict": {"a": 1},
    "an array": np.array([1, 2]),
    "no path": "a\0b",
    "no text": "\ud800",
    "huge": 10**30,
}
CALLS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "generate": ({"num_tasks": 3}, ("data_dir", "num_tasks", "model", "targets", "seed", "stream", "workers", "sizes")),
    "preprocess": ({}, ("data_dir", "sample", "split", "fraction", "split_seed", "workers")),
    "export": ({"out": "out"}, ("out", "to", "folders", "data_dir", "dtype", "workers")),
    "partition": (
        {"labels": [0, 1] * 10, "users": 3},
        ("scheme", "alpha", "sizes", "sigma", "min_samples", "targets"),
    ),
    "measure": ({"data": "data"}, ("data", "workers")),
    "fit": ({"data": "data"}, ("data", "seed", "seeds", "workers")),
    "write_leaf": ({"folder": "out", "users": {"a": ([1], [1])}}, ("folder", "users", "num_shards")),
}


@pytest.mark.parametrize(("name", "argument"), [(name, one) for name, (_, found) in CALLS.items() for one in found])
def test_an_argument_of_another_kind_is_one_sentence(
    name: str, argument: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind, value in ODD.items():
        if (argument, kind) in {("alpha", "a fraction"), ("alpha", "huge"), ("targets", "a dict")}:
            continue  # which these are
        with pytest.raises(fedsynth.FedsynthError) as caught:
            getattr(fedsynth, name)(**{**CALLS[name][0], argument: value})
        assert "\n" not in str(caught.value), kind
        assert [path.name for path in tmp_path.iterdir() if path.name != ".fedsynth"] == [], kind


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("generate", {"num_tasks": 3, "overwrite": np.array([1, 2])}),
        ("generate", {"num_tasks": None}),
        ("generate", {"num_tasks": 3, "workers": None}),
        ("generate", {"num_tasks": 3, "scheduler": 3.5}),
        ("export", {"out": "out", "folders": "train"}),
        ("export", {"out": "out", "folders": [1]}),
    ],
)
def test_so_are_these(name: str, arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(fedsynth.UsageError, match=r"(overwrite|num_tasks|workers|scheduler|folders) is .*, expected "):
        getattr(fedsynth, name)(**arguments)
