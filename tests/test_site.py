"""The site's pages are complete, and what checks the built site finds what is wrong with one."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.site import problems

DOCS = ROOT / "docs"
NAVIGATION = re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)


def site(folder: Path, body: str, **files: str) -> Path:
    """A site of one page, and other files."""
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(f"<html><body>{body}</body></html>")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_every_page_is_in_the_navigation() -> None:
    assert sorted(NAVIGATION) == sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.parametrize("name", NAVIGATION)
def test_pages_are_written(name: str) -> None:
    text = (DOCS / name).read_text()
    assert len(text) > 500 or "--8<--" in text, f"{name} is a stub"


def test_all_pictures_are_shown_on_a_page() -> None:
    pages = "".join(path.read_text() for path in (*DOCS.glob("*.md"), ROOT / "README.md"))
    pictures = [path.relative_to(DOCS) for path in DOCS.rglob("*") if path.suffix in (".png", ".svg")]
    assert pictures
    assert [str(path) for path in pictures if str(path) not in pages and path.name != "favicon.png"] == []


def test_the_readme_links_to_pages_that_are_there() -> None:
    targets = re.findall(r"\]\(([\w./-]+)\)", (ROOT / "README.md").read_text())
    assert len(targets) > 15
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_picture_of_the_house_is_that_of_the_source() -> None:
    house = runpy.run_path(str(DOCS / "house.py"))
    drawn = house["draw"](house["edges"](ROOT / "fedsynth"))
    assert (DOCS / "house.svg").read_text() == drawn, "run `python docs/house.py`"


def test_a_whole_site_has_no_problems(tmp_path: Path) -> None:
    body = '<h1 id="a">A</h1><a href="#a">A</a><a href="two.html#b">B</a><a href="https://example.org">C</a>'
    assert list(problems(site(tmp_path, body, two_html='<p id="b"><img src="x.png"></p>', x_png=""))) == []


@pytest.mark.parametrize(
    "body",
    [
        '<a href="gone.html">x</a>',
        '<a href="#gone">x</a>',
        '<a href="two.html#gone">x</a>',
        '<img src="gone.png">',
        '<script src="https://cdn.example.org/x.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example.org/css">',
        '<link rel="preconnect" href="//fonts.example.org">',
        '<img src="https://example.org/pixel.gif">',
        "<style>@import 'https://example.org/a.css'; body { background: url(https://example.org/b.png) }</style>",
    ],
)
def test_broken_links_and_other_hosts_are_found(tmp_path: Path, body: str) -> None:
    assert list(problems(site(tmp_path, body, two_html="<p>two</p>")))


def test_scripts_and_styles_that_ask_other_hosts_are_found(tmp_path: Path) -> None:
    whole = site(tmp_path, "", a_js="fetch('https://example.org/api')", b_css="@font-face { src: url(//x.org/f.woff) }")
    assert len(list(problems(whole))) == 2


def test_the_version_is_that_of_the_changelog_and_the_citation() -> None:
    from fedsynth.version import __version__

    released = re.search(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert released is not None
    citation = (ROOT / "CITATION.cff").read_text()
    assert released[1] == __version__
    assert f"\nversion: {released[1]}\n" in citation
    assert f"\ndate-released: {released[2]}\n" in citation
