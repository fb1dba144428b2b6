"""docs/python.md: its blocks run in order in one folder and print what is below them; its words are the functions'."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import fedsynth
from fedsynth.cli.commands import fedsynth as commands
from tests.commands import ROOT

PAGE = (ROOT / "docs/python.md").read_text()
BLOCKS = re.findall(r"```python\n(.+?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)


def test_blocks_print_what_is_below_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    assert len(BLOCKS) == PAGE.count("```python") == PAGE.count("```text") == 5
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "__main__"}
    for program, output in BLOCKS:
        exec(compile(program, "python.md", "exec"), names)
        assert capsys.readouterr().out == output


@pytest.mark.parametrize(("command", "other"), [("generate", set()), ("preprocess", {"nochecksum"})])
def test_keywords_are_the_words_below_the_commands(command: str, other: set[str]) -> None:
    options = {parameter.name for parameter in commands.commands[command].params}
    keywords = set(inspect.signature(getattr(fedsynth, command)).parameters)
    assert options - keywords == other
    assert keywords - options == {"progress"}


def test_the_page_names_each_option_of_preprocess_with_its_keyword() -> None:
    rows = dict(re.findall(r"\| preprocess \| `([\w-]+)` \| `(\w+)", PAGE))
    own = {"--verify", "--overwrite", "-workers", "-scheduler", "-data-dir"}
    expected = {parameter.opts[0]: parameter.name for parameter in commands.commands["preprocess"].params}
    expected = {option: name for option, name in expected.items() if option not in own} | {"--nochecksum": "checksums"}
    assert rows == expected
