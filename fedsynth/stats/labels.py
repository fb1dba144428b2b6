"""How far apart users are in their labels, and how far apart chance alone would put them."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedsynth.stats.blocks import UserBlock
from fedsynth.stats.chance import Margins, chance_levels, hellinger

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

Label = int | float | str
"""What can be a class: whole numbers, texts, true and false."""


@dataclass(frozen=True)
class LabelTable:
    """The matrix N of users x classes, without its zeros: entry i says that users[i] has counts[i] of classes[i].

    Entries are in the order of users. sizes: [users] all labels of each; names: [classes] the labels, in order.
    """

    users: Ints
    classes: Ints
    counts: Ints
    sizes: Ints
    names: Sequence[Label]

    @property
    def totals(self) -> Ints:
        """All users' samples of each class: [classes]."""
        totals = np.bincount(self.classes, self.counts, len(self.names))  # sums of whole numbers, exact up to 2**53
        return totals.astype(np.int64)

    def rows(self, users: Sequence[int]) -> Floats:
        """Return the class shares p of some users: [len(users), classes], zeros for a user without samples."""
        row_of = np.full(len(self.sizes), -1)
        row_of[list(users)] = np.arange(len(users))
        wanted = row_of[self.users] >= 0
        shares = np.zeros((len(users), len(self.names)))
        cells = row_of[self.users[wanted]], self.classes[wanted]
        shares[cells] = self.counts[wanted] / self.sizes[self.users[wanted]]
        return shares


