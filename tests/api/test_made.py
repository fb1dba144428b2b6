"""`fedsynth.generate` and `fedsynth.preprocess`: what the commands make, as calls from a program."""

from __future__ import annotations

import dataclasses
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth
from fedsynth.processes.registry import PROCESSES
from tests.commands import ROOT, contents, environment
from tests.commands import fedsynth as command

SEEDS = {"sample_seed": 3, "split_seed": 4}
SEED_OPTIONS = ("--smplseed", 3, "--spltseed", 4)


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def stages(folder: Path) -> dict[str, Any]:
    """What the manifest says of a data folder, but for times and the data folder's name."""
    found: dict[str, Any] = json.loads((folder.parent / "meta/manifest.json").read_text())["stages"]
    for stage in found.values():
        for file in (*stage["inputs"], *stage["outputs"]):
            del file["mtime_ns"]
    return found


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({}, ()),
        ({"prob_clusters": [0.5, 0.5], "noise": 0, "seed": np.int64(3)}, ("-prob-clusters", "0.5,0.5", "-noise", 0)),
        ({"model": "fedprox", "beta": 0.5, "iid": True}, ("-model", "fedprox", "-beta", 0.5, "-iid")),
        (
            {"model": "shifts", "num_dim": 12, "label_alpha": 2, "sizes": range(5, 17)},
            ("-model", "shifts", "-num-dim", 12, "-label-alpha", 2, "-sizes", ",".join(map(str, range(5, 17)))),
        ),
        ({"stream": "independent", "num_shards": 3}, ("-stream", "independent", "-num-shards", 3)),
        (
            {"model": "shifts", "num_dim": 12, "targets": {"label.hellinger": 0.4}},
            ("-model", "shifts", "-num-dim", 12, "-target", "label.hellinger=0.4"),
        ),
    ],
)
def test_generate_makes_what_the_command_makes(arguments: Any, options: Any, tmp_path: Path) -> None:
    made = fedsynth.generate(num_tasks=12, **arguments)
    seed = ("-seed", arguments["seed"]) if "seed" in arguments else ()
    (tmp_path / "other").mkdir()
    command(tmp_path / "other", "generate", "-num-tasks", 12, *options, *seed)
    assert contents(Path("data")) == contents(tmp_path / "other/data")
    assert Path("meta/truth.npz").read_bytes() == (tmp_path / "other/meta/truth.npz").read_bytes()
    assert stages(tmp_path / "data") == stages(tmp_path / "other/data")
    assert made.users == 12
    assert made.samples == sum(fedsynth.LeafDataset(made).num_samples) == fedsynth.measure(made)["samples"]
    assert [path.read_bytes() for path in made.files] == list(contents(Path("data")).values())


def test_the_command_that_is_told_makes_the_same(tmp_path: Path) -> None:
    made = fedsynth.generate(
        "mine", num_tasks=12, model="fedprox", beta=0.1, iid=True, stream="independent", num_shards=2
    )
    before = contents(Path("mine"))
    assert made.command.startswith("fedsynth generate ")
    said = made.command.removeprefix("fedsynth ").split()
    assert "kept" in command(tmp_path, *said).stdout
    (tmp_path / "other").mkdir()
    command(tmp_path / "other", *said)
    assert contents(tmp_path / "other/mine") == before


def test_what_is_there_is_kept_and_other_data_is_in_the_way() -> None:
    first = fedsynth.generate(num_tasks=12)
    assert not first.kept
    assert dataclasses.replace(first, kept=True) == fedsynth.generate(num_tasks=12)
    with pytest.raises(fedsynth.StageError, match=r"made with seed 931231, but seed 2 .* overwrite=True"):
        fedsynth.generate(num_tasks=12, seed=2)
    assert fedsynth.generate(num_tasks=12, seed=2, overwrite=True).seed == 2


def test_levels_are_told_with_the_knobs() -> None:
    made = fedsynth.generate(num_tasks=30, model="shifts", num_dim=12, targets={"quantity.gini": (0.3, 0.02)})
    (level,) = made.levels
    assert level.target.measure == "quantity.gini"
    assert level.reached == pytest.approx(0.3, abs=0.02)
    assert fedsynth.measure(made.path, features=False)["quantity.gini"] == pytest.approx(level.reached)
    assert made.parameters["sigma_samples"] != 2.0
    assert "quantity.gini: asked 0.3, reached 0." in repr(made)


