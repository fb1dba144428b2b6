"""Label skew by Dirichlet shares: of each class over the users, or of each user over the classes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.draws import (
    ASSIGN,
    SHARES,
    SLOTS,
    Floats,
    Int32s,
    UserOf,
    dirichlet,
    grouping,
    shuffled_range,
    stream,
    whole_parts,
)
from fedsynth.partitioners.request import Request
from fedsynth.partitioners.sizes import user_sizes

_ROUNDS = 30
_BLOCK = 1 << 18
"""Slots whose classes are looked up at a time."""
_CELLS = 1 << 18
"""Shares drawn from one stream; another number would be other shares."""
_MOST_CELLS = 1 << 27
"""Users x classes whose shares are held, 1 GiB."""

Sizes = NDArray[np.int64]


def assign_classes_by_dirichlet(totals: Sizes, request: Request) -> UserOf:
    """Assign each class to the users in shares that are Dirichlet(alpha, ..., alpha).

    Yurochkin et al., "Bayesian nonparametric federated learning of neural networks" (2019). The shares themselves are
    drawn: the numbers of samples are the shares, rounded. Takes users x classes steps besides the samples.
    """
    assert request.users is not None and request.alpha is not None  # the request has looked
    concentrations = np.full(request.users, request.alpha)
    users = np.arange(request.users, dtype=np.int32)
    parts = []
    for number, total in enumerate(totals.tolist()):
        rng = stream(request.seed, SHARES, number)
        offset = rng.random_sample()
        parts.append(np.repeat(users, whole_parts(dirichlet(rng, concentrations), total, offset)))
    return np.concatenate(parts)


def assign_users_by_dirichlet(totals: Sizes, request: Request) -> UserOf:
    """Assign to each user classes whose shares are Dirichlet(alpha q), q the classes' shares in all samples.

    Hsu et al., "Measuring the effects of non-identical data distribution" (2019); with sizes as in Acar et al.,
    "Federated learning based on dynamic regularization" (2021). A user's samples are draws from its shares. Where more
    of a class are drawn than there are, as many draws stand as can, chosen at random, and the others are drawn again,
    from what the user's shares say of the classes that are left; after 30 rounds what is left is assigned at random,
    so that it always ends. Holds 8 bytes for each user and class and 40 for each sample.
    """
    num_samples = int(totals.sum())
    sizes = user_sizes(num_samples, request)
    if len(sizes) * len(totals) > _MOST_CELLS:
        most = _MOST_CELLS // len(totals)
        raise UsageError(f"{named('users')} is {len(sizes):,}, expected at most {most:,} with {len(totals):,} classes")
    shares = _shares(totals, len(sizes), request)
    slot_user = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    slot_class = np.empty(num_samples, np.int32)
    left = totals.copy()
    slots = np.arange(num_samples, dtype=np.int32)
    waiting = shuffled_range(stream(request.seed, ASSIGN), num_samples)
    wanted = _draw_classes(shares, slot_user, slots, request.seed, 0)[waiting]
    waiting = _honour(wanted, waiting, slot_class, left)
    for number in range(1, _ROUNDS):
        if not len(waiting):
            break
        wanted = _draw_classes(_open(shares, left), slot_user, waiting, request.seed, number)
        waiting = _honour(wanted, waiting, slot_class, left)
    slot_class[waiting] = np.repeat(np.arange(len(totals), dtype=np.int32), left)
    return slot_user[grouping(slot_class, len(totals))]


def _shares(totals: Sizes, num_users: int, request: Request) -> Floats:
    """Return each user's shares of the classes: [users, classes]."""
    assert request.alpha is not None  # the request has looked
    overall = totals / totals.sum()
    if np.isinf(request.alpha):
        return np.tile(overall, (num_users, 1))
    shares = np.empty((num_users, len(totals)))
    for number, block in enumerate(_blocks(num_users, len(totals))):
        rows = shares[block]
        rows[:] = dirichlet(stream(request.seed, SHARES, number), np.tile(request.alpha * overall, (len(rows), 1)))
    return shares


def _open(shares: Floats, left: Sizes) -> Floats:
    """Return the users' shares of the classes that are left; to a user who has none of them, they are all as good."""
    rest = shares * (left > 0)
    rest[~rest.any(axis=1)] = left
    return rest


def _draw_classes(shares: Floats, slot_user: Int32s, waiting: Int32s, seed: int, number: int) -> Int32s:
    """Draw a class for each waiting slot from its user's shares: [waiting].

    Each slot has a draw of its own in each round, whether it needs one or not.
    """
    num_classes = shares.shape[1]
    ends = np.cumsum(shares, axis=1)
    ends /= ends[:, -1:].copy()
    ends += np.arange(len(shares))[:, np.newaxis]
    draws = stream(seed, SLOTS, number).random_sample(len(slot_user))
    wanted = np.empty(len(waiting), np.int32)
    for start in range(0, len(waiting), _BLOCK):
        slots = waiting[start : start + _BLOCK]
        users = slot_user[slots].astype(np.int64)
        first, last = int(users.min()), int(users.max())
        found = np.searchsorted(ends[first : last + 1].ravel(), users + draws[slots], side="right")
        wanted[start : start + _BLOCK] = np.clip(found - (users - first) * num_classes, 0, num_classes - 1)
    return wanted


def _honour(wanted: Int32s, waiting: Int32s, slot_class: Int32s, left: Sizes) -> Int32s:
    """Give as many slots what they want as there is, the first that wait first; return those that go on waiting."""
    counts = np.bincount(wanted, minlength=len(left))
    given = np.minimum(counts, left)
    by_class = np.split(grouping(wanted, len(left)), np.cumsum(counts)[:-1])
    served = np.concatenate([slots[:size] for slots, size in zip(by_class, given.tolist(), strict=True)])
    slot_class[waiting[served]] = np.repeat(np.arange(len(left), dtype=np.int32), given)
    left -= given
    rest = np.concatenate([slots[size:] for slots, size in zip(by_class, given.tolist(), strict=True)])
    still: Int32s = waiting[np.sort(rest)]
    return still


def _blocks(num_users: int, num_classes: int) -> Iterator[slice]:
    size = max(1, _CELLS // num_classes)
    for start in range(0, num_users, size):
        yield slice(start, start + size)
