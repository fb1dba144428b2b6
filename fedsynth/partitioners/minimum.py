"""The least number of samples of a user, met by moving as few as possible."""

from __future__ import annotations

import numpy as np

from fedsynth.partitioners.draws import MINIMUM, Places, grouping, shuffled_range, stream


def meet_minimum(dealt: Places, num_users: int, least: int, seed: int) -> Places:
    """Return the users of all samples, [samples], so that each user has at least this number of samples.

    Each sample that moves goes to a user who has too few, and none comes from one who would then have too few: so
    exactly as many move as are missing. Which ones is drawn from all that can be spared, and who gets them goes by
    their order, so that users who differ in their classes go on doing so. There must be enough samples.
    """
    sizes = np.bincount(dealt, minlength=num_users)
    missing = np.maximum(least - sizes, 0)
    if not missing.any():
        return dealt
    rng = stream(seed, MINIMUM)
    order = shuffled_range(rng, len(dealt))
    order = order[grouping(dealt[order], num_users)]
    rank = np.arange(len(dealt)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    spare = np.sort(order[rank >= least])
    moved = np.sort(spare[shuffled_range(rng, len(spare))[: missing.sum()]])
    result = dealt.copy()
    result[moved] = np.repeat(np.arange(num_users, dtype=np.int32), missing)
    return result
