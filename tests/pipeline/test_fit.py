"""`fit`: a twin of the same sizes, labels and places; what does not match is said."""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from fedsynth.errors import DataError, UsageError
from fedsynth.pipeline.fit import FITTED, Fit, fit
from fedsynth.pipeline.stats import measure
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.stats.table import flat
from tests.commands import fedsynth, generate
from tests.conftest import WriteLeaf


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    knobs = ("-mean-size", 40, "-sigma-samples", 1.2, "-label-alpha", 0.5, "-imbalance", 4, "-feature-shift", 0.4)
    generate(folder, 150, "-model", "shifts", "-num-classes", 4, "-num-dim", 12, "-seed", 3, *knobs)
    return folder


@pytest.fixture(scope="module")
def fitted(made: Path) -> Fit:
    return fit(made / "data/all_data", seed=8, seeds=2)


def test_fitted_measures_match(fitted: Fit) -> None:
    real, twin = flat(fitted.real), flat(fitted.twins[0])
    assert set(fitted.fitted) == set(FITTED)
    for key in ("quantity.gini", "label.jensen_shannon", "feature.between_share"):
        assert twin[key] == pytest.approx(real[key], abs=0.005), key
    assert twin["quantity.mean"] == pytest.approx(real["quantity.mean"], rel=0.01)
    assert twin["label.classes_per_user"] == pytest.approx(real["label.classes_per_user"], rel=0.1)
    assert len(fitted.twins) == 2
    assert fitted.twins[0] != fitted.twins[1]


def test_knobs_of_shifts_come_back(fitted: Fit) -> None:
    found = fitted.parameters
    assert (found.num_tasks, found.num_classes, found.num_dim) == (150, 4, 12)
    assert found.sigma_samples == pytest.approx(1.2, rel=0.25)
    assert found.label_alpha == pytest.approx(0.5, rel=0.35)
    assert found.imbalance == pytest.approx(4, rel=0.5)
    assert found.feature_shift == pytest.approx(0.4, abs=0.1)
    assert (found.concept_within, found.concept_between, found.prob_clusters) == (0, 0, (1.0,))


def test_the_command_makes_the_twin_that_was_measured(made: Path, tmp_path: Path) -> None:
    result = json.loads(fedsynth(made, "fit", "--json", "-seed", 8).stdout)
    command = shlex.split(result["command"])
    assert command[0] == "fedsynth"
    fedsynth(tmp_path, *command[1:])
    written = measure(tmp_path / "data/all_data")
    for key, value in flat(result["twins"][0]).items():
        if key.startswith(("quantity.", "label.", "feature.", "gradient.")):
            assert flat(written)[key] == pytest.approx(value, rel=1e-9), key
    assert not (made / "data/synthetic_hist.png").exists()


def test_a_twin_of_exact_sizes(made: Path, tmp_path: Path) -> None:
    """Many sizes are in a file, which is not written over; the command gives the twin that was measured."""
    result = json.loads(fedsynth(made, "fit", "--json", "--exact-sizes", "-seed", 8).stdout)
    command = shlex.split(result["command"])
    assert command[command.index("-sizes") + 1] == "twin_sizes.txt"
    assert "-mean-size" not in command
    real = json.loads((made / "data/all_data/all_data.json").read_text())["num_samples"]
    assert [int(line) for line in (made / "twin_sizes.txt").read_text().split()] == sorted(real)
    (tmp_path / "twin_sizes.txt").write_bytes((made / "twin_sizes.txt").read_bytes())
    fedsynth(tmp_path, *command[1:])
    written = measure(tmp_path / "data/all_data")
    for key, value in flat(result["twins"][0]).items():
        if key.startswith(("quantity.", "label.", "feature.")):
            assert flat(written)[key] == pytest.approx(value, rel=1e-9), key
        if key.startswith("quantity."):
            assert value == pytest.approx(flat(result["real"])[key], rel=1e-12), key
    assert any("exact sizes may identify users" in note for note in result["notes"])
    assert result["parameters"]["sizes"] == sorted(real)
    (made / "twin_sizes.txt").write_text("mine")
    said = fedsynth(made, "fit", "--exact-sizes", check=2).stderr
    assert "twin_sizes.txt: is there, and holds something else; name another file with --sizes-file" in said
    assert (made / "twin_sizes.txt").read_text() == "mine"


