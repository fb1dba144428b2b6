"""Assigning labels to users, beside flwr-datasets (`pip install flwr-datasets`), and alone at ten million.

python -m benchmarks.partition                 print the rows
python -m benchmarks.partition ACTION          run one of the actions below and print what it took as JSON
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import HEADER, ROOT, Cost, Row, compare, python

_SMALL, _LARGE = (60_000, 100), (10_000_000, 10_000)
_CLASSES, _ALPHA, _LEAST = 10, 0.3, 10
_OWN: dict[str, dict[str, Any]] = {
    "iid": {},
    "quantity": {"sigma": 1.0},
    "dirichlet": {"alpha": _ALPHA},
    "inner-dirichlet": {"alpha": _ALPHA},
    "classes": {"classes": 2},
    "shards": {"shards": 2},
}


def rows(folder: Path, pairs: int) -> Iterator[Row]:
    """Compare with flwr-datasets where it is installed, which takes its labels from memory too."""
    if importlib.util.find_spec("flwr_datasets") is None:
        return
    yield compare(
        "Dirichlet: 60,000 labels to 100 users (plain: flwr-datasets)",
        "<= 0.10",
        plain=lambda: _measure("flower", folder),
        fedsynth=lambda: _measure("dirichlet", folder),
        pairs=pairs,
        check=lambda: None,
    )


def large_rows(folder: Path) -> Iterator[Row]:
    """Time each scheme alone: 60,000 labels in 0.1 s; ten million in 5 s and 1,000 MB."""
    for scheme in _OWN:
        yield Row(f"{scheme}: 60,000 labels to 100 users", None, _measure(scheme, folder), None, "<= 0.1 s")
    for scheme in _OWN:
        cost = _measure(f"{scheme}-large", folder)
        yield Row(f"{scheme}: 10,000,000 labels to 10,000 users", None, cost, None, "<= 5 s, 1000 MB")


def _measure(action: str, folder: Path) -> Cost:
    """Run an action in a process of its own; return its seconds without start and imports, and the process's peak."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = python("-W", "ignore", "-m", "benchmarks.partition", action)
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    return Cost(json.loads(printed.splitlines()[-1])["seconds"], usage.ru_maxrss * 1024 / 1e6)


def _timed(work: Callable[[], Any]) -> float:
    gc.collect()
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _labels(number: int) -> Any:
    import numpy as np

    return np.random.RandomState(0).randint(0, _CLASSES, number)


def _time_scheme(scheme: str, size: tuple[int, int]) -> float:
    import fedsynth

    labels = _labels(size[0])
    fedsynth.partition(labels[:1000], users=10, scheme="iid")  # imports
    return _timed(
        lambda: fedsynth.partition(labels, users=size[1], scheme=scheme, min_samples=_LEAST, **_OWN[scheme])["7"]
    )


def _time_flower() -> float:
    from datasets import Dataset
    from flwr_datasets.partitioner import DirichletPartitioner

    partitioner = DirichletPartitioner(
        _SMALL[1], "label", _ALPHA, min_partition_size=_LEAST, self_balancing=False, seed=1
    )
    partitioner.dataset = Dataset.from_dict({"label": _labels(_SMALL[0]).tolist()})
    return _timed(lambda: partitioner.load_partition(7))


def _act(action: str) -> float:
    if action == "flower":
        return _time_flower()
    return _time_scheme(action.removesuffix("-large"), _LARGE if action.endswith("-large") else _SMALL)


def _main() -> None:
    print(HEADER)
    for row in (*rows(Path.cwd(), 5), *large_rows(Path.cwd())):
        print(row, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps({"seconds": _act(sys.argv[1])}))
    else:
        _main()
