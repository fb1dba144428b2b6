"""Raise small users to a minimum without giving them classes that they are not to have."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.draws import Places

Sizes = NDArray[np.int64]
_Step = tuple[int, int, int]
"""Who gives, the class, and who takes."""


class Holdings:
    """Who has how much of which class. owned: [users, each], the classes of each user.

    owners, amounts: for each class, who has it, in the order of the users, and how much of it, at least 1; amounts are
    changed.
    """

    def __init__(self, owned: Places, owners: Sequence[NDArray[np.int64]], amounts: Sequence[Sizes]) -> None:
        self._owned = owned
        self._owners = owners
        self._amounts = amounts
        self._sizes = np.bincount(np.concatenate(owners), np.concatenate(amounts), len(owned)).astype(np.int64)

    def raise_to(self, least: int) -> None:
        """Move samples within classes until all users have at least so many; everybody keeps all classes.

        Samples come from the nearest user who can spare some: of the same class, or else by a chain of users, of whom
        each gives of one class what they get of another. Raises UsageError where no chain leads to enough: then no
        way of dealing these classes would do.
        """
        for user in np.flatnonzero(self._sizes < least).tolist():
            while self._sizes[user] < least:
                chain = self._find_chain(user, least)
                if not chain:
                    raise UsageError(
                        f"{named('min_samples')} is {least:,}, but users of {self._owned.shape[1]} classes can't all "
                        "have so "
                        f"many: one would be left with {self._sizes[user]:,} at most; use a smaller "
                        f"{named('min_samples')}, more "
                        "classes a user or fewer users"
                    )
                self._move(chain, least)

    def _find_chain(self, user: int, least: int) -> list[_Step]:
        """Return the shortest chain that ends at this user, from its end on, empty if there is none.

        Goes from class to class: each is reached by the one who would take of it, and give of the class before.
        """
        reached: dict[int, tuple[int, int]] = dict.fromkeys(self._owned[user].tolist(), (user, -1))
        waiting = deque(reached)
        while waiting:
            number = waiting.popleft()
            givers = self._owners[number][self._amounts[number] > 1]
            givers = givers[givers != user]
            if not len(givers):
                continue
            richest = int(givers[np.argmax(self._sizes[givers])])
            if self._sizes[richest] > least:
                return _chain(richest, number, reached)
            others, places = np.unique(self._owned[givers], return_index=True)
            for other, place in zip(others.tolist(), places.tolist(), strict=True):
                if other not in reached:
                    reached[other] = int(givers[place // self._owned.shape[1]]), number
                    waiting.append(other)
        return []

    def _move(self, chain: Sequence[_Step], least: int) -> None:
        user, donor = chain[0][2], chain[-1][0]
        places = [
            (self._amounts[number], int(np.searchsorted(self._owners[number], giver)), giver, number, taker)
            for giver, number, taker in chain
        ]
        spare = min(int(amounts[place]) - 1 for amounts, place, *_ in places)
        size = min(least - int(self._sizes[user]), int(self._sizes[donor]) - least, spare)
        for amounts, place, _, number, taker in places:
            amounts[place] -= size
            amounts[int(np.searchsorted(self._owners[number], taker))] += size
        self._sizes[donor] -= size
        self._sizes[user] += size


def _chain(giver: int, number: int, reached: Mapping[int, tuple[int, int]]) -> list[_Step]:
    """Go back from the one who can give, of this class, to the one who needs."""
    chain = []
    while number >= 0:
        taker, before = reached[number]
        chain.append((giver, number, taker))
        giver, number = taker, before
    return chain[::-1]