def test_every_parameter_of_every_process_is_an_argument() -> None:
    parameters = inspect.signature(fedsynth.generate).parameters
    for process in PROCESSES.values():
        assert set(process.options) <= set(parameters)
    assert all(kind.kind is kind.KEYWORD_ONLY for name, kind in parameters.items() if name != "data_dir")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_tasks": 0}, "num_tasks is 0, expected 1 to 100,000,000"),
        ({"num_tasks": "12"}, "num_tasks is '12', expected a whole number"),
        ({"num_tasks": 12.0}, r"num_tasks is 12.0, expected a whole number; convert it with int\(\)"),
        ({"noise": "0.1"}, "noise is '0.1', expected a number"),
        ({"noise": float("nan")}, "noise is nan, expected a number"),
        ({"noise": -1}, "noise is -1, expected a standard deviation"),
        ({"beta": 1.0}, "beta makes no sense with model leaf, which takes num_tasks, num_classes, .*; leave it out"),
        ({"model": "leef"}, "model is 'leef', expected one of leaf, fedprox, shifts"),
        ({"prob_clusters": 0.5}, "prob_clusters is 0.5, expected a list of numbers"),
        ({"prob_clusters": "0.5,0.5"}, "prob_clusters is '0.5,0.5', expected a list of numbers"),
        ({"prob_clusters": [0.5, 0.6]}, "adds up to 1.1, expected a sum of 1"),
        ({"model": "shifts", "sizes": [5, 5.5]}, "sizes is 5.5, expected a whole number"),
        ({"model": "shifts", "sizes": [5] * 12, "mean_size": 5}, "sizes is given, and mean_size, which would choose"),
        ({"targets": {"label.hellinger": 0.5}}, "label.hellinger can't be asked of model leaf"),
        ({"num_shards": 13}, "num_shards is 13, expected 1 to the number of tasks, 12"),
        ({"stream": "both"}, "stream is 'both', expected leaf or independent"),
        ({"workers": 2}, "add stream independent .*or leave workers and scheduler out"),
        ({"workers": 0}, "workers is 0, expected 1 to"),
        ({"data_dir": 5}, "data_dir is 5, expected a folder's path"),
    ],
)
def test_wrong_arguments_are_usage_errors_in_pythons_words(arguments: Any, message: str) -> None:
    with pytest.raises(fedsynth.UsageError, match=message):
        fedsynth.generate(**{"num_tasks": 12, **arguments})
    assert not [path for path in Path().rglob("*") if path.is_file() and ".fedsynth" not in path.parts]


def test_an_alpha_without_effect_is_noted() -> None:
    assert "alpha has no effect on the data" in fedsynth.generate(num_tasks=3, model="fedprox", alpha=0.5).notes[0]


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ({"fraction": 1.0, "min_samples": 6, "split": "sample"}, ("-s", "niid", "--sf", 1.0, "-k", 6, "-t", "sample")),
        (
            {"sample": "iid", "user_fraction": 0.5, "fraction": 0.5, "split": "user", "train_fraction": 0.6},
            ("-s", "iid", "--iu", 0.5, "--sf", 0.5, "-t", "user", "--tf", 0.6),
        ),
        ({"sample": None, "split": "sample", "name": "shakespeare"}, ("-t", "sample", "--name", "shakespeare")),
        (
            {"sample": None, "split": "sample", "train_fraction": 0.6, "val_fraction": 0.2, "new_users": 0.25},
            ("-t", "sample", "--tf", 0.6, "--vf", 0.2, "--new-users", 0.25),
        ),
        ({}, ("-s",)),
    ],
)
def test_preprocess_makes_what_the_command_makes(arguments: Any, options: Any, tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "other"):
        folder.mkdir(exist_ok=True)
        if "name" in arguments:
            (folder / "data").mkdir()
            shutil.copytree(ROOT / "tests/inputs/shklong", folder / "data/all_data")
        else:
            fedsynth.generate(folder / "data", num_tasks=30)
    done = fedsynth.preprocess(**arguments, **SEEDS)
    command(tmp_path / "other", "preprocess", *options, *SEED_OPTIONS)
    assert contents(tmp_path / "data") == contents(tmp_path / "other/data")
    assert stages(tmp_path / "data") == stages(tmp_path / "other/data")
    assert done.checksums is not None
    assert done.checksums.read_bytes() == (tmp_path / "other/meta/dir-checksum.md5").read_bytes()
    for name, folder in done.folders.items():
        users = fedsynth.LeafDataset(folder.path)
        assert (folder.path, folder.users, folder.samples) == (Path("data") / name, len(users), sum(users.num_samples))
    assert done.seeds.items() <= {"sample": 3, "split": 4}.items()


