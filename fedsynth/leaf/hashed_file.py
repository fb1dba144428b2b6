"""A new file that is written and hashed by threads of its own, and is whole or an error."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import queue
from collections.abc import Iterator, Sequence
from pathlib import Path

from fedsynth.leaf.lane import PATIENCE, Lane
from fedsynth.records.stamp import BLOCK, FileStamp, FileState
from fedsynth.system import naming

Piece = bytes | memoryview

_SLICE = 4 * BLOCK
"""The most bytes of one piece that are written at a time; smaller pieces are gathered to BLOCK bytes."""

_WAITING = 16 * BLOCK
"""Bytes that may wait to be written or hashed; a caller that brings more waits as well."""


class HashedFile:
    """Write a new file and hash it. size: bytes taken so far.

    Hashing and writing let other threads run, so several files are written at once, and while the next piece is made.
    hash_apart: hash in a second thread, which is faster where the pieces are made with little work.

    At most 5.25 MiB wait to be written, however large the pieces. A large piece waits as slices, which keep all of it
    in memory until the last one is written: so there may be one such piece besides the one that is being made.

    Whatever goes wrong in a thread is raised by the next `write`, or by `close`: OSError, with the file's name, where
    the disk fails; MemoryError also where no thread can be started. No caller is kept waiting by it.
    """

    def __init__(self, path: Path, *, hash_apart: bool = False) -> None:
        self._path = path
        self._held: list[Piece] = []
        self._held_size = 0
        self.size = self._waiting = self._written = self._hashed = 0
        self._error: BaseException | None = None
        self._hash = hashlib.md5(usedforsecurity=False)
        self._done: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._hashing = Lane(f"hash {path.name}", self._hash_piece, self._fail) if hash_apart else None
        self._writing = Lane(f"write {path.name}", self._write_pieces, self._fail)
        self._file = path.open("xb", buffering=0)
        try:
            self._writing.start()
            if self._hashing is not None:
                self._hashing.start()
        except BaseException:
            self.abandon()
            raise

    def write(self, data: bytes) -> None:
        """Take the next piece. Raises what went wrong with an earlier one."""
        self.size += len(data)
        for piece in _slices(data):
            self._held.append(piece)
            self._held_size += len(piece)
            if self._held_size >= BLOCK:
                self._pass_on()

    def close(self, *, sync: bool = True) -> tuple[FileStamp, FileState]:
        """Write what is left, sync it to the disk unless somebody else will, and return the file's stamp and state.

        Raises OSError unless the bytes taken, those written, those hashed and those in the file are as many.
        """
        try:
            self._pass_on()
            self._end_lanes()
            self._raise_error()
            self._check(self._written, "written")
            self._check(self._hashed, "hashed")
            with naming(self._path):
                if sync:
                    os.fsync(self._file.fileno())
                status = os.fstat(self._file.fileno())
                self._file.close()
            self._check(status.st_size, "in the file")
        finally:
            self.abandon()
        return FileStamp(status.st_size, status.st_mtime_ns, self._hash.hexdigest()), FileState.of(status)

    def abandon(self) -> None:
        """End the threads and close the file, finished or not."""
        self._fail(InterruptedError())
        try:
            self._end_lanes()
        finally:
            with contextlib.suppress(OSError):  # there is an earlier error, or nothing was promised
                self._file.close()

    def _pass_on(self) -> None:
        while self._waiting and self._waiting + self._held_size > _WAITING:
            self._raise_error()
            try:
                self._waiting -= self._done.get(timeout=PATIENCE)
            except queue.Empty:
                self._check_alive()
        self._raise_error()
        self._waiting += self._held_size
        self._writing.put(self._held)
        self._held, self._held_size = [], 0

    def _check_alive(self) -> None:
        lanes = [self._writing] if self._hashing is None else [self._writing, self._hashing]
        if not all(lane.alive for lane in lanes):
            self._raise_error()
            raise self._incomplete("a thread ended too early")

    def _check(self, found: int, what: str) -> None:
        if found != self.size:
            raise self._incomplete(f"{found:,} of {self.size:,} bytes were {what}")

    def _incomplete(self, problem: str) -> OSError:
        return OSError(errno.EIO, f"{os.strerror(errno.EIO)}, {problem}", str(self._path))

    def _raise_error(self) -> None:
        if self._error is not None:
            with naming(self._path):
                raise self._error

    def _fail(self, error: BaseException) -> None:
        """Keep the first error and wake the caller that makes pieces."""
        if self._error is None:
            self._error = error
        with contextlib.suppress(MemoryError):
            self._done.put(0)

    def _end_lanes(self) -> None:
        """Let the threads do what is left, which after an error is nothing."""
        self._writing.end()
        if self._hashing is not None:
            self._hashing.end()

    def _write_pieces(self, pieces: Sequence[Piece]) -> None:
        if self._error is not None:
            return
        block = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._hashing is not None:
            self._hashing.put(block)
        self._write_all(block)
        if self._hashing is None:
            self._hash_piece(block)

    def _write_all(self, block: Piece) -> None:
        left = memoryview(block)
        while left:
            size = self._file.write(left)
            if not size:
                raise self._incomplete("the disk takes no more bytes")
            self._written += size
            left = left[size:]

    def _hash_piece(self, block: Piece) -> None:
        if self._error is None:
            self._hash.update(block)
            self._hashed += len(block)
            self._done.put(len(block))


def _slices(data: bytes) -> Iterator[Piece]:
    if len(data) <= _SLICE:
        yield data
        return
    view = memoryview(data)
    for start in range(0, len(data), _SLICE):
        yield view[start : start + _SLICE]
