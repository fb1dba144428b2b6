"""Write LEAF's text: one line of JSON, streamed, hashed on the way, by a thread per file."""

from __future__ import annotations

import hashlib
import json
import os
import queue
import threading
from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from fedsynth.leaf.plan import Counts
from fedsynth.leaf.reader import LeafIndex
from fedsynth.records.stamp import BLOCK, FileStamp

_QUEUED_BLOCKS = 5


class HashedFile:
    """Write a new file and hash it in a thread of its own. Holds at most six blocks of 256 KiB, or the largest piece.

    Hashing and writing let other threads run, so several files are written at once, and while the next piece is made.
    hash_apart: hash in a second thread, which is faster where the pieces are made with little work.
    """

    def __init__(self, path: Path, *, hash_apart: bool = False) -> None:
        self._path = path
        self._held: list[bytes] = []
        self._held_size = 0
        self.size = 0
        # A simple queue can't be left locked by Ctrl-C, so ending the thread never blocks; the second one bounds it.
        self._blocks: queue.SimpleQueue[list[bytes] | None] = queue.SimpleQueue()
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_QUEUED_BLOCKS):
            self._room.put(None)
        self._error: BaseException | None = None
        self._hash = hashlib.md5(usedforsecurity=False)
        self._file = path.open("xb", buffering=0)
        self._unhashed: queue.SimpleQueue[bytes | None] | None = queue.SimpleQueue() if hash_apart else None
        tasks = [self._write_blocks, self._hash_blocks] if hash_apart else [self._write_blocks]
        self._threads = [threading.Thread(target=task, name=f"write {path.name}", daemon=True) for task in tasks]
        for thread in self._threads:
            thread.start()

    def write(self, data: bytes) -> None:
        """Take the next piece. Raises OSError if an earlier one could not be written."""
        self._held.append(data)
        self._held_size += len(data)
        self.size += len(data)
        if self._held_size >= BLOCK:
            self._pass_on()

    def close(self) -> FileStamp:
        """Write what is left, sync it to the disk and return the file's stamp. Raises OSError."""
        self._pass_on()
        self._stop()
        if self._error is not None:
            raise self._error
        status = self._path.stat()
        return FileStamp(status.st_size, status.st_mtime_ns, self._hash.hexdigest())

    def abandon(self) -> None:
        """End the threads without finishing the file."""
        self._error = self._error or InterruptedError()
        self._stop()

    def _pass_on(self) -> None:
        if self._error is not None:
            raise self._error
        self._room.get()
        self._blocks.put(self._held)
        self._held, self._held_size = [], 0

    def _stop(self) -> None:
        self._blocks.put(None)
        for thread in self._threads:
            thread.join()

    def _write_blocks(self) -> None:
        """Take blocks until None; after an error go on taking, so that the other side never waits for ever."""
        hash_block = self._hash_block if self._unhashed is None else self._unhashed.put
        with self._file as file:
            while (pieces := self._blocks.get()) is not None:
                block = b"".join(pieces)
                hash_block(block)
                if self._error is None:
                    self._guard(partial(self._write_all, block))
            if self._error is None:
                self._guard(lambda: os.fsync(file.fileno()))
        if self._unhashed is not None:
            self._unhashed.put(None)

    def _hash_blocks(self) -> None:
        assert self._unhashed is not None
        while (block := self._unhashed.get()) is not None:
            self._hash_block(block)

    def _hash_block(self, block: bytes) -> None:
        self._hash.update(block)
        self._room.put(None)

    def _write_all(self, block: bytes) -> None:
        left = memoryview(block)
        while left:
            left = left[self._file.write(left) :]

    def _guard(self, act: Any) -> None:
        try:
            act()
        except OSError as error:
            error.filename = error.filename or str(self._path)
            self._error = error


class LeafWriter:
    """Write one LEAF file user by user; the head, which comes first, must be known when it is opened.

    Use it as a context manager: leaving it with an error ends the thread; `finish` gives the stamp and the index.
    """

    def __init__(
        self,
        path: Path,
        users: Sequence[str],
        num_samples: Sequence[int],
        hierarchies: Sequence[Any] | None = None,
        *,
        hash_apart: bool = False,
    ) -> None:
        self._path = path
        self._counts = Counts(users, num_samples, hierarchies, range(len(users)))
        self._offsets, self._sizes, self._standard = array("q"), array("q"), bytearray()
        self._file = HashedFile(path, hash_apart=hash_apart)
        self._finished = False
        self._file.write(head_text(users, num_samples, hierarchies))

    def __enter__(self) -> LeafWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._finished:
            self._file.abandon()

    def write_user(self, *pieces: bytes, standard: bool = True) -> None:
        """Write the next user of the head: the text in pieces; standard: whether it is x and y and no other key."""
        name = json.dumps(self._counts.users[len(self._offsets)]).encode() + b": "
        self._file.write(b", " + name if self._offsets else name)
        self._offsets.append(self._file.size)
        for piece in pieces:
            self._file.write(piece)
        self._sizes.append(self._file.size - self._offsets[-1])
        self._standard.append(standard)

    def finish(self) -> tuple[FileStamp, LeafIndex]:
        """End the text, sync the file and return what it is and where its users are."""
        self._file.write(b"}}")
        stamp = self._file.close()
        self._finished = True
        return stamp, LeafIndex(self._path, self._counts, self._offsets, self._sizes, self._standard, exact=True)


def head_text(users: Sequence[str], num_samples: Sequence[int], hierarchies: Sequence[Any] | None) -> bytes:
    """Return the text of a file up to its first user: what `json.dump` writes."""
    head: dict[str, Any] = {"users": list(users)}
    if hierarchies is not None:
        head["hierarchies"] = list(hierarchies)
    head["num_samples"] = list(num_samples)
    return json.dumps(head)[:-1].encode() + b', "user_data": {'
