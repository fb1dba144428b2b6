"""Who was picked is found in any run of users."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fedsynth.stats.picks import Picks

USERS = st.sets(st.integers(0, 30))


@given(USERS, USERS.filter(bool))
def test_picked_users_are_found_by_their_place(picked: set[int], users: set[int]) -> None:
    picks, in_order = Picks({user: np.array([0]) for user in picked}), sorted(users)
    expected = [place for place, user in enumerate(in_order) if user in picked]
    assert picks.among(np.array(in_order)) == expected
