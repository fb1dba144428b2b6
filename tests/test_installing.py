"""Where fedsynth is installed from, as far as texts and settings say it; .ci/run builds, installs and runs it."""

from __future__ import annotations

import re

import pytest

from tests.commands import ROOT

FROM_AN_INDEX = re.compile(r"pip install (?!-e )[^\n`]*(?<![/\w-])fedsynth(?![\w-]*\.whl|-\*)")
"""`pip install fedsynth`, with extras or among others; not a wheel's file."""


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pip install fedsynth", True),
        ("pip install 'fedsynth[dask]'", True),
        ('run `pip install "fedsynth[torch]"`', True),
        ("pip install numpy fedsynth", True),
        ("pip install -e '.[torch]'", False),
        ("pip install dist/fedsynth-*.whl", False),
        ("pip install 'torch >= 2.2'` for fedsynth", False),
    ],
)
def test_the_pattern_finds_what_it_is_for(text: str, found: bool) -> None:
    assert bool(FROM_AN_INDEX.search(text)) == found


def test_no_text_sends_anybody_to_an_index_that_does_not_have_it() -> None:
    folders = (ROOT / name for name in ("benchmarks", "data", "docs", "examples", "fedsynth", "tests"))
    files = [*ROOT.glob("*"), *(path for folder in folders for path in folder.rglob("*"))]
    looked = [path for path in files if path.suffix in (".py", ".md", ".cfg", ".toml", ".sh", ".ipynb", ".yml")]
    assert len(looked) > 100
    for path in looked:
        if path.name != "test_installing.py":
            assert not FROM_AN_INDEX.search(path.read_text(encoding="utf-8")), path


def test_an_editable_install_leads_to_the_sources_by_a_path() -> None:
    """Type checkers follow no import hook, which setuptools makes where package_dir is not said."""
    assert re.search(r"^package_dir =\n    = \.$", (ROOT / "setup.cfg").read_text(), re.MULTILINE)
