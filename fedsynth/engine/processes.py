"""Local processes that carry out jobs, this one among them, without a thread in this one.

This process works like the others, and looks after them whenever its own job reports progress: so the first jobs are
under way while the others start, and where the work is shorter than a start no other is started.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from fedsynth.engine import Told, no_progress
from fedsynth.errors import EngineError

if TYPE_CHECKING:
    from fedsynth.engine.worker import Worker

Jobs = Iterator[Any]
Function = Callable[[Any, Callable[[int], None]], Any]

_HELD_PER_WORKER = 2
_START_SECONDS = 0.05
"""Seconds that this process works alone before others are started, which takes each some times as long."""
_LOOK_SECONDS = 0.005
"""How often this process looks after the others while it is at a job of its own."""


class _Task:
    """A job, and what came of it once it is done: its result, or the error that it raised."""

    def __init__(self, job: Any, told: Told) -> None:
        self.job = job
        self.done = False
        self._told = told
        self._succeeded = False
        self._value: Any = None

    def run(self, work: _Work, look: Callable[[int], None]) -> None:
        """Do the job in this process, and look after the others on the way."""

        def progress(users: int) -> None:
            self._told.progress(users)
            look(users)

        try:
            self._value = work.function(self.job, progress)
            self._succeeded = True
        except EngineError:  # of the others
            raise
        except Exception as error:
            self._value = error
        self.done = True

    def finish(self, succeeded: bool, value: Any) -> None:
        """Take what came of the job elsewhere."""
        self.done, self._succeeded, self._value = True, succeeded, value
        if succeeded:
            self._told.done(self.job)

    def result(self) -> Any:
        if not self._succeeded:
            raise self._value
        return self._value


class ProcessPool:
    """At most `workers` processes, this one among them; the others are kept for the next jobs until `close`."""

    def __init__(self, workers: int) -> None:
        self._most = workers
        self._workers: list[Worker] = []
        self._alone = 0.0
        self._looked = 0.0

    @contextlib.contextmanager
    def map(self, function: Function, jobs: Jobs, known: int, told: Told) -> Iterator[Iterator[Any]]:
        """Give an iterator over the jobs' results, in order; at most two jobs per process are held at a time.

        Raises what a job raised, and EngineError if a process dies or can't be started. When the block is left early,
        the processes that are still at work are killed, so that none writes any more.
        """
        work = _Work(function, jobs, told)
        try:
            yield self._results(work, min(known, self._most) - 1)
        finally:
            self._drop([worker for worker in self._workers if worker.task is not None])

    def prepare(self, function: Function, known: int) -> None:
        """Start the processes that so many jobs are worth, to be there when the jobs are."""
        while len(self._workers) < min(known, self._most) - 1:
            self._workers.append(_start(function))

    def begin(self, function: Function, job: Any) -> Callable[[], Any]:
        """Give a job to a process that is idle, and return what waits for its result; without one, what runs it here.

        Not while `map` is under way.
        """
        for worker in (worker for worker in self._workers if worker.ready):
            task = _Task(job, Told(no_progress, no_progress))
            worker.give(function, task)
            return partial(worker.result_of, task)
        return partial(function, job, no_progress)

    def close(self) -> None:
        """End all processes; one that is still at a job is killed."""
        for worker in self._workers:
            worker.end(at_once=worker.task is not None)
        self._workers = []

    def _results(self, work: _Work, others: int) -> Iterator[Any]:
        began = time.monotonic() - self._alone

        def look(users: int = 0) -> None:
            """Give the others something to do, while the job of this process goes on."""
            now = time.monotonic()
            if now - self._looked > _LOOK_SECONDS:
                self._looked = now
                self._alone = now - began
                self._look_after(work, others)

        while True:
            look()
            if work.order and work.order[0].done:
                yield work.order.popleft().result()
            elif len(work.order) < self._bound and (task := work.take()) is not None:
                task.run(work, look)
            elif work.order:
                self._take([worker for worker in self._workers if worker.task is not None])
                self._hand_out(work)
            else:
                return

    @property
    def _bound(self) -> int:
        return self._most * _HELD_PER_WORKER

    def _look_after(self, work: _Work, others: int) -> None:
        """Take what the others have sent, and give them more; start those that are missing once it is worth it."""
        if self._alone > _START_SECONDS and len(self._workers) < others and work.goes_on:
            self._workers.append(_start(work.function))
        self._take(self._workers, timeout=0)
        self._hand_out(work)
        if self._workers:
            work.prepare()

    def _take(self, workers: Sequence[Worker], timeout: float | None = None) -> None:
        """Take what these processes have sent, if they have within the timeout; None: wait until one has, or died."""
        if workers:
            from fedsynth.engine.worker import have_sent

            for worker in have_sent(workers, timeout):
                worker.take()

    def _hand_out(self, work: _Work) -> None:
        """Give a job to each process that is idle, while not too many results are held."""
        for worker in self._workers:
            if worker.ready and worker.task is None and len(work.order) < self._bound:
                task = work.take()
                if task is not None:
                    worker.give(work.function, task)

    def _drop(self, workers: list[Worker]) -> None:
        for worker in workers:
            self._workers.remove(worker)
            worker.end(at_once=True)


def _start(function: Function) -> Worker:
    try:
        from fedsynth.engine.worker import Worker  # 60 ms that short work does without
    except ImportError as error:  # where memory is short libraries can't be loaded either
        raise EngineError(f"a worker process can't be started ({error}); use fewer workers") from error
    return Worker(function)


class _Work:
    """The jobs of one call of `map`: those not taken yet, and, in order, those whose results are not out yet."""

    def __init__(self, function: Function, jobs: Jobs, told: Told) -> None:
        self.function = function
        self.told = told
        self.order: deque[_Task] = deque()
        self.goes_on = True
        self._jobs = jobs
        self._prepared: list[Any] = []

    def prepare(self) -> None:
        """Have the next job at hand: it takes time to plan one, in which whoever asks for it would wait."""
        if self.goes_on and not self._prepared:
            self._prepared = list(islice(self._jobs, 1))
            self.goes_on = bool(self._prepared)

    def take(self) -> _Task | None:
        """Take the next job, None if there is none."""
        self.prepare()
        if not self._prepared:
            return None
        self.order.append(_Task(self._prepared.pop(), self.told))
        return self.order[-1]
