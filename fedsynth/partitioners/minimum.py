"""The least number of samples of a user, met by moving as few as possible."""

from __future__ import annotations

import numpy as np

from fedsynth.partitioners.draws import MINIMUM, UserOf, grouping, shuffled_range, stream


def meet_minimum(user_of: UserOf, num_users: int, least: int, seed: int) -> UserOf:
    """Return the user of each sample, [samples], after moves that give each user at least `least` samples.

    Each sample that moves goes to a user who has too few, and none comes from one who would then have too few: so
    exactly as many move as are missing. Which ones is drawn from all that can be spared, and they are given in
    their order, so that users who differ in their classes still differ. There must be enough samples.
    """
    sizes = np.bincount(user_of, minlength=num_users)
    missing = np.maximum(least - sizes, 0)
    if not missing.any():
        return user_of
    rng = stream(seed, MINIMUM)
    order = shuffled_range(rng, len(user_of))
    order = order[grouping(user_of[order], num_users)]
    rank = np.arange(len(user_of)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    spare = np.sort(order[rank >= least])
    moved = np.sort(spare[shuffled_range(rng, len(spare))[: missing.sum()]])
    result = user_of.copy()
    result[moved] = np.repeat(np.arange(num_users, dtype=np.int32), missing)
    return result
