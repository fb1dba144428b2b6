"""The bar in a notebook: a real kernel, whose front end would draw it. Needs nbclient, ipykernel and ipywidgets."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROOT

NEEDED = ("nbclient", "ipykernel", "ipywidgets")
missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
    pytest.mark.filterwarnings("default"),  # of jupyter's own
]

CELLS = (
    "import signal, fedsynth\nbefore = signal.getsignal(signal.SIGINT)",
    "made = fedsynth.generate(num_tasks=30, num_shards=2, stream='independent', workers=2, progress=True)",
    "assert signal.getsignal(signal.SIGINT) is before\nfedsynth.LeafDataset(made.path)",
    "fedsynth.preprocess(fraction=1.0, sample_seed=1)",
)


def run_cells(folder: Path) -> list[Any]:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    client = NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    client.execute(env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "default"})
    return [cell.outputs for cell in notebook.cells]


def test_a_notebook_shows_a_widget_for_a_bar_and_tables_for_results(tmp_path: Path) -> None:
    quiet, bar, users, stages = run_cells(tmp_path)
    assert quiet == []
    assert [output.output_type for output in bar] == ["display_data"]
    assert "application/vnd.jupyter.widget-view+json" in bar[0].data
    assert "<th>samples</th>" in users[0].data["text/html"]
    assert stages[0].data["text/plain"].startswith("<Preprocessed\n  sample: data/sampled_data: 30 users")
    assert all("stderr" not in str(output) for outputs in (quiet, bar, users, stages) for output in outputs), sys.path
