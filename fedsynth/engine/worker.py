"""The other side of `engine.processes`: what a worker process does with the jobs that come through its pipe."""

from __future__ import annotations

import contextlib
import os
import pickle
import threading
import traceback
from multiprocessing import parent_process
from multiprocessing.connection import Connection

from fedsynth.errors import FedsynthError
from fedsynth.system import release_interrupts

_interrupts: list[int] = []
"""What a worker process got of Ctrl-C, which goes to the whole process group."""


def _stop_if_interrupted(users: int) -> None:
    """Be the progress of a job in a worker; after Ctrl-C leave the job: the main process says what there is to say."""
    if _interrupts:
        raise KeyboardInterrupt


def serve(pipe: Connection, function: bytes) -> None:
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
