"""What the process that plans needs: seconds, memory, the bytes that it sends, and how busy it keeps 64 workers.

The dataset is simulated, not written: of each shard there are only the counts, as after indexing. For ten million small
users, a job is pickled and dropped where it would go to a worker. For the cluster, it goes through `engine/cluster.py`
to a Dask scheduler in another process, with 64 workers that are threads there and whose jobs sleep for the time that
copying would take. Dask's monitors of a machine are off in that process: 64 of them would keep it busy with itself.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import subprocess
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random

from benchmarks.measure import ROOT
from fedsynth.engine import open_engine
from fedsynth.leaf.carry import CopyJob
from fedsynth.leaf.offsets import ShelvedIndex
from fedsynth.leaf.plan import StagePlan
from fedsynth.stages.remove_users import remove_users
from fedsynth.stages.sample import sample_niid
from fedsynth.stages.split import split_by_sample

_SHARDS, _USERS = 1_000, 10_000
_WORKERS, _JOBS = 64, 64 * 8
_MONITORS_OFF = {"distributed.admin.system-monitor.interval": "1h", "distributed.worker.profile.enabled": False}


@dataclass(frozen=True)
class _Kind:
    """Users of one kind. mean, sigma, most: of their numbers of samples; users: in a shard of the cluster's dataset.

    work: the processor's seconds that splitting one by sample takes a worker, measured on a file of 2,000 (20,000).
    """

    name: str
    mean: float
    sigma: float
    most: int
    users: int
    work: float

    def sizes(self, users: int) -> list[int]:
        """Return the numbers of samples of some users."""
        rng = Random(0)
        return [min(int(rng.lognormvariate(self.mean, self.sigma)) + 5, self.most) for _ in range(users)]


_USUAL = _Kind("60 dimensions", 3.0, 2.0, 1000, users=1_000, work=700e-6)
_SMALL = _Kind("5 dimensions, few samples", 1.0, 0.5, 30, users=5_000, work=20e-6)

_STAGES: dict[str, Callable[[Sequence[ShelvedIndex]], StagePlan]] = {
    "sample": lambda files: sample_niid(files, fraction=1.0, rng=Random(1)),
    "remove users": lambda files: remove_users(files, min_samples=5),
    "split": lambda files: split_by_sample(files, fraction=0.9, rng=Random(2)),
}


def lines() -> Iterator[str]:
    """Yield what each stage's plans take, and how busy 64 workers are kept."""
    yield f"plans of {_SHARDS * _USERS:,} small users in {_SHARDS:,} shards, simulated, in one process:"
    yield from _in_process("measure").splitlines()
    yield from _in_process("cluster").splitlines()


@cache
def driver_seconds() -> float:
    """Return the seconds that the plans of all stages take for a user of 60 dimensions."""
    files = _simulated(_USUAL, 5, _USERS)
    return sum(_plan(files, make)[0] for make in _STAGES.values()) / (5 * _USERS)


