"""Write LEAF's text: one line of JSON, streamed, by threads that hash it on the way."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsynth.leaf.hashed_file import HashedFile
from fedsynth.leaf.plan import Counts
from fedsynth.leaf.reader import LeafIndex
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
        self._counts = Counts(users, num_samples, hierarchies, range(len(users)))
        self._offsets, self._sizes, self._standard = array("q"), array("q"), bytearray()
        head = head_text(users, num_samples, hierarchies)
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
        name = json.dumps(self._counts.users[len(self._offsets)]).encode() + b": "
        self._file.write(b", " + name if self._offsets else name)
        self._offsets.append(self._file.size)
        for piece in pieces:
            self._file.write(piece)
        self._sizes.append(self._file.size - self._offsets[-1])
        self._standard.append(standard)

    def finish(self) -> tuple[FileStamp, LeafIndex]:
        """End the text, sync the file and return what it is and where its users are.

        Raises OSError, or whatever went wrong in a thread, unless every byte is in the file.
        """
        self._file.write(b"}}")
        stamp, state = self._file.close()
        self._finished = True
        index = LeafIndex(self._path, self._counts, self._offsets, self._sizes, self._standard, exact=True, state=state)
        return stamp, index


def head_text(users: Sequence[str], num_samples: Sequence[int], hierarchies: Sequence[Any] | None) -> bytes:
    """Return the text of a file up to its first user: what `json.dump` writes."""
    head: dict[str, Any] = {"users": list(users)}
    if hierarchies is not None:
        head["hierarchies"] = list(hierarchies)
    head["num_samples"] = list(num_samples)
    return _dump(head)[:-1].encode() + b', "user_data": {'


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
