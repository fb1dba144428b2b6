"""`python -m benchmarks scale`: workers, shards and sizes, and what that projects to on a cluster.

Independent streams, 16 shards; each line is one run of each command in a folder of its own, CPU seconds of all
processes, largest peak of all. The projection multiplies the measured CPU seconds, and prints what it assumes.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import Cost, python, run

_SHARDS = 16
_STAGES = ["-s", "niid", "--sf", "1.0", "-k", "5", "-t", "sample", "--smplseed", "1", "--spltseed", "2"]
_HEADER = "   tasks  dim  workers work           seconds  CPU s   users/s     MB/s  us/user  peak MB"
_CLUSTERS = ((10**6, 64), (10**6, 1024), (10**8, 64), (10**8, 1024))


def main(arguments: Sequence[str]) -> None:
    """Measure at 1,000 and 10,000 tasks with one worker and two; --large adds 100,000 tasks of 20 dimensions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--large", action="store_true", help="also 100,000 tasks of 20 dimensions, 5 GB, and a loader")
    options = parser.parse_args(arguments)
    print(_HEADER)
    costs = {}
    for tasks, dim in [(1_000, 60), (10_000, 60), *([(100_000, 20)] if options.large else [])]:
        for workers in (1, 2):
            for work, cost, size in measure(tasks, dim, workers):
                costs[tasks, workers, work] = cost
                print(_line(tasks, dim, workers, work, cost, size), flush=True)
    for work in ("generate", "preprocess", "stats"):
        one, two = (costs[10_000, workers, work] for workers in (1, 2))
        ratio = one.seconds / two.seconds
        print(
            f"{work}, 10,000 tasks: {ratio:.2f} times as fast with two workers, efficiency {ratio / 2:.2f}; "
            f"one worker keeps {one.cpu / one.seconds:.2f} cores busy, as it hashes and writes in threads"
        )
    print(_projection(sum(costs[10_000, 1, work].cpu for work in ("generate", "preprocess")) / 10_000))


def measure(tasks: int, dim: int, workers: int) -> Iterator[tuple[str, Cost, int]]:
    """Yield each command's name, cost, and bytes of the data that it made or read."""
    with tempfile.TemporaryDirectory(dir=".", prefix=".benchmarks-") as name:
        folder = Path(name).absolute()
        source = f"-num-tasks {tasks} -num-dim {dim} -num-shards {_SHARDS} -stream independent"
        for work, command in {
            "generate": ["generate", *source.split()],
            "preprocess": ["preprocess", *_STAGES],
            "stats": ["stats"],
        }.items():
            cost = run([python("-m", "fedsynth", *command, "--workers", workers)], folder)
            yield work, cost, _size(folder / "data/all_data")
        if tasks == 100_000 and workers == 1:
            shutil.rmtree(folder / "data/sampled_data")
            yield "load", run([python("-c", _LOAD)], folder), _size(folder / "data/train")


_LOAD = """
from fedsynth import LeafDataset
dataset = LeafDataset("data/train")
print(sum(len(dataset[user]) for user in dataset.user_ids))
"""


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.json"))


def _line(tasks: int, dim: int, workers: int, work: str, cost: Cost, size: int) -> str:
    rate, speed = tasks / cost.seconds, size / cost.seconds / 1e6
    return (
        f"{tasks:8} {dim:4} {workers:8} {work:12} {cost.seconds:9.2f} {cost.cpu:6.1f} {rate:9.0f} {speed:8.0f} "
        f"{1e6 / rate:8.0f} {cost.peak:8.0f}"
    )


def _projection(core_seconds: float) -> str:
    """Say how long generate and preprocess would take, from the CPU seconds per user."""
    lines = [
        f"projection from {core_seconds * 1e6:.0f} us of one core per user (60 dimensions, 108 samples, 130 kB each);",
        "it assumes that the shared file system takes what the workers write, that shards are many times the workers,",
        "and that the plans, which one process makes in order, cost nothing:",
    ]
    for users, cores in _CLUSTERS:
        seconds = users * core_seconds / cores
        written = users * 130e3 * 4 / seconds / 1e9
        lines.append(f"  {users:.0e} users on {cores:5} cores: {seconds:8.0f} s, writing {written:6.1f} GB/s")
    return "\n".join(lines)
