"""`stats`: LEAF's lines, JSON, pictures, any folder."""

from __future__ import annotations

import json
from pathlib import Path

from tests.commands import fedsynth, generate
from tests.conftest import WriteLeaf


def test_default_dataset_has_the_papers_numbers(tmp_path: Path) -> None:
    generate(tmp_path, 1000, "-num-dim", "1")  # sizes don't depend on the dimensions
    lines = fedsynth(tmp_path, "stats").stdout.splitlines()
    for line in ("1000 users", "107553 samples (total)", "107.55 samples per user (mean)", "0 \t 429", ">200 \t 132"):
        assert line in lines
    assert [line.split(": ")[1] for line in lines[5:8]] == ["213.22", "1.98", "3.10"]


def test_json_is_all_there_is_on_stdout(tmp_path: Path) -> None:
    generate(tmp_path)
    numbers = json.loads(fedsynth(tmp_path, "stats", "--json").stdout)
    assert (numbers["users"], numbers["samples"]) == (20, 2294)
    assert sum(numbers["histogram"]["users"]) + numbers["histogram"]["beyond"] == 20


def test_any_stages_folder_can_be_described(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-k", 50, "-t", "sample")
    assert "8 users" in fedsynth(tmp_path, "stats", "rem_user_data").stdout
    total = sum(json.loads(fedsynth(tmp_path, "stats", side, "--json").stdout)["samples"] for side in ("train", "test"))
    assert total == 2106


def test_pictures_of_other_folders_have_other_names(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-t", "sample")
    fedsynth(tmp_path, "stats", "--name", "mine")
    fedsynth(tmp_path, "stats", "train")
    names = {path.name for path in (tmp_path / "data").glob("*.png")}
    assert names == {
        *(f"mine_{kind}.png" for kind in ("hist", "hist_nolabel", "labels", "models")),
        *(f"synthetic_train_{kind}.png" for kind in ("hist", "hist_nolabel", "labels", "models")),
    }


def test_several_files_are_one_dataset(tmp_path: Path, write_leaf: WriteLeaf) -> None:
    write_leaf({"a": ([1], [1])}, "data/all_data/all_data_0.json")
    write_leaf({"b": ([1, 2], [1, 2])}, "data/all_data/all_data_1.json")
    assert "3 samples (total)" in fedsynth(tmp_path, "stats").stdout


def test_missing_data_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert "all_data: missing or empty" in fedsynth(tmp_path, "stats", check=1).stderr


def test_file_that_changed_is_read_to_its_end(tmp_path: Path) -> None:
    path = generate(tmp_path) / "all_data/all_data.json"
    path.write_bytes(path.read_bytes()[:-100])
    assert "too early" in fedsynth(tmp_path, "stats", check=1).stderr
