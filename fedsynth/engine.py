"""Where work on many files runs: in this process, in local processes, or on the workers of a Dask cluster.

All three are the standard library's `concurrent.futures.Executor`, so nothing else knows which one it is. A job is a
small description, paths and plans; samples never travel. Jobs may run twice (a cluster starts a lost worker's jobs
again), so each must give the same however often it is run.
"""

from __future__ import annotations

import contextlib
import os
import platform
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fedsynth.errors import DataError, EngineError, UsageError
from fedsynth.system import interrupts_held, release_interrupts

Job = TypeVar("Job")
Result = TypeVar("Result")

Progress = Callable[[int], None]
"""Called with a number of users just dealt with."""

_QUEUED_PER_WORKER = 2
_CONNECT_SECONDS = 8


class InlineExecutor(Executor):
    """Runs each job at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run the job; an error is kept in the future, Ctrl-C goes through."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def no_progress(users: int) -> None:
    """Report to nobody."""


def check_shared(paths: Iterable[Path]) -> None:
    """Raise DataError if this machine does not see what the one that plans the work does."""
    for path in paths:
        if not path.exists():
            raise DataError(
                f"{path}: not there on {platform.node()}; all workers must see the data folder under the same path: "
                "put it on a shared file system"
            )


_interrupts: list[int] = []
"""What a worker process got of Ctrl-C, which goes to the whole process group."""


def _go_on(users: int) -> None:
    """Be the progress of a job in a worker; after Ctrl-C leave the job: the main process says what there is to say."""
    if _interrupts:
        raise KeyboardInterrupt


def _work(function: Callable[[Job, Progress], Result], job: Job) -> Result:
    """Run a job in a worker."""
    _go_on(0)
    return function(job, _go_on)


def _none(job: Any) -> int:
    return 0


@dataclass(frozen=True)
class Engine:
    """An executor and the number of jobs that it runs at the same time.

    inline: in this very process; local: on this machine, from the same working folder.
    """

    executor: Executor
    workers: int
    inline: bool = False
    local: bool = True

    def map(
        self,
        function: Callable[[Job, Progress], Result],
        jobs: Iterable[Job],
        *,
        progress: Progress = no_progress,
        users: Callable[[Job], int] = _none,
    ) -> Iterator[Result]:
        """Yield the results in the order of the jobs; only a few jobs per worker are taken and held at a time.

        progress: told the number of users dealt with, by the job itself where it runs in this process, elsewhere when
        a job ends, from `users` of the job. When one fails, or the caller stops, no other is started and those that
        run are waited for: after the last item nobody is writing any more. Raises what the job raised, and EngineError
        if a worker died.
        """
        waiting: deque[tuple[Job, Future[Result]]] = deque()
        ahead = 0 if self.inline else self.workers * _QUEUED_PER_WORKER
        try:
            for job in jobs:
                if self.inline:
                    waiting.append((job, self.executor.submit(function, job, progress)))
                else:
                    with interrupts_held():  # no job, and no process that the first one starts, is to get lost
                        waiting.append((job, self.executor.submit(_work, function, job)))
                if len(waiting) > ahead:
                    yield self._take(waiting, progress, users)
            while waiting:
                yield self._take(waiting, progress, users)
        except BrokenExecutor as error:
            wait([future for _, future in waiting])  # all fail; one cancelled meanwhile breaks the executor's thread
            raise EngineError(
                "a worker process died (killed, or out of memory); nothing of the stage was kept: "
                "run the same command again, with fewer --workers if memory is short"
            ) from error
        finally:
            for _, future in waiting:
                future.cancel()
            wait([future for _, future in waiting if not future.cancelled()])

    def _take(
        self, waiting: deque[tuple[Job, Future[Result]]], progress: Progress, users: Callable[[Job], int]
    ) -> Result:
        job, future = waiting[0]
        result = future.result()  # while it is waited for it stays in the queue, to be cancelled with the others
        waiting.popleft()
        if not self.inline:
            progress(users(job))
        return result


INLINE = Engine(InlineExecutor(), workers=1, inline=True)


@contextlib.contextmanager
def open_engine(workers: int = 1, scheduler: str | None = None) -> Iterator[Engine]:
    """Start what is asked for and stop it at the end. workers: local processes; 1 is this one.

    scheduler: the address of a Dask scheduler, whose workers must share this machine's file system. Raises UsageError
    if both are given or workers < 1, EngineError if the scheduler does not answer within 10 seconds.
    """
    if workers < 1:
        raise UsageError(f"--workers is {workers}, expected at least 1")
    if scheduler is not None and workers != 1:
        raise UsageError(f"--workers {workers} with --scheduler: the cluster has workers of its own; leave one out")
    if scheduler is not None:
        with _dask(scheduler) as engine:
            yield engine
    elif workers == 1:
        yield INLINE
    else:
        with _processes(workers) as engine:
            yield engine


@contextlib.contextmanager
def _processes(workers: int) -> Iterator[Engine]:
    import multiprocessing  # 20 ms and 3 MB that one worker does without
    from concurrent.futures import ProcessPoolExecutor

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_serve) as executor:
        # All are to start before the first job. Otherwise, should one die while another is being started, the executor
        # waits for the other for ever (seen on 3.11); the attribute is not public, and without it this still works.
        vars(executor)["_safe_to_dynamically_spawn_children"] = False
        try:
            yield Engine(executor, workers)
        except BaseException:
            executor.shutdown(cancel_futures=True)
            raise


def _serve() -> None:
    """Prepare a worker: on Ctrl-C it says nothing and goes on until its job can be left; it ends with its parent."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    release_interrupts(lambda number, frame: _interrupts.append(number))


def _end_with_parent() -> None:
    import multiprocessing

    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _dask(address: str) -> Iterator[Engine]:
    try:
        from distributed import Client
    except ImportError as error:
        raise EngineError("--scheduler needs Dask, which is not installed: pip install 'fedsynth[dask]'") from error
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise EngineError(
            f"{address}: no Dask scheduler answers ({error}); start one with `dask scheduler`, or check the address"
        ) from error
    with client:
        workers = sum(client.nthreads().values())
        if not workers:
            raise EngineError(f"{address}: the scheduler has no workers; start some with `dask worker {address}`")
        with client.get_executor(pure=False) as executor:
            yield Engine(executor, workers, local=False)
