"""The README's commands do what it says, on a machine that has nothing but Python and the package index."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.test_goldens import GENERATED

README = (ROOT / "README.md").read_text()


def command(name: str) -> str:
    match = re.search(rf"<!-- {name} command -->\n```sh\n(.+)\n```", README)
    assert match is not None
    return match[1]


@pytest.fixture(scope="module")
def fresh_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The main command's folder and output, run in a copy without virtual environment or data."""
    copy = tmp_path_factory.mktemp("fresh") / "fedsynth"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*.egg-info", "__pycache__", "meta", "build"))
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(
        ["sh", "-ec", command("main")], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return copy, result.stdout


def test_main_command_generates_leafs_bytes(fresh_run: tuple[Path, str]) -> None:
    case = GENERATED["gen_a"]
    data = (fresh_run[0] / "data/all_data/all_data.json").read_bytes()
    assert hashlib.md5(data).hexdigest() in {*case["files"].values(), *case["files_without_fma"].values()}


def test_main_command_prints_what_the_readme_shows(fresh_run: tuple[Path, str]) -> None:
    shown = re.search(r"```text\n(.+?)```", README, re.DOTALL)
    assert shown is not None
    without_seeds = [re.sub(r"seed \d+", "seed", text) for text in (shown[1], fresh_run[1])]
    assert without_seeds[0].strip() == without_seeds[1].strip()


def test_readme_shows_the_picture_that_is_drawn(fresh_run: tuple[Path, str]) -> None:
    from PIL import Image, ImageChops

    with (
        Image.open(fresh_run[0] / "data/synthetic_hist.png") as drawn,
        Image.open(ROOT / "docs/synthetic_hist.png") as shown,
    ):
        assert drawn.size == shown.size
        difference = ImageChops.difference(drawn.convert("L"), shown.convert("L")).histogram()
        assert sum(difference[64:]) < 0.01 * drawn.width * drawn.height  # fonts may differ by versions of Pillow


def test_every_folder_that_the_readme_names_appears(fresh_run: tuple[Path, str]) -> None:
    table = README.partition("## What appears where")[2].partition("## ")[0]
    paths = re.findall(r"`((?:data|meta)/[\w./-]+)`", table)
    assert len(paths) >= 10
    for path in paths:
        assert (fresh_run[0] / path).exists(), path


def test_every_option_that_the_readme_names_exists() -> None:
    from fedsynth.cli.commands import fedsynth

    known = {name for item in fedsynth.commands.values() for parameter in item.params for name in parameter.opts}
    section = README.partition("## Commands and options")[2].partition("## ")[0]
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", section)) - {"--help"}
    assert named - {"-m"} <= known


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "pytest" in command("test")
    run = (ROOT / ".ci/run").read_text()
    assert 'bash -euo pipefail -c "$(command_of test)"' in run
    function = re.search(r"^command_of\(\) \{.+?^\}", run, re.DOTALL | re.MULTILINE)
    assert function is not None
    script = f"{function[0]}\ncommand_of test"
    printed = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == command("test")
