"""`compare`: folders side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedsynth.errors import StageError, UsageError
from fedsynth.pipeline.compare import compare
from fedsynth.pipeline.stats import measure
from tests.commands import fedsynth, generate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    generate(folder, 30, "-prob-clusters", "0.5,0.5", "-num-dim", "3")
    fedsynth(folder, "preprocess", "-t", "sample", "--spltseed", "1")
    return folder


def test_each_folder_has_the_measures_that_stats_says(made: Path) -> None:
    folders = ["all_data", "train", "test"]
    compared = json.loads(fedsynth(made, "compare", *folders, "--json").stdout)["folders"]
    assert list(compared) == [f"data/{name}" for name in folders]
    for name in folders:
        assert compared[f"data/{name}"] == measure(made / "data" / name)
    assert not [*made.rglob("*.png")]


def test_the_table_has_a_column_for_each_folder(made: Path) -> None:
    lines = fedsynth(made, "compare", "all_data", "test").stdout.splitlines()
    assert lines[0].split() == ["data/all_data", "data/test"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    values = [measure(made / "data" / name) for name in ("all_data", "test")]
    assert rows["users"] == [str(value["users"]) for value in values]
    for key in ("label.jensen_shannon", "concept.between", "gradient.dissimilarity.zero.G"):
        assert len(rows[key]) == 2
    assert list(map(float, rows["label.hellinger"])) == pytest.approx([v["label.hellinger"] for v in values], abs=5e-4)
    assert not {"label.hellinger_chance", "concept.between_error", "histogram.beyond"} & rows.keys()
    assert len({len(line) for line in lines}) == 1


def test_what_one_folder_lacks_is_empty_there(made: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    text = (made / "data/train").glob("*.json").__next__().read_text()
    (tmp_path / "mine/a.json").write_text(text)
    lines = compare([made / "data/train", tmp_path / "mine"]).lines()
    (row,) = (line for line in lines if line.startswith("concept.oracle_accuracy"))
    assert len(row.split()) == 2
    assert row.endswith("  ")


def test_bad_folders_are_said(made: Path) -> None:
    with pytest.raises(UsageError, match="no folders to compare"):
        compare([])
    with pytest.raises(UsageError, match="each folder once"):
        compare([made / "data/train", made / "data/train"])
    assert "missing or empty" in fedsynth(made, "compare", "train", "nowhere", check=1).stderr
    assert "Missing argument" in fedsynth(made, "compare", check=2).stderr
    with pytest.raises(StageError, match="found no"):
        compare([made])
