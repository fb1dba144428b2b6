"""A partition: who has which samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import DataError, UsageError
from fedsynth.partitioners.assign import Assignment
from fedsynth.partitioners.column import Column
from fedsynth.partitioners.draws import grouping
from fedsynth.partitioners.request import Request
from fedsynth.pipeline.partition_measures import measure_assignment, swapped
from fedsynth.words import counted

Ints = NDArray[np.int64]


class Partition(Mapping[str, Ints]):
    """Who has which samples: a mapping of users' names to the indices of their samples, [samples] int64, sorted.

    Two are equal if they are the same object.

    Attributes:
        users: [users] names.
        num_samples: [users] int64.
        user_of: [n] int64, for each sample the position of its user in users.
        clusters: [users] int64, None where labels were not exchanged.
        swaps: [clusters, classes] int64, the label that each class has in a cluster, in positions in `classes`, or
            None.
        classes: The labels there are, sorted; None where they are no classes.
        request: What was asked for, with the parameters that targets chose.

    Examples:
        >>> import fedsynth
        >>> part = fedsynth.partition([0, 0, 1, 1, 2, 2], users=3, scheme="iid", seed=1)
        >>> part.users
        ['0', '1', '2']
        >>> sorted(index for indices in part.values() for index in indices.tolist())
        [0, 1, 2, 3, 4, 5]
        >>> x, y = part.take([[0.1], [0.2], [0.3], [0.4], [0.5], [0.6]])["0"]
        >>> len(x), len(y)
        (2, 2)
    """

    def __init__(self, assignment: Assignment, labels: Any, column: Column | None, request: Request) -> None:
        self._assignment = assignment
        self._labels = labels
        self._column = column
        self.request = request
        self.users = list(assignment.users)
        self.num_samples = assignment.num_samples
        self.clusters = assignment.clusters
        self.swaps = assignment.swaps
        self.classes = None if column is None else list(column.values)
        self._position = {user: position for position, user in enumerate(self.users)}

    @property
    def user_of(self) -> Ints:
        """The position of each sample's user in users: [n] int64."""
        return self._assignment.user_of.astype(np.int64)

    def __getitem__(self, user: str) -> Ints:
        """Return the indices of a user's samples, sorted."""
        position = self._position[user]
        start = int(self._starts[position])
        return self._order[start : start + int(self.num_samples[position])]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the users' names, in their order."""
        return iter(self.users)

    def __len__(self) -> int:
        """Return the number of users."""
        return len(self.users)

    def __contains__(self, user: object) -> bool:
        """Whether there is a user of this name."""
        return user in self._position

    __eq__ = object.__eq__  # a Mapping's would compare arrays
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        samples = int(self.num_samples.sum())
        return f"<Partition {self.request.scheme}: {counted(len(self), 'user')}, {counted(samples, 'sample')}>"

    def measure(self) -> dict[str, Any]:
        """Return the measures of heterogeneity that need no features, as `fedsynth.measure` names them."""
        return measure_assignment(self._assignment, self._column)

    def take(self, x: Any, y: Any = None) -> Mapping[str, tuple[Any, Any]]:
        """Return users with their samples, a mapping of names to (x, y), each taken when asked for.

        x: [n, ...], an array, tensor or sequence; y: [n], absent: the labels that were partitioned. Where clusters
        exchange labels, y is after the exchange, and can't be given. Raises DataError for another number of samples.
        """
        if y is not None and self.swaps is not None and not np.array_equal(y, self._labels):
            raise UsageError("y are other labels than the partition's, which clusters exchange; leave y out")
        if self.swaps is not None and self._column is not None:
            y = np.array(self._column.values)[swapped(self._assignment, self._column.codes)]
        y = self._labels if y is None else y
        for name, values in (("x", x), ("y", y)):
            if len(values) != len(self._assignment.user_of):
                raise DataError(
                    f"{name} has {len(values)} entries, expected {len(self._assignment.user_of)}, one a sample"
                )
        return _Taken(self, x, y)

    @cached_property
    def _order(self) -> Ints:
        return grouping(self._assignment.user_of, len(self.users))

    @cached_property
    def _starts(self) -> Ints:
        return np.cumsum(self.num_samples) - self.num_samples


class _Taken(Mapping[str, tuple[Any, Any]]):
    """Users with their samples, taken when asked for."""

    def __init__(self, partition: Partition, x: Any, y: Any) -> None:
        self._partition = partition
        self._columns = x, y

    def __getitem__(self, user: str) -> tuple[Any, Any]:
        indices = self._partition[user]
        x, y = (_pick(values, indices) for values in self._columns)
        return x, y

    def __iter__(self) -> Iterator[str]:
        return iter(self._partition)

    def __len__(self) -> int:
        return len(self._partition)


def _pick(values: Any, indices: Ints) -> Any:
    if isinstance(values, list | tuple):
        return [values[position] for position in indices.tolist()]
    return values.iloc[indices] if hasattr(values, "iloc") else values[indices]
