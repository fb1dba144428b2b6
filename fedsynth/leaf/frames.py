"""Runs of small users found by the frame of LEAF's text around their samples, which are not looked at."""

from __future__ import annotations

from array import array

import numpy as np
from numpy.typing import NDArray

from fedsynth.leaf.decode import MAX_DEPTH
from fedsynth.leaf.index import LeafWalk
from fedsynth.leaf.runs import Run

_LONGEST = 1 << 18
"""Bytes that are looked at together: few enough to stay in the processor's cache."""
_QUOTES = 6
_FRAME = ((0, -2, b', "'), (1, 0, b'": {"x": ['), (4, -3, b'], "y": ['), (6, -4, b"]}"))
"""Quotes of a user, the next user's first one last: what stands from where on, counted from the quote."""
_AT = np.array([(quote, first + step) for quote, first, text in _FRAME for step in range(len(text))])
_BYTES = np.frombuffer(b"".join(text for _, _, text in _FRAME), np.uint8)


def pass_users(walk: LeafWalk) -> LeafWalk:
    """Walk past all users to the end of the file, without reading their samples."""
    for _ in walk.users_and_runs(find_run, _LONGEST):
        pass
    return walk


def find_run(text: bytes, base: int) -> Run | None:
    """Return where the users of a run are, without reading their samples; None unless the text's form alone shows it.

    Each has six quotes, of the keys id, x and y, whose values are in brackets, and one pair of braces: then nothing
    else is a string, and nothing is nested in objects.
    """
    if b"\\" in text or not text.startswith(b', "'):
        return None
    data = np.frombuffer(text, np.uint8)
    quotes = np.append(np.flatnonzero(data == ord('"')), len(text) + len(", "))
    users = len(quotes) // _QUOTES
    if not users or len(quotes) != _QUOTES * users + 1 or not _has_braces(text, data, users):
        return None
    quotes = np.hstack([quotes[:-1].reshape(users, _QUOTES), quotes[_QUOTES::_QUOTES, np.newaxis]])
    if (data.take(quotes[:, _AT[:, 0]] + _AT[:, 1], mode="clip") != _BYTES).any():
        return None
    offsets = quotes[:, 1] + len('": ')
    sizes = quotes[:, -1] - len(", ") - offsets
    if _may_be_deep(data, int(sizes.max())):
        return None
    names = _slices(data, quotes[:, 0] + 1, quotes[:, 1] - quotes[:, 0]).decode()
    if not names.isprintable():
        return None
    return Run(names[:-1].split('"'), array("q", (offsets + base).tobytes()), array("q", sizes.tobytes()))


def _has_braces(text: bytes, data: NDArray[np.uint8], pairs: int) -> bool:
    """Whether a text is ASCII and has that many pairs; in its code only `|`, `~` and DEL come after the first brace."""
    if np.count_nonzero(data >= ord("{")) == 2 * pairs:
        return True
    return text.isascii() and all(np.count_nonzero(data == ord(brace)) == pairs for brace in "{}")


def _slices(data: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> bytes:
    """Return the bytes of several slices, one after another."""
    ends = np.cumsum(sizes)
    slices: NDArray[np.uint8] = data[np.arange(ends[-1]) + np.repeat(starts - ends + sizes, sizes)]
    return slices.tobytes()


def _may_be_deep(data: NDArray[np.uint8], longest: int) -> bool:
    """Whether some user may have as many brackets as are in one another at most. longest: a user's bytes."""
    opening = np.flatnonzero(data == ord("["))
    within = opening[MAX_DEPTH - 2 :] - opening[: -(MAX_DEPTH - 2)]
    return bool(within.size) and int(within.min()) < longest
