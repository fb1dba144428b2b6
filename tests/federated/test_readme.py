"""The README's section "Load it" runs as it stands, on data that the pipeline made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, environment, fedsynth, generate

SECTION = (ROOT / "README.md").read_text().partition("## Load it\n")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```python\n(.+?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    generate(folder, 60)
    fedsynth(folder, "preprocess", "-s", "niid", "--sf", "1.0", "-k", "5", "-t", "sample")
    return folder


def test_there_is_a_block_for_each_framework() -> None:
    assert [("torch" in block, "pfl" in block) for block in BLOCKS] == [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize("block", BLOCKS, ids=["numpy", "torch", "pfl"])
def test_blocks_run(folder: Path, block: str) -> None:
    for package in ("torch", "pfl"):
        if package in block:
            pytest.importorskip(package)
    result = subprocess.run(
        [sys.executable, "-c", block],
        cwd=folder,
        env=environment(OMP_NUM_THREADS="1"),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
