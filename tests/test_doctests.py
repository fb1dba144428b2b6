"""The examples in public docstrings run as they stand, each in an empty folder."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

import fedsynth

MUST_HAVE = {
    "LeafDataset",
    "Partition",
    "compare",
    "export",
    "fit",
    "generate",
    "measure",
    "partition",
    "preprocess",
    "write_leaf",
}


def examples() -> Iterator[doctest.DocTest]:
    """All docstrings of public names, and of what is public in them, that hold an example."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in sorted(fedsynth.__all__):
        found = getattr(fedsynth, name)
        if inspect.isroutine(found) or inspect.isclass(found):
            yield from (test for test in finder.find(found, name, globs={}) if test.examples)


TESTS = {test.name: test for test in examples()}


def test_what_is_called_most_has_an_example() -> None:
    assert set(TESTS) >= MUST_HAVE


@pytest.mark.parametrize("name", sorted(TESTS))
def test_examples_do_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "import torch" in (TESTS[name].docstring or ""):
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    failed, tried = doctest.DocTestRunner(verbose=False).run(TESTS[name], out=said.append)
    assert tried, name
    assert not failed, "".join(said)
