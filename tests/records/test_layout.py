"""Names: what is recorded in them, and in which order files come."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsynth.errors import StageError
from fedsynth.records.layout import fraction_label, in_use, json_files, latest, stepped_name


@pytest.mark.parametrize(
    ("fraction", "label"),
    [
        (0.1, "1"),
        (0.05, "05"),
        (1.0, "0"),
        (1, "0"),
        (0.25, "25"),
        (1e-05, "00001"),
        (1.5, "1.5"),
        (2.0, "2.0"),
        (0.6, "6"),
    ],
)
def test_label_is_the_shortest_text_without_leading_zero(fraction: float, label: str) -> None:
    assert fraction_label(fraction) == label


def test_numbers_in_names_sort_by_value(tmp_path: Path) -> None:
    for number in (10, 2, 0, 1):
        (tmp_path / f"all_data_{number}.json").touch()
    (tmp_path / ".hidden.json").touch()
    (tmp_path / "notes.txt").touch()
    assert [path.stem for path in json_files(tmp_path)] == [f"all_data_{number}" for number in (0, 1, 2, 10)]


def test_latest_folder_is_the_first_that_is_in_use(tmp_path: Path) -> None:
    for name in ("empty", "hidden", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "hidden/.gitkeep").touch()
    (tmp_path / "full/a.json").touch()
    assert [in_use(tmp_path / name) for name in ("missing", "empty", "hidden", "full")] == [False, False, False, True]
    assert latest(tmp_path, "missing", "empty", "hidden", "full") == tmp_path / "full"
    with pytest.raises(StageError, match="empty"):
        latest(tmp_path, "missing", "empty")


def test_steps_are_added_to_the_stem() -> None:
    assert stepped_name(Path("x/all_data.json"), "niid", "1") == "all_data_niid_1.json"
