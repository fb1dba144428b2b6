"""The training run of `examples/`, small: it runs, and what it prints makes sense."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from tests.commands import ROOT, environment

pytest.importorskip("torch")
pytest.importorskip("pfl")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[list[float]], Path]:
    """The table's numbers and the picture."""
    folder = tmp_path_factory.mktemp("example")
    arguments = ["--tasks", "60", "--rounds", "8", "--clusters", "1", "3", "--picture", "results.png"]
    command = [sys.executable, str(ROOT / "examples/train_pfl.py"), *arguments]
    result = subprocess.run(
        command, cwd=folder, env=environment(PYTHONWARNINGS="ignore"), capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    head, *lines = result.stdout.splitlines()
    assert head.split() == ["clusters", "FedAvg", "Reptile", "alone", "oracle"]
    return [[float(word) for word in line.split()] for line in lines], folder / "results.png"


def test_table_has_a_line_for_each_number_of_clusters(run: tuple[list[list[float]], Path]) -> None:
    assert [line[0] for line in run[0]] == [1, 3]
    assert all(0 <= accuracy <= 1 for line in run[0] for accuracy in line[1:])


def test_oracle_is_the_ceiling_and_everybody_learns(run: tuple[list[list[float]], Path]) -> None:
    for _, fedavg, reptile, alone, oracle in run[0]:
        assert oracle > 0.98
        assert 0.2 < min(fedavg, reptile, alone) <= max(fedavg, reptile, alone) < oracle


def test_clusters_hurt_the_one_model_for_all(run: tuple[list[list[float]], Path]) -> None:
    (_, one, *_), (_, three, reptile, alone, _) = run[0]
    assert three < one - 0.05
    assert three < min(reptile, alone) - 0.1


def test_bars_are_as_high_as_the_accuracies(run: tuple[list[list[float]], Path]) -> None:
    lower, upper, column = 830, 150, 109  # ten columns between 150 and 1240
    with Image.open(run[1]) as image:
        assert image.size == (1280, 960)
        for group, line in enumerate(run[0]):
            for number, (accuracy, tone) in enumerate(zip(line[1:], TONES, strict=True)):
                x = 150 + (5 * group + number) * column + 20
                heights = [y for y in range(upper, lower - 4) if image.getpixel((x, y)) == ImageColor.getrgb(tone)]
                assert lower - min(heights) == pytest.approx(accuracy * (lower - upper), abs=2)


TONES = ("#b9cde3", "#3b6ea8", "#9a9a9a", "#222222")
