"""What the process that plans needs for ten million users: seconds, memory, and the bytes that it sends away.

The dataset is simulated, not written: of each of 1,000 shards there are only the counts, as after indexing. A job is
pickled and dropped where it would go to a worker. For a cluster stand 64 threads of this process, fed as Dask's workers
are: each reads the job that it is sent and then waits, half a millisecond for each user, as those of 60 dimensions
take. What is left of their time is the driver's.
"""

from __future__ import annotations

import contextlib
import pickle
import subprocess
import sys
import time
from array import array
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from benchmarks.measure import ROOT
from fedsynth.engine import Engine, Progress, Told, no_progress
from fedsynth.leaf.carry import CopyJob
from fedsynth.leaf.offsets import ShelvedIndex
from fedsynth.leaf.plan import StagePlan
from fedsynth.stages.remove_users import remove_users
from fedsynth.stages.sample import sample_niid
from fedsynth.stages.split import split_by_sample

_SHARDS, _USERS = 1_000, 10_000
_WORKERS, _JOBS, _JOB_SECONDS = 64, 512, 5.0

_STAGES: dict[str, Callable[[Sequence[ShelvedIndex]], StagePlan]] = {
    "sample": lambda files: sample_niid(files, fraction=1.0, rng=Random(1)),
    "remove users": lambda files: remove_users(files, min_samples=5),
    "split": lambda files: split_by_sample(files, fraction=0.9, rng=Random(2)),
}


def lines() -> Iterator[str]:
    """Yield what each stage's plans take, and how busy 64 workers are kept."""
    yield f"plans of {_SHARDS * _USERS:,} users in {_SHARDS:,} shards, simulated, in one process:"
    yield from _in_process("measure").splitlines()
    yield from _in_process("cluster").splitlines()


@cache
def driver_seconds() -> float:
    """Return the seconds per user that the plans of all stages take."""
    files = _simulated(20)
    return sum(_plan(files, make)[0] for make in _STAGES.values()) / (20 * _USERS)


def _in_process(what: str) -> str:
    """Run a function of this module alone in a process, whose memory is then its own."""
    command = [sys.executable, "-c", f"from benchmarks import plans; plans.{what}()"]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.rstrip()


def measure() -> None:
    """Print a line for each stage."""
    before = _resident()
    files = _simulated(_SHARDS)
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
    """Print how much of the time of 64 workers is work."""
    files = _simulated(_JOBS)
    engine = Engine(_WORKERS, local=False, pool=_Threads())
    began = time.perf_counter()
    for _ in engine.map(_wait, _jobs(files, _STAGES["split"](files))):
        pass
    seconds = time.perf_counter() - began
    ideal = _JOBS * _JOB_SECONDS / _WORKERS
    print(
        f"split on {_WORKERS} simulated workers, {_JOBS:,} shards of {_USERS:,} users, {_JOB_SECONDS:g} s of work "
        f"each: {seconds:.1f} s, {ideal / seconds:.2f} of the workers' time is work"
    )


class _Threads:
    """Workers who are sent their jobs as bytes, at most two each at a time, as `Cluster` does."""

    @contextlib.contextmanager
    def map(
        self, function: Callable[[Any, Progress], Any], jobs: Iterator[Any], known: int, told: Told
    ) -> Iterator[Iterator[Any]]:
        with ThreadPoolExecutor(_WORKERS) as pool:
            yield self._results(pool, function, jobs)

    def _results(
        self, pool: ThreadPoolExecutor, function: Callable[[Any, Progress], Any], jobs: Iterator[Any]
    ) -> Iterator[Any]:
        waiting: deque[Future[Any]] = deque()
        for job in jobs:
            message = pickle.dumps(job)
            waiting.append(pool.submit(lambda message: function(pickle.loads(message), no_progress), message))
            if len(waiting) > 2 * _WORKERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _wait(job: CopyJob, progress: Callable[[int], None]) -> int:
    time.sleep(_JOB_SECONDS)
    return job.users


def _simulated(shards: int) -> list[ShelvedIndex]:
    """Return what the driver knows of the shards: 1 to 30 samples a user, as in the small setting."""
    rng = Random(0)
    sizes = [min(int(rng.lognormvariate(1, 0.5)) + 5, 30) for _ in range(_USERS)]
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
