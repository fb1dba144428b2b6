"""The quickstart, every "coming from" page and the pages with commands run from top to bottom, as a reader would."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.commands import ROOT
from tests.pages import Block, blocks, compare, run_page

DOCS = ROOT / "docs"
RUN_ELSEWHERE = {
    "gallery.md": "at a tenth in tests/test_gallery.py",
    "notebook.md": "by docs/notebook.py --check in .ci/run",
    "python.md": "as one session in tests/test_python_page.py",
    "exporting.md": "its formats and clients are tested in tests/clients, its blocks are not typed",
    "validation.md": "its options and calls are tested in tests/test_sides.py, its blocks are not typed",
    "scale.md": "its commands take a cluster and minutes",
    "training.md": "takes minutes; its example is run by tests/test_examples.py",
}
NEEDS = {
    "quickstart.md": ("torch",),
    "loading.md": ("torch", "pfl"),
    "coming-from-pfl.md": ("torch", "pfl"),
    "coming-from-pytorch.md": ("torch",),
    "partition.md": ("sklearn",),
    "coming-from-flower.md": ("flwr", "flwr_datasets"),
    "coming-from-hugging-face.md": ("datasets",),
}
PAGES = sorted(path.name for path in DOCS.glob("*.md") if path.name not in RUN_ELSEWHERE and list(blocks(path)))


@pytest.mark.parametrize("name", PAGES)
def test_pages_run(name: str, tmp_path: Path) -> None:
    for module in NEEDS.get(name, ()):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    run_page(DOCS / name, tmp_path)


def test_every_coming_from_page_and_the_quickstart_are_among_them() -> None:
    named = {path.name for path in DOCS.glob("coming-from-*.md")} | {"quickstart.md"}
    assert len(named) == 6
    assert named <= {*PAGES, *RUN_ELSEWHERE}


def page(folder: Path, text: str) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_blocks_are_run_with_what_they_print(tmp_path: Path) -> None:
    text = '```python title="a.py"\nprint(1)\n```\n\n```sh\npython a.py\n```\n\n```text\n1\n```\n'
    assert list(blocks(page(tmp_path, text))) == [
        Block("python", "a.py", "print(1)\n", ""),
        Block("sh", None, "python a.py\n", "", "1\n"),
    ]
    run_page(page(tmp_path, text), tmp_path / "folder")


@pytest.mark.parametrize("text", ["```sh\nfalse\n```\n", "```sh\necho 1\n```\n\n```text\n2\n```\n", "no blocks\n"])
def test_a_page_that_is_wrong_fails(tmp_path: Path, text: str) -> None:
    with pytest.raises(AssertionError):
        run_page(page(tmp_path, text), tmp_path / "folder")


def test_accuracies_may_differ_a_little_and_nothing_else() -> None:
    compare("alone 0.67\n", "alone 0.65\n", about=True)
    for printed in ("alone 0.75\n", "alone 0.67 0.1\n", "other 0.67\n"):
        with pytest.raises(AssertionError):
            compare("alone 0.67\n", printed, about=True)
