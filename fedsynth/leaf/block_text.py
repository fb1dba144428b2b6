"""The text of many users at once: what it takes to write a user of few numbers is mostly the calls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from fedsynth.leaf.text import encode_rows, has_other_notation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def block_text(users: Sequence[str], sizes: Sequence[int], x: Floats, y: Ints) -> bytes:
    """Return the text of users in `user_data`, `"id": {"x": [...], "y": [...]}, ...`, as `json.dump` writes it.

    users: ids of digits and ASCII letters; sizes: [users], how many samples each has; x: [sum of sizes, D] finite, D at
    least 1; y: likewise. One call writes all users; of the few with a float that it would write otherwise than Python's
    `repr`, x is put in as text. Holds all of the text, twice.
    """
    bounds = [*pairwise(accumulate(sizes, initial=0))]
    values: dict[str, Any] = {
        user: {"x": x[start:end], "y": y[start:end]} for user, (start, end) in zip(users, bounds, strict=True)
    }
    for row in np.flatnonzero(has_other_notation(x)).tolist():
        number = int(np.searchsorted([end for _, end in bounds], row, side="right"))
        rows = slice(*bounds[number])
        text = encode_rows(x[rows]).replace(b", ", b",")
        values[users[number]] = {"x": orjson.Fragment(b"[" + text + b"]"), "y": y[rows]}
    text = orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)
    return text[1:-1].replace(b",", b", ").replace(b":", b": ")
