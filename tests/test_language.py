"""Plain technical English with the field's terms: words that were agreed to be dropped stay out.

Of the docs their text; of the code what people read: comments, docstrings, messages and help.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import ROOT

DROPPED = {
    r"\b(he|his|him|himself|she|her|hers)\b": "a user is they or it",
    r"(?<!\bin )(?<!\binto )\bplaces?\b|\bin place of\b": "an offset in a file, a mean of samples; instead of",
    r"\b(deal|deals|dealt|dealing)\b": "redistribute, assign",
    r"\b(dis)?honest\w*": "say what is validated",
    r"\bill\b": "say what is wrong",
    r"\bsame law\b|\ba law\b": "the same distribution",
    r"\ba word why\b|\bwithout a word\b": "the reason; silently",
    r"\bat (least|most) so many\b": "name the parameter, this number of",
    r"\bwho (he|they) (is|are)\b": "authentication, an id",
    r"\bspread to be seen\b": "vertical jitter",
    r"\bweighs? the same\b": "effective number of users",
    r"\bleft out\b": "dropped users, skipped measures",
}
"""With what to say instead."""
ALLOWED = {"`left_out`", '"left_out"'}
HELPERS = {"_go_on", "_some", "_as_it_is", "ask", "_tell", "tell_nobody"}
"""Names of functions that don't say what these do."""

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
CODE = sorted([*(ROOT / "fedsynth").rglob("*.py"), *(ROOT / "docs").glob("*.py"), *(ROOT / "examples").glob("*.py")])


def said(path: Path) -> Iterator[tuple[int, str]]:
    """Each comment and string of a module with the number of its line."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING) or token.type == getattr(tokenize, "FSTRING_MIDDLE", -1):
            yield token.start[0], re.sub(r"\{[^{}]*\}", "", token.string) if token.string[:1] in "fF" else token.string


def dropped(lines: Iterator[tuple[int, str]]) -> list[str]:
    found = []
    for number, text in lines:
        plain = re.sub(r"\s+", " ", text)
        for pattern, instead in DROPPED.items():
            for match in re.finditer(pattern, plain, re.IGNORECASE):
                found.append(f"line {number}: {plain[max(0, match.start() - 30) : match.end() + 30]!r}: {instead}")
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_pages_use_the_agreed_words(path: Path) -> None:
    paragraphs = path.read_text().split("\n\n")
    starts = [1]
    for paragraph in paragraphs:
        starts.append(starts[-1] + paragraph.count("\n") + 2)
    assert dropped(zip(starts, paragraphs, strict=False)) == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_uses_the_agreed_words(path: Path) -> None:
    assert dropped(said(path)) == []


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_are_called_by_what_they_do(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} & HELPERS == set()


def test_a_dropped_word_is_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('x = 1  # the user whom he is dealt to\n"""Users of the same\nlaw."""\n')
    assert len(dropped(said(module))) == 3
    assert dropped(iter([(1, "Replace a placeholder; the ideal dealer; still in all.")])) == []
