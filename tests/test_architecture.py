"""The house: a module imports only from lower floors, and rooms on one floor not from each other."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import ROOT

FLOORS = {
    "__init__": 7,
    "__main__": 7,
    "api": 6,
    "cli": 5,
    "pipeline": 4,
    "processes": 3,
    "partitioners": 3,
    "sources": 3,
    "formats": 3,
    "stages": 3,
    "stats": 3,
    "federated": 3,
    "leaf": 2,
    "truth": 2,
    "records": 1,
    "targets": 1,
    "engine": 1,
    "errors": 0,
    "system": 0,
    "version": 0,
    "words": 0,
}
PACKAGE = ROOT / "fedsynth"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> Iterator[str]:
    """The rooms that a module imports from, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            yield "a relative import, which this test does not follow"
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name.split(".")[1] for name in names if name.startswith("fedsynth."))
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("fedsynth."))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    mine = room(path)
    for other in imported_rooms(path):
        if other == mine:
            continue
        assert other in FLOORS, f"{other} is on no floor"
        lower = FLOORS[other] < FLOORS[mine]
        assert lower, f"{path}: floor {FLOORS[mine]} imports {other} of floor {FLOORS[other]}"


@pytest.mark.parametrize(("package", "rooms"), [("click", {"cli"}), ("tqdm", {"cli", "api"})])
def test_only_the_top_floor_knows_terminals_and_notebooks(package: str, rooms: set[str]) -> None:
    users = {
        room(path)
        for path in MODULES
        if f"import {package}" in path.read_text() or f"from {package}" in path.read_text()
    }
    assert users == rooms


@functools.cache
def options() -> re.Pattern[str]:
    """Matches any option of any command, in text."""
    from fedsynth.cli.commands import fedsynth as group

    names = {name for command in group.commands.values() for param in command.params for name in param.opts}
    dashed = sorted((re.escape(name) for name in names if name.startswith("-")), key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(dashed)})(?![\w-])")


def messages(path: Path) -> Iterator[str]:
    """The texts of several words in a module that are no docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from [node.value] if " " in node.value else []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_the_cli_knows_what_options_are_called(path: Path) -> None:
    """Below it, errors name parameters: whoever shows them says what they are called there."""
    if room(path) != "cli":
        assert [text for text in messages(path) if options().search(text)] == []


def test_posix_calls_stay_in_one_module() -> None:
    calls = ("import fcntl", "os.pread", "os.fork", "resource", "import mmap", "madvise")
    for path in MODULES:
        if path.name != "system.py":
            assert not any(call in path.read_text() for call in calls), path


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_and_functions_stay_small(path: Path) -> None:
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            assert not body or (node.end_lineno or 0) - body[0].lineno < 40, node.name


def test_preprocess_starts_without_numpy() -> None:
    import subprocess
    import sys

    from tests.commands import environment

    heavy = "{'numpy', 'PIL', 'tqdm', 'torch'}"
    script = f"import sys, fedsynth.cli.commands, fedsynth.pipeline.preprocess; print({heavy} & set(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
