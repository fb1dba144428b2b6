"""Loading into arrays, cohorts, and the Dirichlet partition: inside a process, without its start and imports.

    python -m benchmarks.loading ACTION    run one of the actions below in ./data and print what it took as JSON

The plain way to load is LEAF's: json, then np.array; the counterpart of cohorts and of the partition is pfl-research
(`pip install 'pfl==0.6.*'`), without which only fedsynth's side of them is measured.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.util
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Cost, Row, compare, python, run

_USERS = 1000
_LABELS, _CLASSES, _LENGTH, _ALPHA = 500_000, 10, 50, 0.1
_COHORT = 50
_SUBSETS = ("train", "test")
_CHAIN = "preprocess -s niid --sf 1.0 -k 5 -t sample --tf 0.6 --smplseed 1 --spltseed 2"


@dataclass(frozen=True)
class _Comparison:
    work: str
    target: str
    plain: str
    fedsynth: str


_COMPARISONS = (
    _Comparison("load train and test into arrays", "<= 0.30", "load-plain", "load"),
    _Comparison("load train and test into arrays, disk cache", "<= 0.02", "load-plain", "load-cached"),
    _Comparison("1,000 random users after opening (plain: mean of loading)", "<= 0.20", "users-plain", "users"),
    _Comparison("1,000 random users after opening, disk cache", "<= 0.01", "users-plain", "users-cached"),
    _Comparison("1,000 PyTorch users in cohorts of 50 (plain: pfl)", "<= 1", "cohorts-pfl-0", "cohorts-0"),
    _Comparison("the same by 2 processes that have started (plain: pfl)", "<= 1.2", "cohorts-pfl-2", "cohorts-2"),
    _Comparison("Dirichlet partition of 500,000 labels (plain: pfl)", "<= 0.03", "partition-pfl", "partition"),
)


def rows(folder: Path, pairs: int) -> Iterator[Row]:
    """Generate and split 1,000 tasks, then compare both ways, in processes that take turns."""
    work = folder / "loading"
    work.mkdir()
    run([python("-m", "fedsynth", "generate", "-num-tasks", 1000), python("-m", "fedsynth", *_CHAIN.split())], work)
    _measure("load-cached", work, {})  # makes the cache
    for comparison in _COMPARISONS:
        yield _compare(comparison, work, pairs)


def _compare(comparison: _Comparison, folder: Path, pairs: int) -> Row:
    results: dict[str, Any] = {}
    if "pfl" in comparison.plain and importlib.util.find_spec("pfl") is None:
        return Row(comparison.work, None, _measure(comparison.fedsynth, folder, results), None, comparison.target)

    def check() -> None:
        if results[comparison.plain] != results[comparison.fedsynth]:
            raise RuntimeError(f"{comparison.work}: {results}, expected the same from both")

    return compare(
        comparison.work,
        comparison.target,
        plain=lambda: _measure(comparison.plain, folder, results),
        fedsynth=lambda: _measure(comparison.fedsynth, folder, results),
        pairs=pairs,
        check=check,
    )


def _measure(action: str, folder: Path, results: dict[str, Any]) -> Cost:
    """Run an action in a process of its own; note its result, and return its seconds and the process's peak."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = python("-W", "ignore", "-m", "benchmarks.loading", action)
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
    measured = json.loads(printed.splitlines()[-1])
    results[action] = measured["result"]
    return Cost(measured["seconds"], usage.ru_maxrss * 1024 / 1e6)


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    gc.collect()
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _load_plain(*subsets: str) -> dict[str, Any]:
    import numpy as np

    arrays = {}
    for subset in subsets or _SUBSETS:
        for path in sorted(Path("data", subset).glob("*.json")):
            with path.open() as file:
                data = json.load(file)
            for user in data["users"]:
                samples = data["user_data"][user]
                arrays[f"{subset} {user}"] = np.array(samples["x"]), np.array(samples["y"])
    return arrays


def _load(cache: bool) -> dict[str, Any]:
    from fedsynth.federated import LeafDataset

    arrays = {}
    for subset in _SUBSETS:
        dataset = LeafDataset(Path("data", subset), cache=cache)
        for user in dataset:
            arrays[f"{subset} {user}"] = _touched(dataset[user].raw_data)
    return arrays


def _touched(arrays: Any) -> Any:
    """Read all of a user's arrays: until then, a mapped one is still on the disk."""
    for array in arrays:
        array.sum()
    return arrays


