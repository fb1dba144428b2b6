"""One local process that carries out jobs, seen from this side of its pipe and from its own.

A job goes through the pipe to the process, what came of it comes back: where memory is short there is no thread that
could fail to start, nor a queue left waiting. A worker says nothing on standard error, not even why it can't start:
what there is to say, the main process says in one sentence.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import threading
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

from fedsynth.errors import EngineError, FedsynthError
from fedsynth.system import (
    interrupts_held,
    main_module_hidden,
    release_interrupts,
    standard_error_silenced,
    start_process_helper,
)

_END_SECONDS = 5

_DIED = (
    "a worker process died (killed, or out of memory); nothing of the stage was kept: run the same command again, "
    "with fewer workers if memory is short"
)


class Task(Protocol):
    """A job for a process, and what is told of how it ended."""

    job: Any
    done: bool

    def finish(self, succeeded: bool, value: Any) -> None:
        """Take what came of the job."""

    def result(self) -> Any:
        """Return what came of the job, or raise it."""


class Worker:
    """A process, this side of its pipe, and the task that it is at. function: what its first jobs are for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.task: Task | None = None
        self.ready = False
        context = get_context("spawn")
        self.pipe, other = context.Pipe()
        with other:
            first = pickle.dumps(function)
            self._process: SpawnProcess = context.Process(target=_serve, args=(other, first), daemon=True)
            try:
                start_process_helper()
                with interrupts_held(), standard_error_silenced(), main_module_hidden():
                    self._process.start()
            except OSError as error:
                self.pipe.close()
                short = "out of memory: " if error.errno == errno.ENOMEM else ""
                raise EngineError(
                    f"{short}a worker process can't be started ({error.strerror}); use fewer workers"
                ) from error

    def give(self, function: Callable[..., Any], task: Task) -> None:
        """Send the process a task's job, to call the function with. Raises EngineError if it died."""
        self.task = task
        message = pickle.dumps((function, task.job))
        try:
            self.pipe.send_bytes(message)
        except OSError as error:
            raise EngineError(_DIED) from error

    def take(self) -> None:
        """Finish the task with what the process sent, which first of all says that it is there."""
        try:
            message = self.pipe.recv_bytes()
        except (EOFError, OSError) as error:
            raise EngineError(_DIED) from error
        if self.task is not None:
            self.task.finish(*pickle.loads(message))
        self.task = None
        self.ready = True

    def result_of(self, task: Task) -> Any:
        """Wait until the process has done its task, and return what came of it."""
        while not task.done:
            self.take()
        return task.result()

    def end(self, *, at_once: bool) -> None:
        """Let the process end by closing the pipe, or kill it; one that is only starting has nothing to end."""
        self.pipe.close()
        if not at_once and self.ready:
            self._process.join(_END_SECONDS)
        self._process.kill()
        self._process.join()


def have_sent(workers: Sequence[Worker], timeout: float | None) -> list[Worker]:
    """Return which of several processes have sent something, or died, within the timeout; None: wait until one has."""
    ready = wait([worker.pipe for worker in workers], timeout)
    return [worker for worker in workers if worker.pipe in ready]


_interrupts: list[int] = []
"""What a worker process got of Ctrl-C, which goes to the whole process group."""


def _stop_if_interrupted(users: int) -> None:
    """Be the progress of a job in a worker; after Ctrl-C leave the job: the main process says what there is to say."""
    if _interrupts:
        raise KeyboardInterrupt


def _serve(pipe: Connection, function: bytes) -> None:
    """Be a worker: on Ctrl-C say nothing and go on until the job can be left; end with the main process.

    function: what the first jobs are for, pickled: what it imports takes as long as the start itself.
    """
    with contextlib.suppress(BaseException):
        threading.Thread(target=_end_with_parent, daemon=True).start()
        release_interrupts(lambda number, frame: _interrupts.append(number))
        with contextlib.suppress(Exception):  # the first job says what is wrong
            pickle.loads(function)
        pipe.send_bytes(b"")
        while True:
            pipe.send_bytes(_outcome(pipe.recv_bytes()))
    os._exit(1)  # the other side closed the pipe, or memory is so short that nothing can be said


def _outcome(message: bytes) -> bytes:
    """Do a job and return whether that succeeded, and the result or the error, as the main process reads it."""
    try:
        function, job = pickle.loads(message)
        _stop_if_interrupted(0)
        return pickle.dumps((True, function(job, _stop_if_interrupted)))
    except BaseException as error:
        if not isinstance(error, (FedsynthError, OSError, MemoryError, KeyboardInterrupt)):
            error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return _pickled(error)


def _pickled(error: BaseException) -> bytes:
    try:
        return pickle.dumps((False, error))
    except Exception:  # an error that holds what can't be sent
        return pickle.dumps((False, RuntimeError("".join(traceback.format_exception(error)))))


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
