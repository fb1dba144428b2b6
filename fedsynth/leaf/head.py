"""The head of a LEAF file: its users and how many samples each has, which stand before the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedsynth.leaf.frames import pass_users
from fedsynth.leaf.index import LeafWalk, open_unchanged


def read_head(path: Path) -> dict[str, Any]:
    """Return the values of `users`, `num_samples` and, where it stands before the data, `hierarchies`.

    Reads no further than the head, so what it says of the data is not checked; where the data stands before users or
    num_samples, the file is read to its end. Raises DataError if the head is not LEAF's.
    """
    with open_unchanged(path) as (file, _):
        walk = LeafWalk(file, path)
        if not walk.to_data():
            pass_users(walk)
        return walk.head