class LabelCounter:
    """Count labels user by user, or many users at once. reason: why they are no classes, "" as long as they are.

    Holds 16 bytes for each class that a user has, and for each user.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._names: dict[Label, int] = {}
        self._users, self._sizes = array("q"), array("q")
        self._cells = array("q"), array("i"), array("i")  # users' positions, numbers of classes, counts

    def add(self, user: int, labels: Sequence[Any]) -> None:
        """Take the labels, as JSON has them, of the user at this position; all positions come, in any order."""
        if self.reason:
            return
        try:
            counts = Counter(labels)
        except TypeError:
            self.reason = "labels are lists or objects, no classes"
            return
        strange = next((label for label in counts if not _is_class(label)), None)
        if strange is not None or None in counts:
            self.reason = f"labels such as {strange!r} are no classes"
            return
        self._users.append(user)
        self._sizes.append(len(labels))
        users, classes, numbers = self._cells
        users.extend([user] * len(counts))
        classes.extend(self._number(label) for label in counts)
        numbers.extend(counts.values())

    def add_block(self, users: range, block: UserBlock) -> None:
        """Take the labels of the users at these positions, of whom the block has those with samples."""
        if self.reason:
            return
        sizes = np.zeros(len(users), np.int64)
        sizes[block.users - users.start] = block.sizes
        self._users.extend(users)
        self._sizes.frombytes(sizes.tobytes())
        if len(block.users):
            cells, numbers = block.cells, np.array([self._number(label) for label in block.labels])
            self._take(block.users[cells.users], numbers[cells.codes], cells.counts)

    def merge(self, other: LabelCounter) -> None:
        """Take all that another counter, of other users, has counted."""
        self.reason = self.reason or other.reason
        if self.reason:
            return
        self._users.extend(other._users)
        self._sizes.extend(other._sizes)
        numbers = np.array([self._number(name) for name in other._names], np.int64)
        users, classes, counts = map(_whole, other._cells)
        self._take(users, numbers[classes], counts)

    def table(self) -> LabelTable:
        """Return what was counted, the classes in order: numbers by value, before texts."""
        names = sorted(self._names, key=_order)
        numbers = np.empty(len(names), np.int64)
        numbers[[self._names[name] for name in names]] = np.arange(len(names))
        users, sizes = _whole(self._users), _whole(self._sizes)
        owners, classes, counts = map(_whole, self._cells)
        if (users[1:] < users[:-1]).any():
            order, by_user = np.argsort(users, kind="stable"), np.argsort(owners, kind="stable")
            users, sizes = users[order], sizes[order]
            owners, classes, counts = owners[by_user], classes[by_user], counts[by_user]
        ranks = owners if len(users) and users[-1] == len(users) - 1 else np.searchsorted(users, owners)
        return LabelTable(ranks, numbers[classes], counts.astype(np.int64), sizes, names)

    def _number(self, label: Label) -> int:
        return self._names.setdefault(label, len(self._names))

    def _take(self, *cells: Ints) -> None:
        for kept, more in zip(self._cells, cells, strict=True):
            kept.frombytes(np.ascontiguousarray(more, np.dtype(kept.typecode)).tobytes())


def margins(table: LabelTable) -> Margins:
    """Return what is the same of these labels, however they are redistributed."""
    return Margins(table.sizes[table.sizes > 0], table.totals)


def label_measures(table: LabelTable, rng: Generator) -> dict[str, float]:
    """Return the `label.` measures of users with samples, at least one; the order of users makes no difference."""
    return beside_chance(table, chance_levels(margins(table), rng))


def beside_chance(table: LabelTable, chance: Mapping[str, float]) -> dict[str, float]:
    """Return the `label.` measures as `label_measures` does. chance: what `chance_levels` gives of these labels.

    `_chance` is what the measure would be with all labels redistributed at random among users of these sizes;
    `_adjusted` is (value - chance) / (1 - chance): 0 for what chance shows, 1 for users as far apart as can be. It is
    skipped where chance alone gives 1, as among users of one sample each.
    """
    some = table.sizes > 0
    largest = np.maximum.reduceat(table.counts, np.flatnonzero(np.diff(table.users, prepend=-1)))
    found = distances(table)
    return {
        "label.classes_per_user": float(len(table.users) / some.sum()),
        "label.majority_share": float((largest / table.sizes[some]).mean()),
        **found,
        **{f"{key}_chance": value for key, value in chance.items()},
        **{f"{key}_adjusted": (found[key] - level) / (1 - level) for key, level in chance.items() if level < 1 - 1e-9},
    }


def distances(table: LabelTable) -> dict[str, float]:
    """Return jensen_shannon, hellinger and total_variation; each in [0, 1], 0.0 if all users are alike."""
    pooled = table.totals / table.counts.sum()
    shares = table.counts / table.sizes[table.users]
    weights = table.sizes / table.counts.sum()
    return {
        "label.jensen_shannon": _jensen_shannon(table, pooled, shares),
        "label.hellinger": _hellinger(table, shares),
        "label.total_variation": _total_variation(table, pooled, shares, weights),
    }


def _whole(values: array[int]) -> Ints:
    return np.frombuffer(values, np.dtype(values.typecode))


def _jensen_shannon(table: LabelTable, pooled: Floats, shares: Floats) -> float:
    """(H(q) - sum w_k H(p_k)) / H(q): the mutual information of user and label as a share of the label's entropy."""
    entropy = -float(np.sum(pooled * np.log(pooled)))
    if len(table.names) < 2:
        return 0.0
    within = -float(np.sum(table.counts / table.counts.sum() * np.log(shares)))
    return _clip((entropy - within) / entropy)


def _hellinger(table: LabelTable, shares: Floats) -> float:
    """The root of the mean over pairs of half the squared distance of root shares.

    Over ordered pairs of K users that sums up to K^2 - |sum_k sqrt(p_k)|^2, so no pair is looked at.
    """
    roots = np.asarray(np.bincount(table.classes, np.sqrt(shares), len(table.names)), np.float64)
    return _clip(hellinger(int((table.sizes > 0).sum()), roots))


def _total_variation(table: LabelTable, pooled: Floats, shares: Floats, weights: Floats) -> float:
    """Sum w_k * half the L1 distance of p_k and q. Classes that a user has not add what q has of them."""
    own = pooled[table.classes]
    distance = np.bincount(table.users, np.abs(shares - own) - own, len(weights)) + 1
    return _clip(float(weights @ distance) / 2)


def _clip(value: float) -> float:
    """Take off what rounding puts below 0 or above 1."""
    return min(max(value, 0.0), 1.0)


def _is_class(label: Hashable) -> bool:
    return isinstance(label, int | str) or (isinstance(label, float) and label.is_integer())


def _order(label: Label) -> tuple[bool, float, str]:
    return (True, 0.0, label) if isinstance(label, str) else (False, label, "")
