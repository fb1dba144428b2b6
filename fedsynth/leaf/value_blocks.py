"""Read a file's users as arrays, some hundred at once where they are small: the parser is called once for all of them.

The text is cut where a user may end, at `}, "`, and the cut is right if what stands before it, in braces, is JSON: a
parser that read the whole would have come there just as well. Of users of x and y alone, which are numbers and whole
numbers, six quotes stand for each. So, where the ids that were found are the next of the head's, and six times as many
quotes were, no key stands twice and no text or other key is there: what is left to check are sizes and types.
"""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fedsynth.engine import Progress, no_progress
from fedsynth.leaf.index import LeafWalk, open_unchanged
from fedsynth.leaf.values import Values, values_of

_AT_ONCE = 1 << 18
"""Bytes that are read, and mostly parsed, at a time."""
_MOST = 4 << 20
"""Bytes from which on a user is read by itself, see `LargeX`."""
_QUOTES = 6
_SPACE = b" \t\n\r"


@dataclass(frozen=True)
class ValueBlock:
    """Consecutive users whose samples are numbers. users: their positions in the head; sizes: [users].

    x: [sum of sizes, D], finite, D at least 1; y: [sum of sizes] whole numbers.
    """

    users: range
    sizes: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.int64]


def read_blocks(
    path: Path, wants_x: Callable[[], bool], progress: Progress = no_progress
) -> Iterator[ValueBlock | Values]:
    """Yield a file's users in the order of its user_data: in blocks, and, from where that can't be, one by one.

    It can be where head and users stand in LEAF's order, and all samples are numbers of one length. wants_x: asked
    before each block and user. Holds a block, or one user, and what it is parsed to. Raises DataError as `read_values`.
    """
    with open_unchanged(path) as (file, _):
        walk = LeafWalk(file, path)
        taken = 0
        if walk.to_data():
            taken, ended = yield from _blocks(file, walk, wants_x, progress)
            if ended:
                return
        file.seek(0)
        for number, values in enumerate(values_of(file, path, wants_x)):
            if number >= taken:
                yield values
                progress(1)


def _blocks(
    file: FileIO, walk: LeafWalk, wants_x: Callable[[], bool], progress: Progress
) -> Generator[ValueBlock, None, tuple[int, bool]]:
    """Yield blocks while that can be; return how many users were in them, and whether that is all of the file."""
    users, counts = walk.head["users"], walk.head["num_samples"]
    file.seek(walk.offset)
    taken = 0
    for text, last in _cuts(file):
        with _uncollected():
            block = _decode(text, users, counts, taken) if wants_x() else None
        if block is None:
            break
        taken = block.users.stop
        yield block
        progress(len(block.users))
        if last:
            return taken, taken == len(users)
    return taken, False


def _cuts(file: FileIO) -> Iterator[tuple[bytes, bool]]:
    """Yield the text of some users after another, from where user_data's value starts, and whether these are the last.

    Ends early where the text is not LEAF's, or a user is large. What is yielded may be cut where no user ends.
    """
    text = file.read(_AT_ONCE).lstrip(_SPACE)
    if not text.startswith(b"{"):
        return
    text = text[1:]
    while len(text) < _MOST:
        cut = text.rfind(b'}, "')
        if cut >= 0:
            yield text[: cut + 1], False
            text = text[cut + 3 :]
        more = file.read(_AT_ONCE)
        if not more:
            text = text.rstrip(_SPACE)
            if text.endswith(b"}}}"):
                yield text[:-2], True
            return
        text += more


def _decode(text: bytes, users: Sequence[str], counts: Sequence[int], taken: int) -> ValueBlock | None:
    """Return the users of a text, which are the next of the head's; None if it is not just that, and all numbers."""
    try:
        data = orjson.loads(b"{" + text + b"}")
        x, y = [user["x"] for user in data.values()], [user["y"] for user in data.values()]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    several = range(taken, taken + len(data))
    quotes = np.count_nonzero(np.frombuffer(text, np.uint8) == ord('"'))
    if quotes != _QUOTES * len(data) or [*data] != users[several.start : several.stop]:
        return None
    if {*map(type, x), *map(type, y)} != {list}:
        return None
    sizes = [*map(len, x)]
    if not sizes == [*map(len, y)] == counts[several.start : several.stop]:
        return None
    matrix, labels = _matrix([*chain.from_iterable(x)]), _whole_numbers([*chain.from_iterable(y)])
    if matrix is None or labels is None:
        return None
    return ValueBlock(several, np.array(sizes, np.int64), matrix, labels)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let nobody look for cycles in what a parser makes: there are none, but thousands of lists to look through."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _matrix(rows: list[Any]) -> NDArray[np.float64] | None:
    """Return rows as a matrix; None unless all are finite numbers, as many in each, at least one."""
    if {*map(type, rows)} != {list}:
        return None
    width = len(rows[0])
    if not width or {*map(len, rows)} != {width}:
        return None
    try:
        values = np.frombuffer(struct.pack(f"{len(rows) * width}d", *chain.from_iterable(rows)))
    except (struct.error, TypeError, OverflowError):
        return None
    return values.reshape(-1, width) if np.isfinite(values).all() else None  # null would be NaN


def _whole_numbers(values: list[Any]) -> NDArray[np.int64] | None:
    """Return labels of 64 bits; None for any other, true and false among them."""
    if {*map(type, values)} != {int}:
        return None
    try:
        return np.fromiter(values, np.int64, len(values))
    except OverflowError:
        return None
