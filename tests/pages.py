"""Run a page of the docs as a person would: its blocks from top to bottom, in one shell and one folder.

A `sh` block is typed in, a `python` block is run as a program, and one with a title is saved under that name. A `text`
block just below one is what that prints. Comments above a block say what is special about it:

    <!-- not run: why -->   it is only read
    <!-- about -->          a text block whose decimal numbers may differ by 0.05, as trained models' accuracies do
    <!-- install -->        it is only run with --install, which .ci/run gives

`python -m tests.pages [--install] PAGE` runs a page in a copy of the clone.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.commands import ROOT

_BLOCK = re.compile(
    r"(?P<comments>(?:^<!--[^\n]*-->\n)*)^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_END = "end of block"
_DECIMAL = re.compile(r"-?\d+\.\d+")
_TOLERANCE = 0.05


@dataclass(frozen=True)
class Block:
    """A fenced block. shown: what is to be printed, None where the page doesn't say."""

    language: str
    title: str | None
    text: str
    comments: str
    shown: str | None = None
    about: bool = False


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page that are run, each with what it prints where the page shows that just below."""
    text = page.read_text()
    found = list(_BLOCK.finditer(text))
    for match, after in zip(found, [*found, None][1:], strict=True):
        block = Block(match["language"], match["title"], match["text"], match["comments"])
        if block.language not in ("sh", "python") or "<!-- not run" in block.comments:
            continue
        below = after is not None and not text[match.end() : after.start()].strip()
        if after is None or not below or after["language"] != "text" or "<!-- not run" in after["comments"]:
            yield block
        else:
            yield replace(block, shown=after["text"], about="<!-- about" in after["comments"])


def run_page(page: Path, folder: Path, *, install: bool = False) -> None:
    """Run a page in a folder, which gets a copy of the clone. Raises AssertionError for what differs from it."""
    shutil.copytree(
        ROOT, folder, ignore=shutil.ignore_patterns(".*", "*.egg-info", "meta", "build"), dirs_exist_ok=True
    )
    run = [block for block in blocks(page) if install or "<!-- install" not in block.comments]
    assert run, f"{page} has no blocks to run"
    script = "\n".join(f"{_typed(block)}\necho '{_END}'" for block in run)
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"exec 2>&1\n{script}"],
        cwd=folder,
        env=_environment(folder, install=install),
        stdout=subprocess.PIPE,
        text=True,
        timeout=3600,
    )
    printed = result.stdout.split(f"{_END}\n")
    assert result.returncode == 0, f"{page.name}:\n{run[min(len(printed), len(run)) - 1].text}\n{printed[-1]}"
    for block, text in zip(run, printed, strict=False):
        if block.shown is not None:
            compare(block.shown, text, about=block.about)


def compare(shown: str, printed: str, *, about: bool = False) -> None:
    """Raise AssertionError unless what a page shows is what was printed."""
    if about:
        for one, other in zip(_DECIMAL.findall(shown), _DECIMAL.findall(printed), strict=False):
            assert abs(float(one) - float(other)) <= _TOLERANCE, printed
        shown, printed = (" ".join(_DECIMAL.sub("x", text).split()) for text in (shown, printed))
    assert shown.strip() == printed.strip()


def _typed(block: Block) -> str:
    if block.language == "sh":
        return block.text
    if block.title:
        return f"cat > {block.title} <<'END OF FILE'\n{block.text}END OF FILE"
    return f"python - <<'END OF FILE'\n{block.text}END OF FILE"


def _environment(folder: Path, *, install: bool) -> dict[str, str]:
    """The reader's environment: a shell that has installed this checkout, unless the page itself is to do so."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    if install:
        return clean
    bin_folder = Path(tempfile.mkdtemp(dir=folder, prefix=".bin-"))
    for name, command in (("python", ""), ("python3", ""), ("fedsynth", " -m fedsynth")):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{command} "$@"\n')
        (bin_folder / name).chmod(0o755)
    search = f"{bin_folder}{os.pathsep}{clean['PATH']}"
    quiet = {"HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HOME": str(folder / ".hf"), "OMP_NUM_THREADS": "1"}
    return {**clean, **quiet, "PATH": search, "PYTHONPATH": str(ROOT)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the pages that are named."""
    parser = argparse.ArgumentParser(description="Run pages of the docs, each in a copy of the clone.")
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--install", action="store_true", help="run the blocks that install things too")
    options = parser.parse_args(arguments)
    for page in options.pages:
        with tempfile.TemporaryDirectory() as folder:
            run_page(page.absolute(), Path(folder), install=options.install)
        print(f"{page}: every block runs and prints what the page shows")


if __name__ == "__main__":
    main()
