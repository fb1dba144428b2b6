"""Write LEAF's text: one line of JSON, streamed, by threads that hash it on the way."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

from fedsynth.leaf.hashed_file import HashedFile
from fedsynth.leaf.names import Names
from fedsynth.leaf.offsets import LeafIndex
from fedsynth.leaf.plan import Counts
from fedsynth.records.stamp import FileStamp


class LeafWriter:
    """Write one LEAF file user by user; the head, which comes first, must be known when it is opened.

    Use it as a context manager: leaving it with an error ends the threads; `finish` gives the stamp and the index.
    Holds what `HashedFile` says, and 17 bytes a user.
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
        self._names = Names.of(users)
        self._counts = Counts(self._names, array("q", num_samples), hierarchies, range(len(users)))
        self._offsets, self._sizes, self._standard = array("q"), array("q"), bytearray()
        head = head_text(self._names, num_samples, hierarchies)
        self._file = HashedFile(path, hash_apart=hash_apart)
        self._finished = False
        try:
            self._file.write(head)
        except BaseException:
            self._file.abandon()
            raise

    def __enter__(self) -> LeafWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._finished:
            self._file.abandon()

    def write_user(self, *pieces: bytes, standard: bool = True) -> None:
        """Write the next user of the head: the text in pieces; standard: whether it is x and y and no other key."""
        (name,) = self._names.texts(len(self._offsets), len(self._offsets) + 1)
        self._file.write(b", " + name + b": " if self._offsets else name + b": ")
        self._offsets.append(self._file.size)
        for piece in pieces:
            self._file.write(piece)
        self._sizes.append(self._file.size - self._offsets[-1])
        self._standard.append(standard)

    def write_users(self, texts: Sequence[bytes], standard: bytes) -> None:
        """Write the next users of the head, who are small together: the text of each.

        standard: [users], 1 for those that are x and y alone.
        """
        first = len(self._offsets)
        names = self._names.texts(first, first + len(texts))
        sizes = list(map(len, texts))
        keys = [b", %b: " % name for name in names]
        if not first and keys:
            keys[0] = keys[0][2:]
        ends = accumulate(map(int.__add__, map(len, keys), sizes), initial=self._file.size)
        next(ends)
        self._offsets.extend(map(int.__sub__, ends, sizes))
        self._sizes.extend(sizes)
        self._standard += standard
        self._file.write(b"".join(chain.from_iterable(zip(keys, texts, strict=True))))

    def finish(self, *, sync: bool = True) -> tuple[FileStamp, LeafIndex]:
        """End the text, sync the file, unless somebody else will, and return what it is and where its users are.

        Raises OSError, or whatever went wrong in a thread, unless every byte is in the file.
        """
        self._file.write(b"}}")
        stamp, state = self._file.close(sync=sync)
        self._finished = True
        index = LeafIndex(self._path, self._counts, self._offsets, self._sizes, self._standard, exact=True, state=state)
        return stamp, index


def head_text(users: Sequence[str], num_samples: Sequence[int], hierarchies: Sequence[Any] | None) -> bytes:
    """Return the text of a file up to its first user: what `json.dump` writes."""
    between = b""
    if hierarchies is not None:
        between = b', "hierarchies": ' + _dump(list(hierarchies)).encode()
    counts = str(list(num_samples)).encode()
    return b'{"users": [' + Names.of(users).text + b"]" + between + b', "num_samples": ' + counts + b', "user_data": {'


def _dump(value: Any) -> str:
    """Return the text of `json.dump`, which for itself refuses numbers of over 4,300 digits, and writes no JSON of inf.

    JSON's 1e999 is read as inf: it has no largest number.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        if isinstance(value, list):
            return f"[{', '.join(map(_dump, value))}]"
        if isinstance(value, dict):
            return f"{{{', '.join(f'{json.dumps(key)}: {_dump(entry)}' for key, entry in value.items())}}}"
        return str(value) if isinstance(value, int) else f"{math.copysign(1, value):.0f}e999"
