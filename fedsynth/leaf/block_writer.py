"""Write a LEAF file of users made of arrays, many at a time: no index of them is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedsynth.leaf.block_text import block_text
from fedsynth.leaf.hashed_file import HashedFile
from fedsynth.leaf.text import user_pieces
from fedsynth.leaf.writer import head_text
from fedsynth.records.stamp import FileStamp


class BlockWriter:
    """Write one LEAF file block by block; the head, which comes first, must be known when it is opened.

    Use it as a context manager: leaving it with an error ends the threads; `finish` gives the stamp. users: ids of
    digits and ASCII letters. Holds what `HashedFile` says, the users' names, and a block's text.
    """

    def __init__(self, path: Path, users: Sequence[str], num_samples: Sequence[int]) -> None:
        self._users = users
        self._written = 0
        self._finished = False
        self._file = HashedFile(path)
        try:
            self._file.write(head_text(users, num_samples, None))
        except BaseException:
            self._file.abandon()
            raise

    def __enter__(self) -> BlockWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._finished:
            self._file.abandon()

    def write(self, sizes: Sequence[int], x: NDArray[np.float64], y: NDArray[np.int64]) -> None:
        """Write the next users of the head. sizes: [users]; x: [sum of sizes, D] finite numbers; y: likewise.

        A single user is written in pieces of 32 samples, so that of a large one the text is never held.
        """
        users = self._users[self._written : self._written + len(sizes)]
        if self._written:
            self._file.write(b", ")
        if len(users) == 1:
            self._file.write(f'"{users[0]}": '.encode())
            for piece in user_pieces(x, y):
                self._file.write(piece)
        else:
            self._file.write(block_text(users, sizes, x, y))
        self._written += len(users)

    def finish(self, *, sync: bool = True) -> FileStamp:
        """End the text, sync the file, unless somebody else will, and return what it is.

        Raises OSError, or whatever went wrong in a thread, unless every byte is in the file.
        """
        self._file.write(b"}}")
        stamp, _ = self._file.close(sync=sync)
        self._finished = True
        return stamp
