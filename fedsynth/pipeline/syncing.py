"""Finished files on their way to the disk, while others are being made."""

from __future__ import annotations

from pathlib import Path

from fedsynth.leaf.lane import Lane
from fedsynth.system import sync_file


class Syncing:
    """Files that are synced one after the other by a thread of their own. Nothing is on the disk before `finish`."""

    def __init__(self) -> None:
        self._lane: Lane | None = None
        self._error: BaseException | None = None

    def add(self, path: Path) -> None:
        """Take a file that is written and closed; where no thread can be started, it is synced at once."""
        if self._lane is None:
            lane = Lane("sync", self._sync, self._fail)
            try:
                lane.start()
            except MemoryError:
                sync_file(path)
                return
            self._lane = lane
        self._lane.put(path)

    def finish(self) -> None:
        """Wait until all files are on the disk. Raises what went wrong with the first one that is not."""
        self._end()
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """End the thread: the files are not wanted any more."""
        self._fail(InterruptedError())
        self._end()

    def _end(self) -> None:
        if self._lane is not None:
            self._lane.end()
            self._lane = None

    def _sync(self, path: Path) -> None:
        if self._error is None:
            sync_file(path)

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error
