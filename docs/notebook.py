"""`python docs/notebook.py`: run docs/heterogeneity.ipynb, and write it with its results, and docs/notebook.md.

With `--check` nothing is written: what the cells show must be what they show in the notebook that is there (texts and
tables, not pictures), and docs/notebook.md must be what would be written of that.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

DOCS = Path(__file__).resolve().parent
NOTEBOOK, PAGE, PICTURES = DOCS / "heterogeneity.ipynb", DOCS / "notebook.md", DOCS / "notebook"
DOWNLOAD = "[Download this notebook](heterogeneity.ipynb){ download=heterogeneity.ipynb }"


def main() -> None:
    """Run the notebook; write or compare it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    check = parser.parse_args().check
    there = nbformat.read(NOTEBOOK, as_version=4)
    ran = run(nbformat.read(NOTEBOOK, as_version=4))
    if not check:
        nbformat.write(ran, NOTEBOOK)
        PAGE.write_text(page(ran))
        return
    for old, new in zip(there.cells, ran.cells, strict=True):
        if texts(old) != texts(new):
            sys.exit(f"{NOTEBOOK.name} shows {texts(old)} where {texts(new)} comes out; run `python docs/notebook.py`")
    if PAGE.read_text() != page(there):
        sys.exit(f"{PAGE.name} is not what the notebook shows; run `python docs/notebook.py`")
    print(f"{NOTEBOOK.name}: every cell shows what comes out")


def run(notebook: Any) -> Any:
    """Run all cells in a folder of their own."""
    path = os.pathsep.join([str(DOCS.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.update(PYTHONPATH=path, PYTHONWARNINGS="error::DeprecationWarning:fedsynth")
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # the times
    return notebook


def texts(cell: Any) -> list[str]:
    """Return the texts and tables that a cell shows."""
    found = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" not in data:
            found.append(output.get("text") or data.get("text/markdown") or data.get("text/plain", ""))
    return found


def page(notebook: Any) -> str:
    """Return the notebook as a page; write its pictures, if they are not there."""
    parts: list[str] = []
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        else:
            parts.append(f"```python\n{cell.source}\n```")
            parts += shown(cell, number)
    parts.insert(1, DOWNLOAD)
    return "\n\n".join(parts) + "\n"


def shown(cell: Any, number: int) -> Iterator[str]:
    """Yield what a cell shows, as Markdown."""
    pictures = 0
    for output in cell.outputs:
        data = output.get("data", {})
        if "image/png" in data:
            pictures += 1
            path = PICTURES / f"{number:02}-{pictures}.png"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(data["image/png"]))
            yield f"![picture {pictures} of the cell above](notebook/{path.name}){{ width=420 }}"
        elif "text/markdown" in data:
            yield data["text/markdown"]
        else:
            yield f"```text\n{(output.get('text') or data['text/plain']).rstrip()}\n```"


if __name__ == "__main__":
    main()
