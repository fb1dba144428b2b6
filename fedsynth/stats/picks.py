"""Samples that a measure keeps, drawn before any is read, so that no more than those are ever held."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedsynth.stats.blocks import UserBlock
from fedsynth.truth import id_array

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Picks:
    """Which samples of which users are kept. rows: by the user's position, the numbers of the samples, in order."""

    rows: Mapping[int, Ints]

    def part(self, users: range) -> Picks:
        """Return those of the users at these consecutive positions."""
        return Picks({user: rows for user, rows in self.rows.items() if user in users})

    def among(self, users: Ints) -> list[int]:
        """Return at which positions of these, which are in order, users stand who were picked."""
        places = np.searchsorted(users, self._users)
        there = users[np.minimum(places, len(users) - 1)] == self._users
        found: list[int] = places[there].tolist()
        return found

    @cached_property
    def _users(self) -> Ints:
        return np.array(sorted(self.rows), np.int64)

    def keeper(self) -> Keeper:
        """Return what keeps them as they come by."""
        return Keeper(self)


@dataclass(frozen=True)
class Keeper:
    """Rows of the users that were picked, as far as they came by. rows: by user, [picked, columns]."""

    picks: Picks
    rows: dict[int, Floats] = field(default_factory=dict)

    def add(self, user: int, values: Floats, most: int | None = None) -> None:
        """Take a user's samples, [n, columns], and keep the picked ones; most: the first ones alone."""
        rows = self.picks.rows.get(user)
        if rows is not None:
            self.rows[user] = values[rows[:most]]

    def add_block(self, block: UserBlock, most: int | None = None) -> list[int]:
        """Take several users at once, each as `add` does; return which of the block, by position, were picked."""
        picked = self.picks.among(block.users)
        for number in picked:
            self.add(int(block.users[number]), block.x[block.samples_of(number)], most)
        return picked

    def merge(self, other: Keeper) -> None:
        """Take all that another one, of other users, has kept."""
        self.rows.update(other.rows)


class InOrder:
    """The users by name, so that draws from them don't depend on their order. num_samples: [users] of each."""

    def __init__(self, names: Sequence[str] | NDArray[Any], num_samples: Sequence[int] | Ints) -> None:
        self.num_samples = np.asarray(num_samples, np.int64)
        self._users = np.argsort(id_array(names), kind="stable")

    def having(self, least: int) -> Ints:
        """Return the positions of the users with at least `least` samples."""
        return self._users[self.num_samples[self._users] >= least]


def draw_probe(users: Ints, num_samples: Ints, samples: int, rng: Generator) -> Picks:
    """Draw `samples` samples, each from a user who is drawn with the same chance whatever their size."""
    rows: dict[int, list[int]] = {}
    for user in rng.choice(users, samples).tolist():
        rows.setdefault(user, []).append(int(rng.integers(num_samples[user])))
    return Picks({user: np.array(numbers) for user, numbers in rows.items()})


def draw_rows(users: Sequence[int], num_samples: Ints, most: int, rng: Generator) -> Picks:
    """Draw at most `most` different samples of each of these users, in random order."""
    return Picks({user: rng.choice(num_samples[user], min(most, num_samples[user]), replace=False) for user in users})
