"""Raise small users to a minimum without giving them classes that they are not to have."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.draws import Int32s

Sizes = NDArray[np.int64]
_Step = tuple[int, int, int]
"""Who gives, the class, and who takes."""
_FAR = 1 << 30
"""More moves than there can be."""


class Holdings:
    """Who has how much of which class. owned: [users, each], the classes of each user.

    owners, amounts: for each class, who has it, in the order of the users, and how much of it, at least 1; amounts are
    changed.
    """

    def __init__(self, owned: Int32s, owners: Sequence[NDArray[np.int64]], amounts: Sequence[Sizes]) -> None:
        self._owned = owned
        self._owners = owners
        self._amounts = amounts
        self._moved = [np.zeros_like(part) for part in amounts]
        self._detours = False
        self._sizes = np.bincount(np.concatenate(owners), np.concatenate(amounts), len(owned)).astype(np.int64)

    def raise_to(self, least: int) -> None:
        """Move as few samples as possible within classes until all users have at least `least`; all keep their classes.

        Samples come from a user who can spare some: of the same class, or else by a chain of users, of whom each gives
        of one class what they get of another. Each chain is the one that adds the fewest moves to those before, which
        it may undo, so that in the end they are the fewest (successive shortest paths: Ahuja, Magnanti and Orlin,
        "Network flows", 1993). Raises UsageError where no chain leads to enough: then these classes can't give all
        users that many.
        """
        for user in np.flatnonzero(self._sizes < least).tolist():
            while self._sizes[user] < least:
                chain = [] if self._detours else self._find_neighbour(user, least)
                chain = chain or self._find_chain(user, least)
                if not chain:
                    each = self._owned.shape[1]
                    raise UsageError(
                        f"{named('min_samples')} is {least:,}, but users of {each} class{'es' if each > 1 else ''} "
                        f"can't all have that many: one would have {self._sizes[user]:,} at most; use a smaller "
                        f"{named('min_samples')}, more classes a user or fewer users"
                    )
                self._move(chain, least)

    def _find_neighbour(self, user: int, least: int) -> list[_Step]:
        """Return the step from a user who can spare some of the same class, empty if there is none.

        While all moves were such steps, no chain can do with less.
        """
        for number in self._owned[user].tolist():
            givers = self._givers(number, user)[0]
            if len(givers) and self._sizes[richest := int(givers[np.argmax(self._sizes[givers])])] > least:
                return [(richest, number, user)]
        return []

    def _find_chain(self, user: int, least: int) -> list[_Step]:
        """Return the chain that ends at this user and adds the fewest moves, from its end on, empty if there is none.

        Goes from class to class: each is reached by the one who would take of it, and give of the class before.
        """
        moves = np.full(len(self._owners), _FAR)
        reached: dict[int, tuple[int, int]] = {}
        for number in self._owned[user].tolist():
            moves[number] = self._taking(number, np.array([user]))[0]
            reached[number] = user, -1
        waiting = deque(reached)
        best, end = _FAR, (-1, -1)
        while waiting:
            number = waiting.popleft()
            givers, costs = self._givers(number, reached[number][0])
            costs = costs + moves[number]
            spare = np.flatnonzero(self._sizes[givers] > least)
            if len(spare) and costs[spare].min() < best:
                best = int(costs[spare].min())
                end = int(givers[spare[np.argmin(costs[spare])]]), number
            for other in self._shorten(number, givers, costs, moves, reached):
                if other not in waiting:
                    waiting.append(other)
        return [] if best == _FAR else _chain(*end, reached)

    def _shorten(
        self, number: int, givers: Sizes, costs: Sizes, moves: Sizes, reached: dict[int, tuple[int, int]]
    ) -> list[int]:
        """Reach the other classes of those who can give of this one, where that takes fewer moves; return those."""
        found = []
        owned = self._owned[givers]
        for other in np.unique(owned).tolist():
            if other == number:
                continue
            having = np.flatnonzero((owned == other).any(axis=1))
            through = costs[having] + self._taking(other, givers[having])
            if (fewest := int(through.min())) < moves[other]:
                moves[other] = fewest
                reached[other] = int(givers[having[np.argmin(through)]]), number
                found.append(other)
        return found

    def _givers(self, number: int, taker: int) -> tuple[Sizes, Sizes]:
        """Return who can give one more of a class and keep it, and how many moves that adds: none to undo one."""
        some = self._amounts[number] > 1
        some &= self._owners[number] != taker
        return self._owners[number][some], (self._moved[number][some] <= 0).astype(np.int64)

    def _taking(self, number: int, users: Sizes) -> Sizes:
        """Return how many moves it adds if these users, [n], take one more of a class: -1 to undo one."""
        return -(self._moved[number][np.searchsorted(self._owners[number], users)] < 0).astype(np.int64)

    def _move(self, chain: Sequence[_Step], least: int) -> None:
        """Move as many along a chain as can, as are needed, and as add as many moves each as the first."""
        user, donor = chain[0][2], chain[-1][0]
        size = min(least - int(self._sizes[user]), int(self._sizes[donor]) - least)
        cells = []
        for giver, number, taker in chain:
            give, take = np.searchsorted(self._owners[number], (giver, taker)).tolist()
            cells.append((number, give, take))
            given, taken = int(self._moved[number][give]), int(self._moved[number][take])
            size = min(size, int(self._amounts[number][give]) - 1)
            size = min(size, given) if given > 0 else size
            size = min(size, -taken) if taken < 0 else size
        for number, give, take in cells:
            for table in (self._amounts[number], self._moved[number]):
                table[give] -= size
                table[take] += size
        self._detours |= len(chain) > 1
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
