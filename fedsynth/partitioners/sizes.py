"""How many samples users get where a scheme says nothing else: equally many, lognormally many, or as listed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.draws import ASSIGN, SIZES, UserOf, stream, whole_parts
from fedsynth.partitioners.request import Request


def user_sizes(num_samples: int, request: Request) -> NDArray[np.int64]:
    """Return how many samples each user gets: [users], of sum num_samples, none below the least that is asked for.

    Quantity skew is one of the kinds of Li et al., "Federated learning on non-IID data silos" (2022); the distribution
    is that of LEAF's sizes: exp(sigma z), z standard normal, here scaled to the sum. Raises UsageError for listed sizes
    of another sum.
    """
    if request.sizes is not None:
        total = sum(request.sizes)
        if total != num_samples:
            raise UsageError(
                f"{named('sizes')} adds up to {total:,}, expected {num_samples:,}, the number of samples: every one "
                "goes to a user"
            )
        return np.array(request.sizes, np.int64)
    assert request.users is not None  # the request has looked
    rng = stream(request.seed, SIZES)
    normal, offset = rng.standard_normal(request.users), rng.random_sample()
    logs = (request.sigma or 0.0) * normal
    sizes = whole_parts(np.exp(logs - logs.max()), num_samples, offset if request.sigma else 0.0)
    return raise_sizes(sizes, request.min_samples, offset)


def raise_sizes(sizes: NDArray[np.int64], least: int, offset: float) -> NDArray[np.int64]:
    """Give those who have too few as many as they lack, from the others, each in proportion to what it can spare."""
    missing, spare = np.maximum(least - sizes, 0), np.maximum(sizes - least, 0)
    if not missing.any():
        return sizes
    total = int(spare.sum())
    ends = (np.cumsum(spare) * int(missing.sum()) + int(offset * total)) // total  # whole: nobody gives too much
    return sizes + missing - np.diff(ends, prepend=0)


def assign_by_size(totals: NDArray[np.int64], request: Request) -> UserOf:
    """Assign samples to users whatever their classes: schemes iid and quantity."""
    sizes = user_sizes(int(totals.sum()), request)
    users = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    stream(request.seed, ASSIGN).shuffle(users)
    return users
