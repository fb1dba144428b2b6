"""What goes where: a stage's decision, made from users and counts alone, before any sample is read.

A `FilePlan` describes one output file user by user. Its picks are packed, a few bytes a user, and look like a sequence
of one pick for each of its users:

    WholeUsers     of `Whole`, everything the user has, other keys than x and y too; the last may be `Ordered`
    MaskedUsers    of `Masked`, the samples marked in the mask, in their order
    PooledUsers    of `Pooled`, samples numbered through the whole input file, in the order of its user_data
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, compress, pairwise
from typing import Any, Protocol

from fedsynth.leaf.names import Names

NAMED = 10
"""The most dropped users whose names are recorded."""

_DIGITS = bytes.maketrans(b"\0\1", b"01")
_BYTES = bytes.maketrans(b"01", b"\0\1")


class Sized(Protocol):
    """What plans are made from. num_samples: [users] of one file."""

    @property
    def num_samples(self) -> Sequence[int]: ...


@dataclass(frozen=True)
class Counts:
    """The users of one file, as in its head. users: [n] unique ids; num_samples: [n]; hierarchies: [n] or None."""

    users: Sequence[str]
    num_samples: Sequence[int]
    hierarchies: Sequence[Any] | None
    data_order: Sequence[int]
    """[n] positions in `users`, in the order of user_data."""

    def pick_hierarchies(self, users: Iterable[int]) -> list[Any] | None:
        """Return the hierarchies at these positions, None where the file has none."""
        return None if self.hierarchies is None else [self.hierarchies[user] for user in users]


@dataclass(frozen=True)
class Whole:
    user: int


@dataclass(frozen=True)
class Ordered:
    """The samples numbered, in the order given."""

    user: int
    samples: Sequence[int]


@dataclass(frozen=True)
class Masked:
    user: int
    mask: bytes
    """One byte per sample: 1 takes it, 0 leaves it."""


@dataclass(frozen=True)
class Pooled:
    samples: Sequence[int]


@dataclass(frozen=True)
class WholeUsers:
    """Users at these positions of the input, and one more who gives some samples only."""

    users: array[int]
    cut: Ordered | None = None

    def __len__(self) -> int:
        return len(self.users) + (self.cut is not None)

    def __getitem__(self, number: int) -> Whole | Ordered:
        """Return one user's pick."""
        if number == len(self.users) and self.cut is not None:
            return self.cut
        return Whole(self.users[number])

    @property
    def positions(self) -> Sequence[int]:
        """[users] of the output, where each stands in the input."""
        return self.users if self.cut is None else array("q", [*self.users, self.cut.user])


@dataclass(frozen=True)
class MaskedUsers:
    """Users at these positions of the input, each with some of their samples. sizes: [users] of the input."""

    positions: array[int]
    sizes: array[int]
    bits: bytes
    """One bit per sample of these users, the first one lowest; a 1 takes it."""

    @classmethod
    def of(cls, positions: Iterable[int], sizes: Iterable[int], mask: bytes) -> MaskedUsers:
        """Pack masks. mask: one byte per sample of these users, 1 or 0, one user after the other."""
        bits = int(b"0" + mask[::-1].translate(_DIGITS), 2).to_bytes((len(mask) + 7) // 8, "little")
        return cls(array("q", positions), array("q", sizes), bits)

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, number: int) -> Masked:
        """Return one user's pick."""
        return Masked(self.positions[number], self.masks(number, number + 1)[0])

    def masks(self, start: int, stop: int) -> list[bytes]:
        """Return the masks of users from number `start` to before `stop`, one byte per sample, 1 or 0."""
        mask, ends = self._mask, self._ends[start : stop + 1]
        return [mask[begin:end] for begin, end in pairwise(ends)]

    @cached_property
    def _ends(self) -> array[int]:
        return array("q", accumulate(self.sizes, initial=0))

    @cached_property
    def _mask(self) -> bytes:
        size = sum(self.sizes)
        digits = format(int.from_bytes(self.bits, "little"), f"0{size}b") if size else ""
        return digits.encode().translate(_BYTES)[::-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return MaskedUsers, (self.positions, self.sizes, self.bits)


@dataclass(frozen=True)
class PooledUsers:
    """New users, of consecutive runs of these samples. sizes: [users] of the runs."""

    samples: array[int]
    sizes: array[int]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, number: int) -> Pooled:
        """Return one user's pick."""
        end = self._ends[number]
        return Pooled(self.samples[end - self.sizes[number] : end])

    @cached_property
    def _ends(self) -> list[int]:
        return list(accumulate(self.sizes))

    def __reduce__(self) -> tuple[Any, ...]:
        return PooledUsers, (self.samples, self.sizes)


Picks = WholeUsers | MaskedUsers | PooledUsers


@dataclass(frozen=True)
class FilePlan:
    """One output file. num_samples: [users], as its head has them; picks: [users], how each is made.

    first_name: the name of the first of new users, who are numbered; None for users that keep their names.
    """

    num_samples: Sequence[int]
    picks: Picks
    first_name: int | None = None

    @classmethod
    def of_whole_users(cls, source: Sized, users: Iterable[int]) -> FilePlan:
        """Return the plan of a file with these users of the source, each with all that they have."""
        positions = array("q", users)
        return cls(array("q", map(source.num_samples.__getitem__, positions)), WholeUsers(positions))

    @classmethod
    def of_masks(cls, source: Sized, users: Sequence[int], mask: bytes, num_samples: Iterable[int]) -> FilePlan:
        """Return the plan of a file with samples of some users of the source. users: [n], 1 for each user in it.

        mask: one byte per sample of those users, 1 or 0, one user after the other; num_samples: how many of each are 1.
        """
        sizes = list(compress(source.num_samples, users))
        picks = MaskedUsers.of(compress(range(len(users)), users), sizes, mask)
        return cls(array("q", num_samples), picks)

    def names(self, source: Counts) -> Names:
        """Return the users of the output."""
        if isinstance(self.picks, PooledUsers):
            first = self.first_name or 0
            return Names.of(map(str, range(first, first + len(self.picks))))
        return Names.of(source.users).pick(self.picks.positions)

    def hierarchies(self, source: Counts) -> list[Any] | None:
        """Return the hierarchies of the output's users, None for new users or where the source has none."""
        return None if isinstance(self.picks, PooledUsers) else source.pick_hierarchies(self.picks.positions)

    def copies(self, source: Sized) -> bool:
        """Whether this plan takes all users whole and in order, so that the output says what the input says."""
        picks = self.picks
        if not isinstance(picks, WholeUsers) or picks.cut is not None or len(picks) != len(source.num_samples):
            return False
        return all(map(int.__eq__, picks.users, range(len(picks))))


@dataclass(frozen=True)
class StagePlan:
    """What a stage does. files: for each input file, in order, the output of each folder of the stage.

    The files' plans may be drawn as they are asked for, once and in order: only one of them need be held at a time.
    users: about how many are processed; left_out: file and position of the first `NAMED` dropped users, those that the
    stage could not process; num_left_out: the number of all dropped users.
    """

    files: Iterable[dict[str, FilePlan]]
    users: int
    left_out: Sequence[tuple[int, int]] = ()
    num_left_out: int = 0
