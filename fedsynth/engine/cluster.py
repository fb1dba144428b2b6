"""Jobs on the workers of a Dask cluster; whatever happens to it is one sentence within ten seconds.

Dask itself waits for minutes for a scheduler or workers that are gone, and writes logs and warnings meanwhile. Here the
scheduler is asked every second, while a job is waited for, whether it is there and has workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import platform
import re
import socket
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

from fedsynth.engine import Told
from fedsynth.errors import EngineError, FedsynthError
from fedsynth.version import __version__

Function = Callable[[Any, Callable[[int], None]], Any]

_ADDRESS = re.compile(r"(?:(?P<scheme>[a-z]+)://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^:/\[\]]+):(?P<port>[0-9]{1,5})/?")
_PLAIN = (None, "tcp", "tls")
_POLL_SECONDS, _REACH_SECONDS, _CONNECT_SECONDS, _ANSWER_SECONDS, _CLOSE_SECONDS = 1, 3, 3, 5, 1
_WITHOUT_WORKERS_SECONDS = 5
"""Seconds that the scheduler may be without workers: one that died is started anew by its nanny."""

_HELD_PER_WORKER = 2
_NO_SCHEDULER = "what listens there is no scheduler, or one of another version"
_LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "asyncio")
_AGAIN = "nothing of the stage was kept: run the same command again"


class Cluster:
    """A client of a scheduler. threads: the number of jobs that its workers run at the same time."""

    def __init__(self, address: str, client: Any) -> None:
        self._address = address
        self._client = client
        self._saw_workers = time.monotonic()
        self.threads = self._count_threads()
        if not self.threads:
            raise EngineError(f"{address}: the scheduler has no workers; start some with `dask worker {address}`")

    @contextlib.contextmanager
    def map(self, function: Function, jobs: Iterator[Any], known: int, told: Told) -> Iterator[Iterator[Any]]:
        """Give an iterator over the jobs' results, in order; only a few jobs per worker are held at a time.

        When one fails or the caller stops, what is queued is cancelled. Raises what the job raised, and EngineError if
        the scheduler is gone, all workers have been for five seconds, or they can't run what they are sent.
        """
        waiting: deque[tuple[Any, Any]] = deque()
        try:
            yield self._results(function, jobs, waiting, told)
        finally:
            self._cancel([future for _, future in waiting])

    def _results(
        self, function: Function, jobs: Iterator[Any], waiting: deque[tuple[Any, Any]], told: Told
    ) -> Iterator[Any]:
        for job in jobs:
            with self._explained():
                message = pickle.dumps(_Call(pickle.dumps((function, job))))
                # Where fedsynth can't be imported, this is an error of the job and does not stop Dask's own processes.
                waiting.append((job, self._client.submit(pickle.loads, message, pure=False)))
            if len(waiting) > self.threads * _HELD_PER_WORKER:
                yield self._take(waiting, told)
        while waiting:
            yield self._take(waiting, told)

    def _take(self, waiting: deque[tuple[Any, Any]], told: Told) -> Any:
        job, future = waiting[0]
        with self._explained():
            while (message := _result(future)) is None:
                self._check()
            succeeded, value = pickle.loads(message)
        waiting.popleft()
        if not succeeded:
            raise value
        told.done(job)
        return value

    def _cancel(self, futures: list[Any]) -> None:
        if futures and self._client.status == "running":
            with contextlib.suppress(Exception):
                self._client.sync(self._client._cancel, futures, callback_timeout=_CLOSE_SECONDS)

    def _check(self) -> None:
        """Raise EngineError if the scheduler does not answer, or has had no workers for a while."""
        now = time.monotonic()
        if self._count_threads():
            self._saw_workers = now
        elif now - self._saw_workers > _WITHOUT_WORKERS_SECONDS:
            raise EngineError(
                f"{self._address}: all workers of the scheduler are gone; nothing of the stage was kept: start some "
                "and run the same command again"
            )

    def _count_threads(self) -> int:
        with self._explained():
            if self._client.status != "running":
                raise TimeoutError
            threads = self._client.sync(self._client.scheduler.ncores, callback_timeout=_ANSWER_SECONDS)
            return sum(threads.values())

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say Dask's errors in one sentence; a job's own come as values."""
        try:
            yield
        except (FedsynthError, MemoryError):
            raise
        except (CancelledError, OSError) as error:  # asyncio's and Dask's errors of connections are OSErrors
            raise EngineError(f"{self._address}: the Dask scheduler is gone or does not answer; {_AGAIN}") from error
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            if type(error).__name__ == "KilledWorker":
                reason = "several workers died at the same job, perhaps for lack of memory"
            raise EngineError(
                f"{self._address}: the workers can't do what they are sent ({reason}); they need the same versions of "
                "Python, Dask and fedsynth as this machine, and memory for a user's samples"
            ) from error