def _in_process(what: str) -> str:
    """Run a function of this module alone in a process, whose memory is then its own."""
    command = [sys.executable, "-c", f"from benchmarks import plans; plans.{what}()"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.rstrip()


def measure() -> None:
    """Print a line for each stage."""
    before = _resident()
    files = _simulated(_SMALL, _SHARDS, _USERS)
    held = _resident() - before
    print(f"  counts held: {held / 1e6:.0f} MB, {held / _SHARDS / _USERS:.1f} bytes a user")
    for name, make in _STAGES.items():
        seconds, sent = _plan(files, make)
        users = _SHARDS * _USERS
        print(
            f"  {name:13} {seconds:6.1f} cpu s, {seconds / users * 1e6:5.2f} us a user; sent {sent / users:5.1f} bytes "
            f"a user; resident at the end {_resident() / 1e6:.0f} MB"
        )


def cluster() -> None:
    """Print how much of the time of 64 Dask workers is work, for both kinds of users; a line without Dask."""
    if find_spec("distributed") is None:
        print("no Dask here, so no figures of 64 workers")
        return
    with _scheduler() as address:
        for kind in (_USUAL, _SMALL):
            print(_split(kind, address))


def _split(kind: _Kind, address: str) -> str:
    """Split simulated users of a kind on the cluster, and say what limits."""
    files = _simulated(kind, _JOBS, kind.users)
    sent: list[float] = []
    with open_engine(scheduler=address) as engine:
        cpu, began = time.process_time(), time.perf_counter()
        jobs = _noting(_jobs(files, _STAGES["split"](files)), sent)
        shifts = list(engine.map(_sleep, ((job, kind.work * kind.users) for job in jobs)))
        cpu, ended = time.process_time() - cpu, time.perf_counter()
    there = _WORKERS * (ended - began)
    work = sum(end - start for start, end in shifts) / there
    idle = _idle([end for _, end in shifts], sent, began) / there
    driver = cpu / _JOBS / kind.users
    return (
        f"split by sample of users of {kind.name}, {_JOBS:,} shards of {kind.users:,}, on {_WORKERS} workers that "
        f"sleep for {kind.work * 1e6:.0f} us a user instead of copying:\n"
        f"  {ended - began:.1f} s; the driver's processor {cpu:.1f} s, {driver * 1e6:.1f} us a user; of the workers' "
        f"time {work:.2f} is work, {idle:.2f} waits for plans, the rest is Dask's and the end's\n"
        f"  {'the driver limits' if driver * _WORKERS > kind.work else 'the workers limit'}; the driver can plan for "
        f"{kind.work / driver:.0f} workers"
    )


def _sleep(work: tuple[CopyJob, float], progress: Callable[[int], None]) -> tuple[float, float]:
    """Be at a job; return from when to when, by the clock that all processes of this machine share."""
    began = time.perf_counter()
    time.sleep(work[1])
    return began, time.perf_counter()


def _noting(jobs: Iterator[CopyJob], sent: list[float]) -> Iterator[CopyJob]:
    """Note when each job was planned."""
    for job in jobs:
        sent.append(time.perf_counter())
        yield job


def _idle(ends: Sequence[float], sent: Sequence[float], began: float) -> float:
    """Return the seconds of all workers for which there were too few jobs, until the last one was planned."""
    idle, jobs, at = 0.0, 0, began
    for moment, change in sorted([(moment, 1) for moment in sent] + [(moment, -1) for moment in ends]):
        if moment <= sent[-1]:
            idle += (moment - at) * max(0, _WORKERS - jobs)
            jobs, at = jobs + change, moment
    return idle


@contextlib.contextmanager
def _scheduler() -> Iterator[str]:
    """Give the address of a scheduler with 64 workers in a process of its own, which ends with this one's block."""
    command = [sys.executable, "-c", "from benchmarks import plans; plans.serve()"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def serve() -> None:
    """Be the scheduler and the workers, until standard input ends."""
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set(_MONITORS_OFF),
        LocalCluster(
            n_workers=_WORKERS,
            threads_per_worker=1,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address=None,
            memory_limit=None,
            silence_logs=logging.CRITICAL,
        ) as local,
    ):
        print(local.scheduler_address, flush=True)
        sys.stdin.read()


def _simulated(kind: _Kind, shards: int, users: int) -> list[ShelvedIndex]:
    """Return what the driver knows of the shards."""
    sizes = kind.sizes(users)
    shelf = Path("index")
    return [ShelvedIndex(Path(f"all_data_{shard}.json"), array("q", sizes), shelf) for shard in range(shards)]


def _plan(files: Sequence[ShelvedIndex], make: Callable[[Sequence[ShelvedIndex]], StagePlan]) -> tuple[float, int]:
    """Return the processor's seconds that drawing and packing all plans takes, and the bytes of all of them."""
    began = time.process_time()
    sent = sum(len(pickle.dumps(job)) for job in _jobs(files, make(files)))
    return time.process_time() - began, sent


def _jobs(files: Sequence[ShelvedIndex], plan: StagePlan) -> Iterator[CopyJob]:
    for file, sides in zip(files, plan.files, strict=True):
        yield CopyJob(file, {Path(side) / file.path: one for side, one in sides.items()}, "0" * 32)


def _resident() -> int:
    """Return this process's resident memory in bytes (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
