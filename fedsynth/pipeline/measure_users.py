"""The measures of users in memory, without any files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedsynth.errors import DataError, UsageError
from fedsynth.pipeline.run import Bar, no_bar
from fedsynth.stats.heterogeneity import Meter
from fedsynth.stats.summary import summarize

NO_TRUTH = "users in memory have no ground truth"
_EXPECTED = "expected labels, a tuple (x, y), or a dataset with features and labels"


def measure_users(users: Mapping[Any, Any], *, features: bool = True, bar: Bar = no_bar) -> dict[str, Any]:
    """Return LEAF's statistics of users, and the measures by their keys, as for a folder with the same users.

    users: by name, each their labels [n], a tuple (x, y), x [n, ...], or a dataset with features and labels: arrays,
    tensors or lists. Each is asked for twice, and one held at a time. Measures that need x are skipped where a user
    has labels alone, and without `features`. Raises DataError if there are no users, or x and y differ in length;
    UsageError for users that are anything else.
    """
    if not users:
        raise DataError("there are no users to measure, expected one or more; name data that has some")
    sizes, with_x = [], features
    for user in users:
        x, y = _samples(user, users[user])
        sizes.append(len(y))
        with_x = with_x and x is not None
    names = [str(user) for user in users]
    meter = Meter(sizes, None, no_truth=NO_TRUTH, features=with_x, names=names)
    with bar("measure", len(sizes)) as progress:
        for position, user in enumerate(users):
            x, y = _samples(user, users[user])
            meter.add(position, _plain(x) if meter.wants_x and x is not None else (), _plain(y))
            progress(1)
    return {**summarize(sizes).as_json(), **meter.measures().as_json()}


def _samples(name: Any, user: Any) -> tuple[Any, Any]:
    """Return a user's x, None if they have labels alone, and y."""
    if hasattr(user, "features") and hasattr(user, "labels"):
        user = user.features, user.labels
    x, y = user if isinstance(user, tuple) and len(user) == 2 else (None, user)
    for what, values in (("x", x), ("y", y)):
        if values is not None and (not hasattr(values, "__len__") or isinstance(values, str | bytes | Mapping)):
            raise UsageError(f'user "{name}" has {values!r:.40} for {what}; {_EXPECTED}')
    if x is not None and len(x) != len(y):
        raise DataError(f'user "{name}" has {len(x)} entries in x but {len(y)} in y, expected as many')
    return x, y


def _plain(values: Any) -> Sequence[Any]:
    """Return Python's own lists and numbers, as a file would have them."""
    if hasattr(values, "tolist"):
        found: list[Any] = values.tolist()
        return found
    return [value.tolist() if hasattr(value, "tolist") else value for value in values]
