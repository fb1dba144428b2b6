"""Own data for users: samples in memory assigned to them, and users in memory written as LEAF's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.api.partitions import Partition
from fedsynth.errors import DataError, UsageError
from fedsynth.leaf.folder import write_folder
from fedsynth.partitioners.assign import assign, assign_naturally
from fedsynth.partitioners.column import Column, to_column
from fedsynth.partitioners.request import DEFAULT_SEED, Request
from fedsynth.pipeline.partition_levels import solve_levels, with_knobs, with_levels
from fedsynth.pipeline.target import Asked, make_targets


def partition(
    labels: Any,
    *,
    users: int | Sequence[Any] | NDArray[Any] | None = None,
    scheme: str = "dirichlet",
    by: Any = None,
    bins: int | None = None,
    alpha: float | None = None,
    sigma: float | None = None,
    sizes: Sequence[int] | None = None,
    classes: int | None = None,
    shards: int | None = None,
    min_samples: int = 1,
    clusters: int = 1,
    swap_labels: int = 0,
    targets: Asked | None = None,
    seed: int = DEFAULT_SEED,
) -> Partition:
    """Assign samples to users; every sample goes to exactly one. The same seed gives the same on every machine.

    The schemes, with the parameters of each:

        iid                             users differ in nothing
        quantity                        in their sizes: lognormal of `sigma`, or listed in `sizes`
        dirichlet         alpha         for each class, its shares over the users are Dirichlet(alpha)
        inner-dirichlet   alpha         each user's class shares are Dirichlet(alpha q); sizes as for quantity, or equal
        classes           classes       each user has exactly `classes` classes
        shards            shards        samples sorted by class, cut into `shards` shards a user, assigned at random
        natural                         users are given

    Args:
        labels: [n], a class for each sample: numbers or texts.
        users: How many; for scheme natural, [n], whose each sample is.
        scheme: One of those above.
        by: [n], what to assign by instead of the labels, such as a domain.
        bins: How many classes of nearly equal counts to cut the numbers into that are assigned by.
        alpha: Concentration, small for users who are far apart.
        sigma: Standard deviation of the sizes' logarithm.
        sizes: [users] the users' sizes, instead of sigma.
        classes: Classes of each user.
        shards: Shards of each user.
        min_samples: Of the smallest user, met by moving as few samples as possible.
        clusters: Of users; in each but the first some classes exchange their labels in a cycle.
        swap_labels: How many classes do.
        targets: Measures and the levels that they are to have, such as `{"label.hellinger": 0.5}`: the parameter that
            moves each, alpha, sigma, classes or shards, is found, and stands in the partition's `request`.
        seed: 0 to 2**64 - 1.

    Returns:
        Partition: a mapping of users' names to the indices of their samples.

    Raises:
        UsageError: For what is impossible, saying what would be possible.
        DataError: For labels that are no classes.

    Examples:
        >>> import fedsynth
        >>> part = fedsynth.partition([0, 1] * 50, users=4, scheme="classes", classes=1, seed=1)
        >>> part
        <Partition classes: 4 users, 100 samples>
        >>> part.num_samples
        array([25, 25, 25, 25])
    """
    names = _names(users, scheme)
    levels = make_targets(targets or {})
    given = {
        "users": None if names is not None or users is None else index(users),  # type: ignore[arg-type]
        "alpha": alpha,
        "sigma": sigma,
        "sizes": None if sizes is None else [index(size) for size in sizes],
        "classes": classes,
        "shards": shards,
        "min_samples": min_samples,
        "clusters": clusters,
        "swap_labels": swap_labels,
        "seed": seed,
    }
    request = Request(scheme=scheme, **with_knobs(scheme, levels, given))
    by_column = to_column(labels if by is None else by, name="labels" if by is None else "by", bins=bins)
    classes_there = by_column if by is None and bins is None else _classes_of(labels, needed=clusters > 1)
    known = classes_there or by_column
    for column in (known, names):
        if column is not None and len(column.codes) != len(by_column.codes):
            raise DataError(
                f"columns have {len(by_column.codes)} and {len(column.codes)} values, expected one a sample"
            )
    request = with_levels(request, solve_levels(by_column, classes_there, request, levels))
    found = assign(by_column, known, request) if names is None else assign_naturally(names, known, request)
    return Partition(found, labels, classes_there, request)


def write_leaf(
    folder: str | Path, users: Mapping[str, Any], *, num_shards: int = 1, overwrite: bool = False
) -> list[Path]:
    """Write users as LEAF's files, all_data.json or several shards, into a folder, which appears whole or not at all.

    Args:
        folder: Where; it is made if need be.
        users: A mapping of users to (x, y): arrays, tensors or sequences of what JSON can hold, one entry a sample; or
            to datasets with features and labels, as `LeafDataset` has. Asked for twice, and held, one at a time.
        num_shards: Number of files.
        overwrite: Replace what is there.

    Returns:
        The files.

    Raises:
        StageError: If the folder is in use, unless overwrite.
        DataError: For values that JSON can't hold.

    Examples:
        >>> import fedsynth
        >>> files = fedsynth.write_leaf("own/all_data", {"a": ([[0.5, 1.0]], [1]), "b": ([[2.0, 3.0]], [0])})
        >>> fedsynth.LeafDataset("own/all_data")["b"].features
        array([[2., 3.]])
    """
    return write_folder(Path(folder), users, num_shards=num_shards, overwrite=overwrite)


def _names(users: Any, scheme: str) -> Column | None:
    """Return the users of a natural partition, None for any other."""
    number = users is None or (hasattr(users, "__index__") and not np.ndim(users))
    if scheme != "natural" and not number:
        raise UsageError(f"users is {type(users).__name__}, expected how many for scheme {scheme}; or say natural")
    if scheme == "natural" and number:
        raise UsageError("users is a number or absent, expected a name for each sample for scheme natural")
    return to_column(users, name="users") if scheme == "natural" else None


def _classes_of(labels: Any, *, needed: bool) -> Column | None:
    """Return labels as classes; None if they are none, such as targets of a regression, and needn't be."""
    try:
        return to_column(labels)
    except DataError:
        if needed:
            raise
        return None
