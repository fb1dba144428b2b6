"""`python -m benchmarks scale`: workers, shards and sizes, and what that projects to on a cluster.

Independent streams; each line is one run of each command in a folder of its own: seconds by the clock and of all
processors, and the largest peak of all processes. One worker and two run in turn, so that their ratio is of one run of
the machine. The projection multiplies the processors' seconds and the driver's, and prints what it assumes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import plans
from benchmarks.measure import Cost, median, python, run
from benchmarks.pipeline import check_same

_STAGES = ["-s", "niid", "--sf", "1.0", "-k", "5", "-t", "sample", "--smplseed", "1", "--spltseed", "2"]
_HEADER = (
    f"{'setting':24} workers work          seconds   cpu s  us/user  cpu us/user     MB/s  peak MB  one/two   target"
)
_CLUSTERS = ((10**6, 64), (10**6, 1024), (10**8, 64), (10**8, 1024))
_WORKS = ("generate", "preprocess", "stats")


@dataclass(frozen=True)
class Setting:
    """A dataset. targets: by command, of the ratio of one worker's seconds to two's, and of us a user with one."""

    name: str
    options: str
    targets: dict[str, str]

    @property
    def tasks(self) -> int:
        return int(self.options.split()[1])


_SMALL = "-num-dim 5 -mean-samples 1 -sigma-samples 0.5 -max-samples 30"
USUAL = Setting("10,000 x 60", "-num-tasks 10000 -num-dim 60 -num-shards 16", {})
FEW = Setting("3,000 x 40", "-num-tasks 3000 -num-dim 40 -num-shards 8", {"generate": ">= 1", "preprocess": ">= 1"})
SMALL = Setting(
    "200,000 small x 5",
    f"-num-tasks 200000 {_SMALL} -num-shards 8",
    {"generate": ">= 1.7, <= 35 us", "preprocess": ">= 1.6, <= 20 us", "stats": ">= 1.6, <= 30 us"},
)
MILLION = Setting(
    "1,000,000 small x 5",
    f"-num-tasks 1000000 {_SMALL} -num-shards 16",
    {"generate": "< 30 s", "preprocess": "< 20 s", "stats": "< 30 s", "open": "< 3 s; a user < 1 ms"},
)


def main(arguments: Sequence[str]) -> None:
    """Measure one worker against two, and the plans of ten million users; --large adds a million users on disk."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scale", description=__doc__)
    parser.add_argument("--pairs", type=int, default=3, help="runs of one worker and of two, in turn (3)")
    parser.add_argument("--large", action="store_true", help="also a million users on disk, 5 GB, and a loader")
    options = parser.parse_args(arguments)
    print(_HEADER)
    costs: dict[str, Cost] = {}
    for setting in (USUAL, FEW, SMALL):
        for work, cost, line in compare(setting, options.pairs):
            print(line, flush=True)
            costs.setdefault(f"{setting.name} {work}", cost)
    if options.large:
        for line in million():
            print(line, flush=True)
    for line in plans.lines():
        print(line, flush=True)
    generate, preprocess = (costs[f"{USUAL.name} {work}"].cpu / USUAL.tasks for work in ("generate", "preprocess"))
    print(_projection(generate, preprocess, driver=plans.driver_seconds()))


def compare(setting: Setting, pairs: int) -> Iterator[tuple[str, Cost, str]]:
    """Yield for each command and number of workers the median cost and its line; both must write the same bytes."""
    with tempfile.TemporaryDirectory(dir=".", prefix=".benchmarks-") as name:
        sides = {workers: Path(name).absolute() / str(workers) for workers in (1, 2)}
        runs = [
            {workers: _run_all(setting, folder, workers) for workers, folder in sides.items()} for _ in range(pairs)
        ]
        check_same(sides[1], sides[2])
        size = _size(sides[1] / "data/all_data")
    for work in _WORKS:
        gain = statistics.median(pair[1][work].seconds / pair[2][work].seconds for pair in runs)
        for workers in sides:
            cost = median([pair[workers][work] for pair in runs])
            yield work, cost, _line(setting, workers, work, cost, size, gain if workers == 2 else None)


def million() -> Iterator[str]:
    """Yield a line for each command on a million users, and for opening what it made."""
    with tempfile.TemporaryDirectory(dir=".", prefix=".benchmarks-") as name:
        folder = Path(name).absolute()
        costs = _run_all(MILLION, folder, 2)
        size = _size(folder / "data/all_data")
        costs["open"] = run([python("-c", _OPEN)], folder)
        yield from (_line(MILLION, 2, work, cost, size, None) for work, cost in costs.items())


_OPEN = """
import random, statistics, sys, time
from fedsynth import LeafDataset
began = time.perf_counter()
dataset = LeafDataset("data/all_data")
opened = time.perf_counter() - began
users = random.Random(1).sample(dataset.user_ids, 1000)
dataset[users[0]]
seconds = []
for user in users:
    began = time.perf_counter()
    dataset[user]
    seconds.append(time.perf_counter() - began)
middle, most = statistics.median(seconds) * 1e3, max(seconds) * 1e3
print(f"LeafDataset opened in {opened:.2f} s; a random user {middle:.3f} ms, at most {most:.3f} ms", file=sys.stderr)
"""


def _run_all(setting: Setting, folder: Path, workers: int) -> dict[str, Cost]:
    folder.mkdir(exist_ok=True)
    commands = {
        "generate": ["generate", *setting.options.split(), "-stream", "independent", "--overwrite"],
        "preprocess": ["preprocess", *_STAGES, "--overwrite"],
        "stats": ["stats"],
    }
    return {
        work: run([python("-m", "fedsynth", *command, "--workers", workers)], folder)
        for work, command in commands.items()
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.json"))


def _line(setting: Setting, workers: int, work: str, cost: Cost, size: int, gain: float | None) -> str:
    each, speed = 1e6 / setting.tasks, size / cost.seconds / 1e6
    return (
        f"{setting.name:24} {workers:7} {work:11} {cost.seconds:9.2f} {cost.cpu:7.2f} {cost.seconds * each:8.1f} "
        f"{cost.cpu * each:12.1f} {speed:8.0f} {cost.peak:8.0f} {'' if gain is None else f'{gain:.2f}':>8}   "
        f"{setting.targets.get(work, '')}"
    )


def _projection(generate: float, preprocess: float, *, driver: float) -> str:
    """Say how long both take on a cluster, from the seconds per user of a core, and of the process that plans."""
    generating, copying, planning = (f"{seconds * 1e6:.1f} us" for seconds in (generate, preprocess, driver))
    lines = [
        f"projection from {generating} of one core per user to generate, {copying} to preprocess (60 dimensions,",
        f"108 samples, 130 kB each) and {planning} to plan that: all users sampled, small ones removed, the others",
        "split by sample. It assumes that one process makes all plans while the workers copy, and has nothing to do",
        "for generate; that the shared file system takes what is written; that Dask costs nothing; and that shards",
        "are many times the workers:",
    ]
    for users, cores in _CLUSTERS:
        of_workers, of_driver = users * preprocess / cores, users * driver
        seconds = users * generate / cores + max(of_workers, of_driver)
        limit = "workers" if of_workers >= of_driver else "plans"
        written = users * 130e3 * 4 / seconds / 1e9
        lines.append(
            f"  {users:.0e} users on {cores:5} cores: {seconds:8.0f} s, {limit} limit preprocess, writing "
            f"{written:6.1f} GB/s"
        )
    lines.append(f"plans limit preprocess from {preprocess / driver:.0f} cores on")
    return "\n".join(lines)
