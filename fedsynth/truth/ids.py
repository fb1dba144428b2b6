"""Users' ids as arrays, which hold, compare and sort a million of them without an object for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ids = NDArray[Any]

_WIDE = 64
"""Characters beyond twice the mean from which on the longest id is too long to be the width of all."""


def id_array(users: Sequence[str] | Ids) -> Ids:
    """Return ids as an array [users], which compares and sorts them as Python does; an array is returned as it is.

    Mostly that takes four bytes for each character of the longest; it holds Python's own where that is far longer than
    most, and where one ends in NUL, which NumPy would cut off.
    """
    import numpy as np

    if isinstance(users, np.ndarray):
        return users
    lengths = [*map(len, users)]
    too_wide = max(lengths, default=0) * len(users) > 2 * sum(lengths) + _WIDE * len(users)
    as_objects = too_wide or "\0" in "".join(users)
    return np.array(users, np.object_ if as_objects else np.str_)


def find_ids(users: Ids, among: Ids) -> slice | NDArray[np.int64]:
    """Return where each of these ids stands among others, at least one, each there once; anywhere if it isn't there.

    A slice where all are the same in the same order.
    """
    import numpy as np

    if len(users) == len(among) and (users == among).all():
        return slice(None)
    order = np.argsort(among, kind="stable")
    found: NDArray[Any] = order[np.minimum(np.searchsorted(among, users, sorter=order), len(among) - 1)]
    return found