@dataclass(frozen=True)
class _Call:
    """What is sent: read by a worker, it becomes what `_work` returns there."""

    call: bytes

    def __reduce__(self) -> tuple[Callable[[str, bytes], bytes], tuple[str, bytes]]:
        return _work, (__version__, self.call)


def _work(version: str, call: bytes) -> bytes:
    """Do a job on a worker and return whether that succeeded, and the result or the error."""
    try:
        if version != __version__:
            raise EngineError(
                f"{platform.node()}: a Dask worker there has fedsynth {__version__}, this run is of {version}; "
                "install the same version on all machines"
            )
        function, job = pickle.loads(call)
        return pickle.dumps((True, function(job, _ignore_progress)))
    except Exception as error:
        return pickle.dumps((False, error))


def _ignore_progress(users: int) -> None:
    """Be the progress of a job on a worker, from where it is not reported."""


def _result(future: Any) -> Any:
    """Wait for a second; return None if there is no result yet."""
    try:
        return future.result(timeout=_POLL_SECONDS)
    except TimeoutError:
        return None


@contextlib.contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """Connect to a scheduler. Raises EngineError within ten seconds if there is none, or it has no workers."""
    _parsed(address)  # before Dask, which takes a second to import
    try:
        from distributed import Client
    except ImportError as error:
        raise EngineError(
            "a Dask cluster needs Dask, which is not installed: pip install 'dask >= 2024.1' 'distributed >= 2024.1'"
        ) from error
    with _quiet():
        _check_reachable(address)
        try:
            client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # what answers is no scheduler: nearly anything
            raise _unreachable(address, _NO_SCHEDULER) from error
        try:
            yield Cluster(address, client)
        finally:
            with contextlib.suppress(Exception):
                client.close(timeout=_CLOSE_SECONDS)


def _unreachable(address: str, reason: str) -> EngineError:
    return EngineError(
        f"{address}: no Dask scheduler answers ({reason}); start one with `dask scheduler`, or check the address"
    )


def _parsed(address: str) -> re.Match[str]:
    match = _ADDRESS.fullmatch(address)
    if match is None or int(match["port"]) > 65535:
        raise EngineError(f"{address}: no address of a Dask scheduler, expected one such as tcp://127.0.0.1:8786")
    return match


def _check_reachable(address: str) -> None:
    """Find out in a few seconds what takes Dask a quarter of a minute."""
    match = _parsed(address)
    if match["scheme"] not in _PLAIN:
        return
    found: list[str] = []

    def reach() -> None:
        try:
            socket.create_connection((match["host"].strip("[]"), int(match["port"])), _REACH_SECONDS).close()
            if match["scheme"] != "tls":  # which needs certificates: Dask's configuration knows where they are
                asyncio.run(_greet(address))
            found.append("")
        except OSError as error:  # an error of Dask's has no number
            found.append(error.strerror or _NO_SCHEDULER)
        except Exception:
            found.append(_NO_SCHEDULER)

    thread = threading.Thread(target=reach, daemon=True)  # looking a name up knows no time limit
    thread.start()
    thread.join(2 * _REACH_SECONDS)
    reason = found[0] if found else f"no answer in {2 * _REACH_SECONDS} seconds"
    if reason:
        raise _unreachable(address, reason)


async def _greet(address: str) -> None:
    """Raise any error if what listens there does not answer as Dask's processes do."""
    from distributed.comm import connect

    comm = await asyncio.wait_for(connect(address, timeout=_REACH_SECONDS), _REACH_SECONDS)
    comm.abort()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's logs and warnings from standard error: what they mean is said in one sentence."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = [logger.level for logger in loggers]
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL + 1)
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
