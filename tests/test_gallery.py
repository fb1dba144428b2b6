"""The gallery's script makes its eight datasets, and the page that is checked in is what the script writes."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, environment

SCRIPT = ROOT / "docs/gallery.py"
PAGE = ROOT / "docs/gallery.md"
PICTURES = ROOT / "docs/gallery"


@pytest.fixture(scope="module")
def tenth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery of a tenth of the users."""
    pytest.importorskip("sklearn")
    folder = tmp_path_factory.mktemp("gallery")
    command = [sys.executable, str(SCRIPT), "--tenth", "--folder", str(folder)]
    subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=300)
    return folder


def test_eight_datasets_are_made(tenth: Path) -> None:
    measured = json.loads((tenth / "gallery/measures.json").read_text())
    assert len(measured) == 8
    page = (tenth / "gallery.md").read_text()
    assert page.count("\nfedsynth ") == 8
    assert all((tenth / picture).is_file() for picture in re.findall(r"\]\((gallery/[\w-]+\.png)\)", page))
    assert page.count("![") == 8 * 3 - 1  # the digits have no true models


def test_levels_are_those_that_the_commands_ask_for(tenth: Path) -> None:
    measured = json.loads((tenth / "gallery/measures.json").read_text())
    asked = 0
    for name, command in re.findall(r'"(shifts-\w+)",\n.*?,\n(.*?)\d+,\n', SCRIPT.read_text(), re.DOTALL):
        for measure, level in re.findall(r"-target ([\w.]+)=([\d.]+)", command):
            key = "feature.between_share.mean" if measure == "feature.between_share" else measure
            assert measured[name][key] == pytest.approx(float(level), abs=0.006), (name, measure)
            asked += 1
    assert asked == 15


def test_the_page_is_what_the_script_writes() -> None:
    gallery = runpy.run_path(str(SCRIPT))
    measured = json.loads((PICTURES / "measures.json").read_text())
    assert PAGE.read_text() == gallery["page"](measured, PICTURES), "run `python docs/gallery.py`"


def test_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) < 1_000_000
