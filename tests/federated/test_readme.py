"""The README's block that loads, and those of docs/loading.md, run as they stand, on data that the pipeline made."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ROOT, environment, fedsynth, generate

README = re.findall(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.DOTALL)
BLOCKS = README + re.findall(r"```python\n(.+?)```", (ROOT / "docs/loading.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    generate(folder, 60)
    fedsynth(folder, "preprocess", "-s", "niid", "--sf", "1.0", "-k", "5", "-t", "sample")
    return folder


def test_there_is_a_block_for_each_framework() -> None:
    assert len(README) == 1
    imports = [("import torch" in block, "from pfl" in block) for block in BLOCKS]
    assert imports == [(False, False), (False, False), (True, False), (True, True)]


@pytest.mark.parametrize("block", BLOCKS, ids=["readme", "numpy", "torch", "pfl"])
def test_blocks_run(folder: Path, block: str) -> None:
    for package in ("torch", "pfl"):
        if f"import {package}" in block or f"from {package}" in block:
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
