"""Run a scheme: a column in, each sample's user out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.by_classes import assign_classes, assign_shards
from fedsynth.partitioners.by_dirichlet import assign_classes_by_dirichlet, assign_users_by_dirichlet
from fedsynth.partitioners.column import Column
from fedsynth.partitioners.draws import ORDER, UserOf, grouping, shuffled_range, stream
from fedsynth.partitioners.minimum import meet_minimum
from fedsynth.partitioners.request import Request
from fedsynth.partitioners.sizes import assign_by_size
from fedsynth.partitioners.swaps import draw_clusters, draw_swaps
from fedsynth.words import counted

Sizes = NDArray[np.int64]

_ASSIGNERS: Mapping[str, Callable[[Sizes, Request], UserOf]] = {
    "iid": assign_by_size,
    "quantity": assign_by_size,
    "dirichlet": assign_classes_by_dirichlet,
    "inner-dirichlet": assign_users_by_dirichlet,
    "classes": assign_classes,
    "shards": assign_shards,
}


@dataclass(frozen=True)
class Assignment:
    """Who has what. user_of: [samples] int32, positions in users.

    clusters: [users], None where there is but one; swaps: [clusters, classes], what label each class has in a cluster.
    """

    users: Sequence[str]
    user_of: NDArray[np.int32]
    clusters: NDArray[np.int64] | None = None
    swaps: NDArray[np.int64] | None = None

    @cached_property
    def num_samples(self) -> Sizes:
        """How many samples each user has: [users]."""
        return np.bincount(self.user_of, minlength=len(self.users))


def assign(by: Column, labels: Column, request: Request) -> Assignment:
    """Assign each sample to one user: by the classes of one column, labels exchanged by those of another.

    Takes O(n log n) steps for n samples, the Dirichlet schemes users x classes more; never tries again. Raises
    UsageError for what is impossible, with what would be possible.
    """
    user_of = np.empty(len(by.codes), np.int32)
    user_of[in_order(by, request.seed)] = assign_sorted(by.totals, request)
    num_users = request.users if request.sizes is None else len(request.sizes)
    assert num_users is not None  # the request has looked
    return with_clusters([str(user) for user in range(num_users)], user_of, labels, request)


def assign_naturally(names: Column, labels: Column, request: Request) -> Assignment:
    """Give each sample to the user that a column names, users in the order of their names, numbers by value."""
    return with_clusters([str(name) for name in names.values], names.codes, labels, request)


def assign_sorted(totals: Sizes, request: Request) -> UserOf:
    """Return the user of each sample, samples sorted by class: [samples]. totals: [classes] samples of each."""
    num_users = request.users if request.sizes is None else len(request.sizes)
    if num_users is None or request.scheme not in _ASSIGNERS:
        raise UsageError(f"{named('scheme')} is {request.scheme}, expected one of {', '.join(sorted(_ASSIGNERS))}")
    num_samples = int(totals.sum())
    if num_samples >= 1 << 31:
        raise UsageError(f"there are {num_samples:,} samples, expected less than {1 << 31:,}; partition them in parts")
    if num_users > num_samples:
        raise UsageError(f"{named('users')} is {num_users:,}, expected at most {num_samples:,}, the number of samples")
    if num_users * request.min_samples > num_samples:
        raise UsageError(
            f"{named('min_samples')} is {request.min_samples:,} for {counted(num_users, 'user')}, expected at most "
            f"{num_samples // num_users:,}: there are {counted(num_samples, 'sample')}; or at most "
            f"{counted(num_samples // request.min_samples, 'user')}"
        )
    user_of = _ASSIGNERS[request.scheme](totals, request)
    return meet_minimum(user_of, num_users, request.min_samples, request.seed)


def in_order(by: Column, seed: int) -> NDArray[np.int32]:
    """Return all samples in the order of their classes, at random within each."""
    shuffled = shuffled_range(stream(seed, ORDER), len(by.codes))
    return shuffled[grouping(by.codes[shuffled], len(by.values))]


def with_clusters(users: Sequence[str], user_of: NDArray[np.int32], labels: Column, request: Request) -> Assignment:
    """Return an assignment with the clusters and exchanged labels that are asked for. Raises UsageError."""
    if request.clusters == 1:
        return Assignment(users, user_of)
    if request.clusters > len(users):
        raise UsageError(
            f"{named('clusters')} is {request.clusters}, expected at most {len(users)}, the number of users"
        )
    swaps = draw_swaps(len(labels.values), request)
    return Assignment(users, user_of, draw_clusters(len(users), request), swaps)
