"""What goes where: a stage's decision, made from users and counts alone, before any sample is read.

A `FilePlan` describes one output file user by user; each user is made from one input file by a pick:

    Whole(user)           everything the user has, other keys than x and y too
    Masked(user, mask)    the samples marked in the mask, in their order
    Ordered(user, ...)    the samples numbered, in the order given
    Pooled(...)           samples numbered through the whole input file, in the order of its user_data
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Counts:
    """The users of one file, as its head tells. users: [n] unique ids; num_samples: [n]; hierarchies: [n] or None."""

    users: Sequence[str]
    num_samples: Sequence[int]
    hierarchies: Sequence[Any] | None
    data_order: Sequence[int]
    """[n] positions in `users`, in the order of user_data."""

    def pick_hierarchies(self, users: Sequence[int]) -> list[Any] | None:
        """Return the hierarchies at these positions, None where the file has none."""
        return None if self.hierarchies is None else [self.hierarchies[user] for user in users]


@dataclass(frozen=True)
class Whole:
    user: int


@dataclass(frozen=True)
class Masked:
    user: int
    mask: bytes
    """One byte per sample: 1 takes it, 0 leaves it."""


@dataclass(frozen=True)
class Ordered:
    user: int
    samples: Sequence[int]


@dataclass(frozen=True)
class Pooled:
    samples: array[int]


Pick = Whole | Masked | Ordered | Pooled


@dataclass(frozen=True)
class FilePlan:
    """One output file. users, num_samples, hierarchies: its head; picks: [users], how each is made."""

    users: Sequence[str]
    num_samples: Sequence[int]
    hierarchies: Sequence[Any] | None
    picks: Sequence[Pick]

    @classmethod
    def of_whole_users(cls, source: Counts, users: Sequence[int]) -> FilePlan:
        """Return the plan of a file with these users of the source, each with all that it has."""
        return cls(
            users=[source.users[user] for user in users],
            num_samples=[source.num_samples[user] for user in users],
            hierarchies=source.pick_hierarchies(users),
            picks=[Whole(user) for user in users],
        )

    def copies(self, source: Counts) -> bool:
        """Whether this plan takes all users whole and in order, so that the output says what the input says."""
        return (
            len(self.picks) == len(source.users)
            and self.hierarchies == source.hierarchies
            and all(isinstance(pick, Whole) and pick.user == user for user, pick in enumerate(self.picks))
        )


@dataclass(frozen=True)
class StagePlan:
    """What a stage does. files: for each input file, in order, the output of each folder of the stage."""

    files: Sequence[dict[str, FilePlan]]
    left_out: Sequence[str] = ()
    """Users who could not be dealt with, by name."""
