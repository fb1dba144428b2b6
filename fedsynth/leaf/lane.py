"""A thread that works through what it is given while others go on."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any

PATIENCE = 0.5
"""Seconds after which a waiting caller checks whether there is still something to wait for."""


class Lane:
    """A thread that does something with each thing put, in turn, until the end or an error, which it passes to `fail`.

    A simple queue can't be left locked by Ctrl-C. Memory may be too short to put the end, so it is flagged too.
    """

    def __init__(self, name: str, act: Callable[[Any], None], fail: Callable[[BaseException], None]) -> None:
        self._act = act
        self._fail = fail
        self._things: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._ended = False
        self._started = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread. Raises MemoryError if there is no room for one."""
        try:
            self._thread.start()
        except RuntimeError as error:
            raise MemoryError(f"{self._thread.name}: no thread can be started") from error
        self._started = True

    def put(self, thing: Any) -> None:
        """Give the thread one more thing to do."""
        self._things.put(thing)

    def end(self) -> None:
        """Wait until the thread has done all that was put; it may be called again."""
        self._ended = True
        with contextlib.suppress(MemoryError):
            self._things.put(None)
        if self._started:
            self._thread.join()

    def _run(self) -> None:
        try:
            while (thing := self._take()) is not None:
                self._act(thing)
        except BaseException as error:
            self._fail(error)

    def _take(self) -> Any:
        while True:
            try:
                return self._things.get(timeout=PATIENCE)
            except queue.Empty:
                if self._ended:  # after the last put, which may have come since
                    with contextlib.suppress(queue.Empty):
                        return self._things.get(block=False)
                    return None
