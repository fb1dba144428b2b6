"""Where work on many files runs: in this process, in local processes, or on the workers of a Dask cluster.

A job is a small description, paths and plans; samples never travel. Jobs may run twice (a cluster starts those of a
lost worker again), so each must give the same however often it is run.
"""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from fedsynth.errors import DataError, UsageError, named
from fedsynth.system import MOST_PROCESSES

Job = TypeVar("Job")
Result = TypeVar("Result")

Progress = Callable[[int], None]
"""Called with the number of users just processed."""


class Pool(Protocol):
    """What runs jobs elsewhere: `ProcessPool` or `Cluster`."""

    def map(
        self, function: Callable[[Any, Progress], Any], jobs: Iterator[Any], known: int, told: Told
    ) -> contextlib.AbstractContextManager[Iterator[Any]]:
        """Give an iterator over the jobs' results, in order; when it is left no process is at work any more.

        known: how many jobs there are at least; a pool that runs several at a time prepares for as many.
        """
        ...


@runtime_checkable
class LocalPool(Pool, Protocol):
    """One on this machine, whose processes are near enough for what is short: `ProcessPool`."""

    def prepare(self, function: Callable[[Any, Progress], Any], known: int) -> None:
        """Start the processes that so many jobs are worth."""
        ...

    def begin(self, function: Callable[[Any, Progress], Any], job: Any) -> Callable[[], Any]:
        """Begin a job in a process that is idle, and return what waits for its result, or else runs it here."""
        ...


@dataclass(frozen=True)
class Told:
    """What to call with the work done. progress: by a job that runs in this process; done: of one run elsewhere."""

    progress: Progress
    done: Callable[[Any], None]


def no_progress(users: int) -> None:
    """Ignore the progress."""


def check_shared(paths: Iterable[Path]) -> None:
    """Raise DataError if this machine does not see what the one that plans the work does."""
    for path in paths:
        if not path.exists():
            raise DataError(
                f"{path}: not there on {platform.node()}; all workers must see the data folder under the same path: "
                "put it on a shared file system"
            )


def _none(job: Any) -> int:
    return 0


@dataclass(frozen=True)
class Engine:
    """Where jobs run, and how many at the same time; make it with `open_engine`.

    inline: all in this very process; local: on this machine, from the same working folder.
    """

    workers: int
    inline: bool = False
    local: bool = True
    pool: Pool | None = None

    def map(
        self,
        function: Callable[[Job, Progress], Result],
        jobs: Iterable[Job],
        *,
        progress: Progress = no_progress,
        users: Callable[[Job], int] = _none,
    ) -> Iterator[Result]:
        """Yield the results in the order of the jobs; only a few jobs per worker are taken and held at a time.

        A single job runs in this process, and so does every other one that local processes are too few for, or not yet
        there for. progress: told the number of users processed, by the job itself where it runs in this process,
        elsewhere when a job ends, from `users` of the job. When one fails, or the caller stops, no other is started,
        and local processes at work are stopped: after the last item none of them is writing any more. Raises what the
        job raised, and EngineError if a worker died, can't be started, or the cluster is gone.
        """
        following = iter(jobs)
        first = list(islice(following, self.workers))
        following = chain(first, following)
        if self.pool is None or (self.local and len(first) == 1):
            for job in following:
                yield function(job, progress)
            return
        told = Told(progress, lambda job: progress(users(job)))
        with self.pool.map(function, following, len(first), told) as results:
            yield from results

    def prepare(self, function: Callable[[Any, Progress], Any], jobs: int) -> None:
        """Start local processes for jobs of this function that are to come, and are long enough to be worth it.

        Without this they are started when the first job has been under way for a moment.
        """
        if isinstance(self.pool, LocalPool):
            self.pool.prepare(function, jobs)

    def begin(self, function: Callable[[Job, Progress], Result], job: Job) -> Callable[[], Result]:
        """Begin a short job in a local process that is idle, while this one goes on; return what waits for its result.

        Where none is, the job runs here, when it is asked for. Raises then what the job raises, and EngineError if its
        process died.
        """
        pool = self.pool
        return pool.begin(function, job) if isinstance(pool, LocalPool) else partial(function, job, no_progress)


INLINE = Engine(workers=1, inline=True)


@contextlib.contextmanager
def open_engine(workers: int = 1, scheduler: str | None = None) -> Iterator[Engine]:
    """Open the engine that is asked for, and close its processes or connection at the end.

    workers: the most local processes to use, this one among them; the others start when there are jobs for them, and
    the work turns out to be longer than their start. The bound, 1,024 (Windows: 61), is far above what one machine's
    processors and memory feed.
    scheduler: the address of a Dask scheduler, whose workers must share this machine's file system. Raises UsageError
    if both are given or workers is out of bounds, EngineError if the scheduler does not answer within 10 seconds.
    """
    if not 1 <= workers <= MOST_PROCESSES:
        raise UsageError(f"{named('workers')} is {workers}, expected 1 to {MOST_PROCESSES}: processes on this machine")
    if scheduler is not None and workers != 1:
        raise UsageError(
            f"{named('workers')} is {workers} beside a {named('scheduler')}: the cluster has its own; leave one out"
        )
    if scheduler is not None:
        from fedsynth.engine.cluster import open_cluster

        with open_cluster(scheduler) as cluster:
            yield Engine(cluster.threads, local=False, pool=cluster)
    elif workers == 1:
        yield INLINE
    else:
        from fedsynth.engine.processes import ProcessPool  # 20 ms and 3 MB that one worker does without

        with contextlib.closing(ProcessPool(workers)) as pool:
            yield Engine(workers, pool=pool)
