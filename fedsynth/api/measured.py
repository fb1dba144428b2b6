"""`fedsynth.measure`, `fedsynth.compare` and `fedsynth.fit`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedsynth.api.arguments import folder_path, whole
from fedsynth.api.partitions import Partition
from fedsynth.api.running import choose_bar
from fedsynth.engine import Engine, open_engine
from fedsynth.errors import UsageError
from fedsynth.federated.leaf_dataset import LeafDataset
from fedsynth.pipeline.compare import Comparison
from fedsynth.pipeline.compare import compare as compare_folders
from fedsynth.pipeline.fit import Fit
from fedsynth.pipeline.fit import fit as fit_folder
from fedsynth.pipeline.measure_users import measure_users
from fedsynth.pipeline.stats import describe, require_data

Data = str | os.PathLike[str] | LeafDataset
"""A folder of LEAF's files, or what was opened of it."""


def measure(
    data: Data | Mapping[Any, Any],
    *,
    features: bool = True,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Return how heterogeneous users are: what `fedsynth stats --json` prints, as a dict of plain numbers.

    Holds one user's samples, and for each user a size and numbers of labels.

    Args:
        data: A folder of LEAF's files, a LeafDataset, a Partition, or any mapping of users to their labels [n], to
            tuples (x, y), or to datasets with features and labels: arrays, tensors or lists.
        features: Whether to take the measures that need x, which takes most of the time.
        workers: Processes on this machine, for a folder of several files.
        scheduler: The address of a Dask scheduler to run on instead.
        progress: Show a bar, in a notebook or on standard error.

    Returns:
        LEAF's statistics and the measures by their keys, such as `label.hellinger`; under `left_out` the reason why
        each skipped measure does not apply. A Partition has the measures that need no features.

    Raises:
        StageError: If the folder has no data, or it is stale.
        DataError: If a file is damaged, or x and y differ in length.
        UsageError: For users who are something else.

    Examples:
        >>> import fedsynth
        >>> found = fedsynth.measure({"a": [0, 0, 0, 1], "b": [1, 1, 1, 0]})
        >>> found["users"], found["samples"], found["label.total_variation"]
        (2, 8, 0.25)
    """
    bar = choose_bar(progress)
    if isinstance(data, Partition):
        return data.measure()
    if isinstance(data, Mapping) and not isinstance(data, LeafDataset):
        return measure_users(data, features=features, bar=bar)
    with open_engine(workers, scheduler) as engine:
        described = describe(_ready(data, engine), features=features, engine=engine, bar=bar)
    _require_unchanged(data)
    return described.as_json()


def compare(
    *data: Data, features: bool = True, workers: int = 1, scheduler: str | None = None, progress: bool = False
) -> Comparison:
    """Measure folders one after another, and return the measures side by side.

    Args:
        *data: Folders of LEAF's files, or LeafDatasets, each once.
        features: Whether to take the measures that need x.
        workers: Processes on this machine, for folders of several files.
        scheduler: The address of a Dask scheduler to run on instead.
        progress: Show bars, in a notebook or on standard error.

    Returns:
        Comparison: a table where it is shown; `measured` has the numbers by folder, and `notes` what is worth knowing
        of where the data is from.

    Raises:
        UsageError: For no folder, or one twice.
        StageError, DataError: As for `measure`.

    Examples:
        >>> import fedsynth
        >>> for name in ("one", "two"):
        ...     made = fedsynth.generate(name, num_tasks=20, seed=1 if name == "one" else 2)
        >>> table = fedsynth.compare("one/all_data", "two/all_data", features=False)
        >>> [found["users"] for found in table.measured.values()]
        [20, 20]
    """
    with open_engine(workers, scheduler) as engine:
        folders = [_ready(one, engine) for one in data]
        found = compare_folders(folders, features=features, engine=engine, bar=choose_bar(progress))
    for one in data:
        _require_unchanged(one)
    return found


def fit(
    data: Data,
    *,
    seed: int = 931231,
    seeds: int = 1,
    exact_sizes: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = False,
) -> Fit:
    """Fit a size-and-label twin to a folder: parameters for `generate` whose users have such sizes, labels, features.

    Nothing is written. A twin says nothing about concepts: all its users share one model.

    Args:
        data: A folder of LEAF's files whose labels are classes, or a LeafDataset.
        seed: The first twin's.
        seeds: How many twins to measure, 1 to 3, each with a seed of its own.
        exact_sizes: Take the exact sizes of the users, which may identify them, instead of a distribution.
        workers: Processes on this machine, for a folder of several files.
        scheduler: The address of a Dask scheduler to run on instead.
        progress: Show bars, in a notebook or on standard error.

    Returns:
        Fit: a table of the folder beside its twin where it is shown; `arguments` are those of `generate` that make it.

    Raises:
        DataError: If the labels are no classes, and as for `measure`.
        UsageError: For what `shifts` has no parameters for.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> twin = fedsynth.fit("data/all_data")
        >>> fedsynth.generate("twin", **twin.arguments).users
        20
    """
    with open_engine(workers, scheduler) as engine:
        folder = _ready(data, engine)
        found = fit_folder(
            folder,
            seed=whole("seed", seed),
            seeds=whole("seeds", seeds),
            exact_sizes=exact_sizes,
            engine=engine,
            bar=choose_bar(progress),
        )
    _require_unchanged(data)
    return found


def _ready(data: Any, engine: Engine) -> Path:
    """Return the folder or file to read, as workers find it."""
    if isinstance(data, LeafDataset):
        path = data.path
    elif isinstance(data, Mapping):
        raise UsageError(
            f"data is a {type(data).__name__}, expected a folder or a LeafDataset; write it with write_leaf"
        )
    else:
        path = require_data(folder_path("data", data))
    return path if engine.local else path.absolute()


def _require_unchanged(data: Any) -> None:
    """Raise DataError if what was opened is no longer what was read now."""
    if isinstance(data, LeafDataset):
        data.check_unchanged()