def test_few_exact_sizes_stand_in_the_command(tmp_path: Path, write_leaf: WriteLeaf) -> None:
    users = {name: ([[1.0, 2.0]] * size, [0, 1] * (size // 2)) for name, size in (("a", 8), ("b", 4), ("c", 0))}
    folder = write_leaf(users, "data/all_data/a.json").parent
    result = fedsynth(tmp_path, "fit", "--exact-sizes", folder)
    command = shlex.split(result.stdout.splitlines()[0])
    assert command[command.index("-sizes") + 1] == "4,8"
    assert not (tmp_path / "twin_sizes.txt").exists()


def test_the_table_marks_what_was_fitted(made: Path, fitted: Fit) -> None:
    lines = fedsynth(made, "fit").stdout.splitlines()
    assert lines[0].startswith("fedsynth generate -num-tasks 150 -model shifts ")
    starred = {match[1] for line in lines if (match := re.match(r"(\S+) \*  ", line))}
    assert starred == set(FITTED)
    assert not any(line.startswith("concept.") for line in lines)
    assert "note: a twin's concepts mean nothing, all users share one" in lines
    assert fitted.lines()[0].split(maxsplit=1) == ["real", "twin, mean of 2 seeds"]


def two_classes_each(write_leaf: WriteLeaf) -> Path:
    """Users of two of six classes each, whose x are texts."""
    rng = random.Random(1)
    users: dict[str, Any] = {}
    for number in range(60):
        labels = [rng.choice(["a", "b", "c", "d", "e", "f"][number % 5 :][:2]) for _ in range(rng.randint(10, 90))]
        users[str(number)] = (["text"] * len(labels), labels)
    return write_leaf(users, "data/all_data/a.json").parent


def test_what_does_not_match_is_plain(write_leaf: WriteLeaf) -> None:
    """No Dirichlet law gives two classes to each user."""
    found = fit(two_classes_each(write_leaf))
    assert found.real["label.classes_per_user"] == 2
    assert found.twins[0]["label.classes_per_user"] > 2.5
    assert found.twins[0]["label.jensen_shannon"] == pytest.approx(found.real["label.jensen_shannon"], abs=0.005)
    assert "feature.between_share" not in found.fitted
    assert any("features are not numbers of one shape; the twin's are made up" in note for note in found.notes)


def test_a_level_out_of_reach_is_said(write_leaf: WriteLeaf) -> None:
    """With all features far apart between users, those that decide the class can't follow."""
    users = {str(user): ([[1000.0 * user + row, float(user)] for row in range(20)], [0, 1] * 10) for user in range(9)}
    found = fit(write_leaf(users, "data/all_data/a.json").parent)
    assert any(re.match(r"note: feature.between_share 1.000 is out of reach, 0.\d+ is", note) for note in found.notes)


@pytest.mark.parametrize(
    "users",
    [
        {"a": ([[1.0], [2.0]], [0, 1])},
        {"a": ([[1.0]], [0]), "b": ([[1.0]], [0])},
        {"a": ([[1.0]] * 7, [0, 1, 2, 3, 4, 5, 6]), "b": ([[2.0]] * 2, [0, 1]), "empty": ([], [])},
    ],
)
def test_the_smallest_folders_have_twins(users: dict[str, Any], write_leaf: WriteLeaf) -> None:
    found = fit(write_leaf(users, "data/all_data/a.json").parent)
    filled = [len(y) for _, y in users.values() if y]
    assert isinstance(found.parameters, ShiftsParameters)
    assert found.parameters.num_tasks == len(filled)
    assert found.twins[0]["quantity.min"] >= min(filled)
    assert found.twins[0]["quantity.max"] <= max(filled)
    assert any("features: 1 can't tell" in note for note in found.notes)
    assert any("users without samples" in note for note in found.notes) == ("empty" in users)


def test_what_has_no_twin_is_said(made: Path, write_leaf: WriteLeaf) -> None:
    folder = write_leaf({"a": ([[1.0]], [[1]])}, "lists/a.json").parent
    with pytest.raises(DataError, match="its labels can't be fitted, labels are lists or objects, no classes; name a"):
        fit(folder)
    folder = write_leaf({"a": ([], [])}, "empty/a.json").parent
    with pytest.raises(DataError, match="there are no samples"):
        fit(folder)
    with pytest.raises(UsageError, match="seeds is 4, expected 1 to 3"):
        fit(made / "data/all_data", seeds=4)
    assert "expected 0 to 4294967295" in fedsynth(made, "fit", "-seed", -1, check=2).stderr
