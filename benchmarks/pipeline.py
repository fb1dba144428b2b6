"""The main job: generate, preprocess, stats."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Cost, Row, compare, python, run
from fedsynth.records.layout import STAGE_FOLDERS

_SEEDS = ("--smplseed", "1", "--spltseed", "2")
_CHAINS = {
    "preprocess -s niid --sf 1.0 -k 5 -t sample --tf 0.6": "<= 0.04, 80 MB",
    "preprocess -s niid --sf 0.5 -k 5 -t sample --tf 0.9": "<= 0.06",
    "preprocess -s niid --sf 1.0 -k 5 -t user --tf 0.8": "<= 0.06",
    "preprocess -s iid --iu 0.1 --sf 0.5 -k 5 -t sample --tf 0.9": "<= 0.06",
}
"""Targets by fedsynth's arguments."""
_STATS = {"stats --no-measures": "<= 0.15, 80 MB", "stats --no-features": "<= 0.7 s", "stats": "<= 0.7 s"}
"""LEAF's lines and histogram alone, with the measures of sizes and labels, with all measures and pictures.

The target of the last two is a quarter of what LEAF's own program takes for its lines, 2.8 s: the plain way is faster.
"""


def rows(folder: Path, pairs: int) -> Iterator[Row]:
    """Measure each piece of work on 1,000 tasks against the plain way, in two folders side by side."""
    plain, mine = folder / "plain", folder / "fedsynth"
    for side in (plain, mine):
        side.mkdir()

    def run_fresh(side: Path, *command: object) -> Cost:
        shutil.rmtree(side / "data", ignore_errors=True)
        return run([python("-m", *command)], side)

    yield compare(
        "generate -num-tasks 1000",
        "<= 0.10, 48 MB",
        plain=lambda: run_fresh(plain, "benchmarks.plain", "generate", 1000),
        fedsynth=lambda: run_fresh(mine, "fedsynth", "generate", "-num-tasks", 1000),
        pairs=pairs,
        check=lambda: check_same(plain, mine),
    )
    for arguments, target in _CHAINS.items():
        yield _compare_chain(arguments, target, plain, mine, pairs)
    for arguments, target in _STATS.items():
        yield _compare_stats(arguments, target, plain, mine, pairs)


def large_rows(folder: Path) -> Iterator[Row]:
    """Measure fedsynth alone at ten times the size: time and memory."""
    mine = folder / "large"
    mine.mkdir()
    chain = next(iter(_CHAINS)).split()
    for work, command in {
        "generate -num-tasks 10000": ["generate", "-num-tasks", "10000"],
        f"{' '.join(chain)}, 10000 tasks": [*chain, *_SEEDS],
        "stats, 10000 tasks": ["stats"],
        "stats --no-measures, 10000 tasks": ["stats", "--no-measures"],
    }.items():
        yield Row(work, None, run([python("-m", "fedsynth", *command)], mine), None, "memory as at 1000")


def _compare_stats(arguments: str, target: str, plain: Path, mine: Path, pairs: int) -> Row:
    """The plain way is LEAF's lines, which is all that LEAF has."""
    return compare(
        arguments,
        target,
        plain=lambda: run([python("-m", "benchmarks.plain", "stats")], plain),
        fedsynth=lambda: run([python("-m", "fedsynth", *arguments.split())], mine),
        pairs=pairs,
        check=lambda: None,
    )


def _compare_chain(arguments: str, target: str, plain: Path, mine: Path, pairs: int) -> Row:
    words = arguments.split()
    options = dict(zip(words[1::2], words[2::2], strict=True))
    more = [options["--iu"]] if "--iu" in options else []
    baseline = [
        python("-m", "benchmarks.plain", "sample", options["-s"], options["--sf"], 1, *more),
        python("-m", "benchmarks.plain", "remove", options["-k"]),
        python("-m", "benchmarks.plain", "split", options["-t"], options["--tf"], 2),
        ["sh", "-c", "find data -name '*.json' -type f -exec md5sum {} + | sort -k 2 > dir-checksum.md5"],
    ]

    def run_plain() -> Cost:
        _clear(plain)
        return run(baseline, plain)

    def run_mine() -> Cost:
        _clear(mine)
        return run([python("-m", "fedsynth", *arguments.split(), *_SEEDS)], mine)

    return compare(
        arguments, target, plain=run_plain, fedsynth=run_mine, pairs=pairs, check=lambda: check_same(plain, mine)
    )


def check_same(plain: Path, mine: Path) -> None:
    """Raise RuntimeError unless both sides' data folders hold the same files with the same bytes."""
    sums = [_sums(side) for side in (plain, mine)]
    if sums[0] != sums[1]:
        raise RuntimeError(f"different files: plain wrote {sums[0]}, fedsynth {sums[1]}")


def _sums(side: Path) -> dict[str, str]:
    from fedsynth.records.stamp import stamp_file

    files = sorted((side / "data").glob("[!.]*/*.json"))
    return {str(path.relative_to(side)): stamp_file(path).md5 for path in files}


def _clear(side: Path) -> None:
    for name in STAGE_FOLDERS:
        shutil.rmtree(side / "data" / name, ignore_errors=True)
