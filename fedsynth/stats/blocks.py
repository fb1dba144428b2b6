"""Users that come many at once, their samples as arrays: what several meters need of them is found once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class UserBlock:
    """Some users, each with one sample at least. users: [n] their positions, ascending; sizes: [n].

    x: [sum of sizes, D] finite; y: [sum of sizes] whole numbers.
    """

    users: Ints
    sizes: Ints
    x: Floats
    y: Ints

    @cached_property
    def bounds(self) -> Ints:
        """Where each user's samples start, and the last one's end: [n + 1]."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def sums(self) -> Floats:
        """The sums of each user's samples: [n, D]."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.add.reduceat(self.x, self.bounds[:-1], axis=0)

    @cached_property
    def labels(self) -> Sequence[int]:
        """The labels that occur, in order: [classes]."""
        found: list[int] = self._coded[0].tolist()
        return found

    @cached_property
    def codes(self) -> Ints:
        """Each sample's label, as a position in `labels`: [samples]."""
        return self._coded[1]

    @cached_property
    def cells(self) -> Cells:
        """The pairs of a user and a label that occur."""
        keys = np.repeat(np.arange(len(self.users)) * len(self.labels), self.sizes) + self.codes
        order = np.argsort(keys, kind="stable")
        by_cell = keys[order]
        starts = np.flatnonzero(np.concatenate([[True], by_cell[1:] != by_cell[:-1]]))
        users, codes = np.divmod(by_cell[starts], len(self.labels))
        return Cells(users, codes, np.diff(np.append(starts, len(keys))), order, starts)

    def samples_of(self, number: int) -> slice:
        """Return where the samples of the user at this position in the block are."""
        return slice(self.bounds[number], self.bounds[number + 1])

    def slices(self, of_user: int, of_sample: int, most: int) -> Iterator[range]:
        """Cut the block into runs of users of at most `most` numbers together, or of one user."""
        numbers = np.cumsum(self.sizes * of_sample + of_user)
        start = 0
        while start < len(numbers):
            before = numbers[start - 1] if start else 0
            end = max(start + 1, int(np.searchsorted(numbers, before + most, side="right")))
            yield range(start, end)
            start = end

    @cached_property
    def _coded(self) -> tuple[Ints, Ints]:
        labels, codes = np.unique(self.y, return_inverse=True)
        return labels, codes.astype(np.int64)


@dataclass(frozen=True)
class Cells:
    """Pairs of a user and a label, by user and then label. users, codes: positions in the block; counts: of samples.

    order: [samples] what sorts samples by their pair; starts: [pairs] where each pair's start then.
    """

    users: Ints
    codes: Ints
    counts: Ints
    order: Ints
    starts: Ints


def make_block(users: range, sizes: Ints, x: Floats, y: Ints) -> UserBlock:
    """Return the block of those users that have samples."""
    some = sizes > 0
    return UserBlock(np.arange(users.start, users.stop)[some], sizes[some], x, y)
