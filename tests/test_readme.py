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
LEAF_PAGE = (ROOT / "docs/coming-from-leaf.md").read_text()
NOT_OURS = {"--host", "--tenth", "--large", "-data"}
"""Options of other programs that the pages name."""


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


def shown_output(page: str) -> str:
    """The first block of output below a heading about it, without the seeds, which are chosen anew."""
    shown = re.search(r"prints[^\n]*\n(?:.*?)```text\n(.+?)```", page, re.DOTALL)
    assert shown is not None
    return re.sub(r"seed \d+", "seed", shown[1]).strip()


def test_main_command_prints_what_the_docs_show(fresh_run: tuple[Path, str]) -> None:
    printed = re.sub(r"seed \d+", "seed", fresh_run[1]).strip()
    section = LEAF_PAGE.partition("## What the README's first command prints")[2]
    assert shown_output(section) == printed


def test_readme_shows_ten_lines_of_what_the_main_command_prints(fresh_run: tuple[Path, str]) -> None:
    printed = re.sub(r"seed \d+", "seed", fresh_run[1]).strip().split("\n")
    lines = shown_output(README).split("\n")
    assert len(lines) == 10
    assert [line for line in printed if line in lines] == lines


def test_readme_is_short() -> None:
    assert README.count("\n") <= 130
    assert README.count("![") == 1


def test_docs_show_the_picture_that_is_drawn(fresh_run: tuple[Path, str]) -> None:
    assert "(synthetic_hist.png)" in LEAF_PAGE
    from PIL import Image, ImageChops

    with (
        Image.open(fresh_run[0] / "data/synthetic_hist.png") as drawn,
        Image.open(ROOT / "docs/synthetic_hist.png") as shown,
    ):
        assert drawn.size == shown.size
        difference = ImageChops.difference(drawn.convert("L"), shown.convert("L")).histogram()
        assert sum(difference[64:]) < 0.01 * drawn.width * drawn.height  # fonts may differ by versions of Pillow


def test_every_folder_that_the_docs_name_appears(fresh_run: tuple[Path, str]) -> None:
    table = (ROOT / "docs/formats.md").read_text().partition("## What appears where")[2].partition("## ")[0]
    paths = re.findall(r"`((?:data|meta)/[\w./-]+)`", table)
    assert len(paths) >= 10
    for path in paths:
        assert (fresh_run[0] / path).exists(), path


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_every_option_that_a_page_names_exists(page: str) -> None:
    from fedsynth.cli.commands import fedsynth

    commands = {name: {o for p in item.params for o in p.opts} for name, item in fedsynth.commands.items()}
    known = {option for options in commands.values() for option in options} | {"--help"}
    text = re.sub(r"\\\n\s*", " ", (ROOT / page).read_text())
    for quoted in re.findall(r"`(--?[a-z][a-z-]*)(?:[ =][^`]*)?`", text):
        assert quoted in known or quoted in NOT_OURS, f"{page} names {quoted}"
    typed = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    for name, rest in re.findall(r"^fedsynth (\S+)(.*)$", typed, re.MULTILINE):
        for option in re.findall(r"(?<=\s)--?[a-z][a-z-]*", re.split(r"&&|;|\|", rest)[0]):
            assert option in commands[name], f"{page}: fedsynth {name} has no {option}"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    assert "pytest" in command("test")
    run = (ROOT / ".ci/run").read_text()
    assert 'bash -euo pipefail -c "$(command_of test)"' in run
    function = re.search(r"^command_of\(\) \{.+?^\}", run, re.DOTALL | re.MULTILINE)
    assert function is not None
    script = f"{function[0]}\ncommand_of test"
    printed = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == command("test")
