"""The command lines of a card make the same data again."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from fedsynth.cli.history import command_lines
from fedsynth.records.manifest import Manifest
from fedsynth.records.origin import find_origin
from tests.commands import contents, fedsynth

GENERATE = (
    ("-num-tasks", 6, "-num-dim", 2),
    ("-num-tasks", 6, "-num-dim", 2, "-model", "fedprox", "-iid", "-num-shards", 2, "-stream", "independent"),
    ("-num-tasks", 6, "-num-dim", 4, "-model", "shifts", "-label-alpha", 0.5, "-sizes", "9,8,7,9,8,7"),
)
PARTITION = (
    ("--users", 3, "--alpha", 0.7, "--seed", 4, "--min-samples", 2),
    ("--users", 3, "--scheme", "classes", "--classes", 2, "--clusters", 2, "--swap-labels", 2, "--x", "a,b"),
    ("--scheme", "natural", "--user", "a", "--num-shards", 2),
)
SIDES = ("-s", "niid", "--sf", 1.0, "-k", 3, "-t", "sample", "--tf", 0.5, "--vf", 0.2, "--new-users", 0.3)
CHAIN = ("-s", "iid", "--iu", 0.5, "--sf", 0.9, "-k", 1, "-t", "user", "--tf", 0.6, "--smplseed", 3)


def lines_of(folder: Path) -> list[str]:
    return command_lines(find_origin(folder).stages)


@pytest.mark.parametrize("options", GENERATE, ids=range(len(GENERATE)))
def test_generated_data_is_made_again(options: tuple[object, ...], tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    fedsynth(tmp_path / "one", "generate", *options)
    (line,) = lines_of(tmp_path / "one/data/all_data")
    fedsynth(tmp_path / "other", *shlex.split(line)[1:])
    assert contents(tmp_path / "other/data") == contents(tmp_path / "one/data")


@pytest.mark.parametrize("options", PARTITION, ids=range(len(PARTITION)))
def test_partitioned_and_preprocessed_data_is_made_again(options: tuple[object, ...], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    rows = "".join(f"{row % 4},{row},{row % 3}\n" for row in range(60))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own.csv").write_text(f"a,b,y\n{rows}")
    fedsynth(tmp_path / "one", "partition", "own.csv", *options)
    fedsynth(tmp_path / "one", "preprocess", *(SIDES if "natural" in options else CHAIN))
    lines = lines_of(tmp_path / "one/data/train")
    assert len(lines) == 2
    for line in lines:
        fedsynth(tmp_path / "other", *shlex.split(line)[1:])
    assert contents(tmp_path / "other/data") == contents(tmp_path / "one/data")


def test_a_stage_of_another_version_gives_no_line(tmp_path: Path) -> None:
    fedsynth(tmp_path, "generate", "-num-tasks", 3, "-num-dim", 2)
    manifest = tmp_path / "meta/manifest.json"
    manifest.write_text(manifest.read_text().replace('"num_dim": 2', '"num_dim": "two"'))
    assert command_lines(list(Manifest(tmp_path / "data").stages.values())) == []