def test_preprocess_tells_the_seeds_that_it_chose_and_keeps_what_is_there() -> None:
    fedsynth.generate(num_tasks=30)
    first = fedsynth.preprocess(fraction=1.0, split="sample", checksums=False)
    assert first.checksums is None
    again = fedsynth.preprocess(fraction=1.0, split="sample")
    assert [stage.kept for stage in first.stages] == [False, False]
    assert [stage.kept for stage in again.stages] == [True, True]
    assert again.seeds == first.seeds
    assert list(first.seeds) == ["sample", "split"]
    with pytest.raises(
        fedsynth.StageError, match=r"made with fraction 1.0, but fraction 0.5 was asked for.*overwrite=True"
    ):
        fedsynth.preprocess(fraction=0.5, split="sample")
    assert fedsynth.preprocess(fraction=0.5, split="sample", overwrite=True).folders["train"].users <= 30


def test_users_who_are_too_small_to_split_are_counted() -> None:
    fedsynth.write_leaf("data/all_data", {"a": ([[1.0]], [0]), "b": ([[1.0], [2.0]], [0, 1])})
    split = fedsynth.preprocess(sample=None, split="sample", split_seed=1).stages[-1]
    assert split.dropped == 1
    assert split.folders["train"].users == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample": None}, "no stage is asked for; name one or more by sample, min_samples, split"),
        ({"sample": "all"}, "sample is 'all', expected one of niid, iid"),
        ({"split": "half"}, "split is 'half', expected one of sample, user"),
        ({"fraction": "1"}, "fraction is '1', expected a number"),
        ({"fraction": 1.5}, "fraction is 1.5, expected a fraction of the samples"),
        ({"split": "user", "train_fraction": 1}, "train_fraction is 1, expected a fraction for training"),
        (
            {"split": "sample", "val_fraction": 0.1},
            "train_fraction is 0.9 and val_fraction is 0.1",
        ),
        ({"split": "user", "new_users": 0.1}, "new_users is 0.1, which makes no sense with split user"),
        ({"min_samples": 2.5}, "min_samples is 2.5, expected a whole number"),
        ({"min_samples": -1}, "min_samples is -1, expected a number of samples"),
        ({"user_fraction": 0.1}, "user_fraction is 0.1, which makes no sense with sample niid; use sample iid"),
        ({"sample": None, "user_fraction": 0.1, "min_samples": 1}, "user_fraction is 0.1, which needs sampling by"),
    ],
)
def test_wrong_stages_are_usage_errors_in_pythons_words(arguments: Any, message: str) -> None:
    with pytest.raises(fedsynth.UsageError, match=message):
        fedsynth.preprocess(**arguments)


def test_other_errors_are_public_and_name_the_way_out() -> None:
    with pytest.raises(fedsynth.StageError, match="data: no such folder"):
        fedsynth.preprocess()
    fedsynth.generate(num_tasks=3)
    with pytest.raises(fedsynth.StageError, match=r"no samples are left .*use more data, or a smaller min_samples$"):
        fedsynth.preprocess(sample=None, min_samples=10_000)
    Path("data/all_data/all_data.json").write_text("{")
    with pytest.raises(fedsynth.FedsynthError):
        fedsynth.preprocess(sample=None, min_samples=1)


def test_nothing_is_printed_unless_a_bar_is_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    fedsynth.generate(num_tasks=30, model="shifts", num_dim=12, targets={"label.hellinger": 0.4})
    fedsynth.preprocess(fraction=1.0, min_samples=1, split="sample")
    fedsynth.measure("data/train")
    assert capfd.readouterr() == ("", "")
    fedsynth.preprocess(fraction=1.0, min_samples=1, split="sample", overwrite=True, progress=True)
    fedsynth.measure("data/train", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    for bar in ("sample: 100%", "remove users: 100%", "split: 100%", "stats train: 100%"):
        assert bar in err


def test_without_a_bar_tqdm_is_not_imported(tmp_path: Path) -> None:
    script = "import sys, fedsynth; fedsynth.generate(num_tasks=3); print({'tqdm', 'click', 'PIL'} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"


def test_results_can_not_be_changed() -> None:
    made = fedsynth.generate(num_tasks=3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.seed = 2  # type: ignore[misc]
    assert repr(made) == f"<Generated data/all_data: 3 users, {made.samples:,} samples (seed 931231)>"
    done = fedsynth.preprocess(fraction=1.0, sample_seed=5)
    assert repr(done.stages[0]) == f"<StageDone sample: data/sampled_data: 3 users, {made.samples:,} samples (seed 5)>"
