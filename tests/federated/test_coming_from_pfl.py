"""The programs of docs/coming-from-pfl.md run as they stand, and print what is below them."""

from __future__ import annotations

import re

import pytest

from tests.commands import ROOT
from tests.federated.reference import pfl

pytest.importorskip("torch")

PAGE = (ROOT / "docs/coming-from-pfl.md").read_text()
PROGRAMS = re.findall(r"### ([^\n]+)\n(?:(?!###).)*?```python\n(.+?)```\n\n```text\n(.+?)```", PAGE, re.DOTALL)


def test_every_program_has_its_output() -> None:
    differences = PAGE.partition("## What differs on purpose")[2]
    assert len(PROGRAMS) == differences.count("```text") == differences.count("```python") == 9
    assert len({title for title, _, _ in PROGRAMS}) == len(PROGRAMS)


@pytest.mark.parametrize(("program", "output"), [case[1:] for case in PROGRAMS], ids=[case[0] for case in PROGRAMS])
def test_programs_print_what_is_below_them(capsys: pytest.CaptureFixture[str], program: str, output: str) -> None:
    pfl()
    capsys.readouterr()
    exec(compile(program, "coming-from-pfl.md", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == output