def _time_load(load: Callable[[], dict[str, Any]]) -> tuple[float, str]:
    import fedsynth.federated  # noqa: F401 - not part of the time

    seconds, arrays = _timed(load)
    return seconds, _digest(arrays)


def _time_users_plain() -> tuple[float, str]:
    """Return the time of loading data/train for as many users, and the digest of those that `users` loads."""
    seconds, arrays = _timed(lambda: _load_plain("train"))
    users = _random_users([name.removeprefix("train ") for name in arrays])
    return seconds / len(arrays) * _USERS, _digest({user: arrays[f"train {user}"] for user in users})


def _time_users(cache: bool) -> tuple[float, str]:
    from fedsynth.federated import LeafDataset

    dataset = LeafDataset("data/train", cache=cache)
    users = _random_users(dataset.user_ids)
    dataset[users[0]]  # finds the offsets, or opens the cache
    seconds, arrays = _timed(lambda: {user: _touched(dataset[user].raw_data) for user in users})
    return seconds, _digest(arrays)


def _random_users(users: list[str]) -> list[str]:
    return random.Random(0).choices(users, k=_USERS)


def _digest(arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256()
    for name, (x, y) in arrays.items():
        digest.update(f"{name} {x.shape} {x.dtype} {y.dtype}".encode() + x.tobytes() + y.tobytes())
    return digest.hexdigest()


def _time_partition(partition: Callable[..., list[list[int]]]) -> tuple[float, list[int]]:
    """Return the time, and what is the same of any partition: users, samples, samples counted once."""
    import numpy as np

    np.random.seed(0)
    labels = np.random.randint(0, _CLASSES, _LABELS)
    seconds, users = _timed(lambda: partition(labels, _ALPHA, lambda: _LENGTH))
    flat = [index for user in users for index in user]
    return seconds, [len(users), len(flat), len(set(flat))]


def _partition_pfl() -> tuple[float, list[int]]:
    import pfl.data.partition as reference

    return _time_partition(reference.partition_by_dirichlet_class_distribution)


def _partition() -> tuple[float, list[int]]:
    from fedsynth.federated import partition_by_dirichlet_class_distribution

    return _time_partition(partition_by_dirichlet_class_distribution)


class _TorchUsers:
    """Users of 1 to 100 samples of 60 features, for a DataLoader."""

    def __getitem__(self, user: int) -> Any:
        import torch

        size = user % 100 + 1
        return torch.full((size, 60), float(user)), torch.arange(size)


def _time_cohorts(data: Any, num_workers: int) -> tuple[float, float]:
    """Return the time of 20 cohorts after a first one, which starts the processes, and a sum of what was loaded."""
    sampler = data.sampling.MinimizeReuseUserSampler(range(_USERS))
    users = data.pytorch.PyTorchFederatedDataset(_TorchUsers(), sampler, num_workers=num_workers)

    def load(count: int) -> float:
        cohorts = (users.get_cohort(_COHORT) for _ in range(0, count, _COHORT))
        return sum(float(tensor.sum()) for cohort in cohorts for user, _ in cohort for tensor in user.raw_data)

    load(_COHORT)
    return _timed(lambda: load(_USERS))


def _cohorts_pfl(num_workers: int) -> tuple[float, float]:
    import pfl.data.pytorch
    import pfl.model.pytorch

    return _time_cohorts(pfl.data, num_workers)


def _cohorts(num_workers: int) -> tuple[float, float]:
    import fedsynth.federated

    return _time_cohorts(fedsynth.federated, num_workers)


_ACTIONS: dict[str, Callable[[], tuple[float, Any]]] = {
    "load-plain": lambda: _time_load(_load_plain),
    "load": lambda: _time_load(lambda: _load(cache=False)),
    "load-cached": lambda: _time_load(lambda: _load(cache=True)),
    "users-plain": _time_users_plain,
    "users": lambda: _time_users(cache=False),
    "users-cached": lambda: _time_users(cache=True),
    "cohorts-pfl-0": lambda: _cohorts_pfl(0),
    "cohorts-0": lambda: _cohorts(0),
    "cohorts-pfl-2": lambda: _cohorts_pfl(2),
    "cohorts-2": lambda: _cohorts(2),
    "partition-pfl": _partition_pfl,
    "partition": _partition,
}


if __name__ == "__main__":
    _seconds, _result = _ACTIONS[sys.argv[1]]()
    print(json.dumps({"seconds": _seconds, "result": _result}))
