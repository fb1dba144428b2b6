"""`python -m benchmarks [--pairs N] [--large]`: print the table of the README; `... scale [--large]`: its other one."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import exporting, loading, partition, pipeline, scale, shifts
from benchmarks.measure import HEADER, Row


def main() -> None:
    """Measure in a temporary folder, 1 GB, with --large 8 GB."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side, in turn (5)")
    parser.add_argument("--large", action="store_true", help="also time and memory at 10,000 tasks, fedsynth alone")
    options = parser.parse_args()
    print(HEADER)
    with tempfile.TemporaryDirectory(dir=".", prefix=".benchmarks-") as folder:
        for row in _rows(Path(folder).absolute(), options):
            print(row, flush=True)


def _rows(folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    yield from pipeline.rows(folder, options.pairs)
    yield from shifts.rows(folder, options.pairs)
    yield from loading.rows(folder, options.pairs)
    yield from partition.rows(folder, options.pairs)
    yield from exporting.rows(folder, options.pairs)
    if options.large:
        yield from pipeline.large_rows(folder)
        yield from partition.large_rows(folder)


if sys.argv[1:2] == ["scale"]:
    scale.main(sys.argv[2:])
else:
    main()
