"""The example of `examples/`: it runs, its table is what the schemes are for, and its picture shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import fedsynth
from tests.commands import ROOT, environment

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, float]], Path]:
    """The table, by scheme and measure, and the folder."""
    folder = tmp_path_factory.mktemp("example")
    command = [sys.executable, str(ROOT / "examples/partition_digits.py"), "--folder", "data/all_data"]
    result = subprocess.run(
        command, cwd=folder, env=environment(PYTHONWARNINGS="ignore"), capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    head, *lines = [line.split() for line in result.stdout.splitlines()]
    return {line[0]: dict(zip(head[1:], map(float, line[1:]), strict=True)) for line in lines}, folder


def test_schemes_differ_in_what_they_are_for(run: tuple[dict[str, dict[str, float]], Path]) -> None:
    found, _ = run
    assert list(found) == ["iid", "quantity", "dirichlet", "inner-dirichlet", "classes", "shards"]
    assert found["quantity"]["gini"] > 0.4 > found["dirichlet"]["gini"] > 0.2 > found["iid"]["gini"]
    for scheme in ("iid", "quantity"):
        assert found[scheme]["jensen_shannon"] < 0.06 < 0.25 < found["dirichlet"]["jensen_shannon"]
    assert found["classes"]["classes_per_user"] == 2
    assert found["shards"]["classes_per_user"] < 3


def test_the_picture_has_a_dark_square_for_a_user_of_few_classes(
    run: tuple[dict[str, dict[str, float]], Path],
) -> None:
    with Image.open(run[1] / "partition_digits.png") as image:
        blue = [color for _, color in image.getcolors(1 << 24) if color[2] > color[0] + 60]
        assert image.size == (1270, 1550) and blue


def test_users_are_written_for_the_pipeline(run: tuple[dict[str, dict[str, float]], Path]) -> None:
    assert sum(fedsynth.LeafDataset(run[1] / "data/all_data").num_samples) == 1797


def test_the_code_of_the_docs_runs_and_says_what_it_says(tmp_path: Path) -> None:
    page = (ROOT / "docs/partition.md").read_text().partition("In Python, with NumPy alone")[2]
    code = page.split("```python\n")[1].split("```")[0]
    script = code + "\nprint(len(part.users), part.user_of.shape, round(part.measure()['label.hellinger'], 3))"
    command = [sys.executable, "-c", script]
    env = environment(PYTHONWARNINGS="ignore")
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=120)
    assert result.stdout == "100 (1797,) 0.738\n", result.stderr
    assert "# 0.738" in code
    assert sum(fedsynth.LeafDataset(tmp_path / "mine/all_data").num_samples) == 1797
