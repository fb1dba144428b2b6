"""The users of LEAF's files, opened by their heads and decoded one at a time."""

from __future__ import annotations

import contextlib
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fedsynth.errors import DataError, FedsynthError, StageError
from fedsynth.federated.arrays import ArrayTypes, Samples, read_arrays, read_first
from fedsynth.federated.dataset import TabularDataset
from fedsynth.federated.described import as_table, describe
from fedsynth.federated.disk_cache import CachedArrays, cache_folder, cached_arrays
from fedsynth.federated.pooled import Pooled, PooledSamples, pool_users
from fedsynth.federated.user_numbers import number_users
from fedsynth.leaf.lazy import LazyLeafFile
from fedsynth.records.layout import data_files, json_files, meta_dir, settled
from fedsynth.records.origin import find_origin, unchanged
from fedsynth.truth import NoTruth, Truth, find_truth, true_models


class LeafDataset(Mapping[str, TabularDataset]):
    """The users of a folder of LEAF files, or of one file: a mapping of their names to `TabularDataset`s.

    Features are [n, d] `dtype`, labels [n] `label_dtype`; what is not numbers stays in arrays of objects, [n] strings
    for instance. A user without samples has features (0, d) like the file's first user who has some, (0,) if nobody
    has. A user's entry in hierarchies is in metadata["hierarchy"], and where there is ground truth with clusters, the
    number of their cluster is in metadata["cluster"].

    Opening reads the heads of the files; a file's offsets are found when one of its users is first asked for, or at
    once where they are many and small, and a user is decoded each time when asked for. In memory stay the heads, and
    for each user an entry and 16 bytes. Files are never left open
    (the cache's are, as long as this or a view of theirs lives); threads, and DataLoader's processes, may share the
    dataset. It pickles without the data but with the offsets, so that no copy looks for them again. Two are equal if
    they are the same object.

    Args:
        path: A folder of LEAF's files, or one file.
        dtype: What numbers in x become.
        label_dtype: What numbers in y become.
        cache: Keep arrays on disk, in a hidden folder beside the files (True) or in the one given. The first use
            decodes the whole file, later ones map it: users are then read-only views of these maps. Caches are made
            anew when a file has changed, and not made for a file whose samples are not all numbers of one shape.

    Raises:
        StageError: For a folder without files, or a cache that can't be written.
        UsageError: For a dtype that is not of numbers.
        DataError: For files that are not LEAF's, for a user in two files, and, when users are asked for, if a file
            changed since it was opened, or if the ground truth beside the folder belongs to another dataset.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> users = fedsynth.LeafDataset("data/all_data")
        >>> users["7"]
        <TabularDataset "7": 9 samples, x [60] float64, y int64>
        >>> sum(len(user) for user in users.values())
        2144
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dtype: DTypeLike = np.float64,
        label_dtype: DTypeLike = np.int64,
        cache: bool | str | Path = False,
    ) -> None:
        path = self.path = Path(path)
        self._types = ArrayTypes.of(dtype, label_dtype)
        present = [path] if path.is_file() else data_files(path)
        with unchanged(present):
            self._origin = find_origin(path)
            self._files = [LazyLeafFile(file) for file in present or json_files(path)]
        self._numbers = number_users(self._files)
        self._firsts = list(accumulate((len(file.users) for file in self._files), initial=0))[:-1]
        self._cache_folder = cache_folder(path, cache)
        self._cached: dict[int, CachedArrays | None] = {}
        self._truth: Truth | NoTruth | None = None
        self._clusters: NDArray[np.int64] | None = None
        """[users], once they are looked for; [0] if there are none."""

    @property
    def user_ids(self) -> list[str]:
        """The users, file by file in sorted order, in each in the order of the file."""
        return list(self._numbers)

    @property
    def num_samples(self) -> list[int]:
        """The number of samples of each of `user_ids`."""
        return [count for file in self._files for count in file.num_samples]

    @property
    def hierarchies(self) -> list[Any] | None:
        """The hierarchy of each of `user_ids`, None for users of a file without; None if no file has any."""
        if all(file.hierarchies is None for file in self._files):
            return None
        return [entry for file in self._files for entry in (file.hierarchies or [None] * len(file.users))]

    @property
    def label_names(self) -> list[str] | None:
        """What labels 0, 1, ... stand for; None where nobody said so: see `fedsynth partition`."""
        return list(self._origin.label_names) or None

    @property
    def num_classes(self) -> int | None:
        """How many classes the data was generated with, or has names for; None where nobody said so."""
        stages = self._origin.stages
        known = stages[-1].parameters.get("num_classes") if stages else None
        return known if isinstance(known, int) else len(self.label_names or []) or None

    @property
    def cached(self) -> bool:
        """Whether arrays are kept on disk."""
        return self._cache_folder is not None

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __getitem__(self, user_id: str) -> TabularDataset:
        """Return a user's dataset. Raises KeyError for a user who is not there, DataError for damaged data."""
        try:
            number, position = self._find(user_id)
        except KeyError:
            raise KeyError(self._no_user(user_id)) from None
        features, labels = self._samples(number, position)
        return TabularDataset(features, labels, user_id=user_id, metadata=self._metadata(user_id))

    __eq__ = object.__eq__  # a Mapping's would decode all users of both
    __hash__ = object.__hash__

    def __getstate__(self) -> dict[str, Any]:
        with contextlib.suppress(FedsynthError):  # which the copy raises when it is used
            self._find_clusters()
            for file in self._files if self._cache_folder is None else ():
                file.find_users()
        return {**self.__dict__, "_cached": {}, "_truth": None}

    def __repr__(self) -> str:
        return f"<LeafDataset {describe(self)}>"

    def _repr_html_(self) -> str:
        return as_table(self)

    def _ipython_key_completions_(self) -> list[str]:
        return self.user_ids

    def check_unchanged(self) -> None:
        """Raise DataError if a file is not the one that was opened."""
        for file in self._files:
            file.check_unchanged()

    def _no_user(self, user_id: object) -> str:
        found = f"no user {user_id!r} among the {len(self):,} in {self.path}"
        if str(user_id) in self._numbers:
            return f"{found}; names are texts: did you mean {str(user_id)!r}?"
        return found

    def _samples(self, number: int, position: int) -> Samples:
        file = self._files[number]
        if self._cache_folder is None:
            return read_arrays(file, position, self._types)
        file.check_unchanged()
        if number not in self._cached:
            self._cached[number] = cached_arrays(file, self._types, self._cache_folder)
        cached = self._cached[number]
        return read_arrays(file, position, self._types) if cached is None else cached.user(position)

    def pool(self) -> Pooled:
        """Return all users' samples as arrays: x [n, ...], y [n], and user [n], each sample's position in `user_ids`.

        Samples come user by user. Allocated once, and filled user by user: it holds these arrays and one user.

        Raises:
            DataError: For users whose x differ in shape, or are numbers in one and texts in another; and as for users.

        Examples:
            >>> import fedsynth
            >>> made = fedsynth.generate(num_tasks=20, seed=1)
            >>> x, y, user = fedsynth.LeafDataset("data/all_data").pool()
            >>> x.shape, y.shape, user[-1]
            ((2144, 60), (2144,), np.int64(19))
        """
        return pool_users(self)

    def torch(self) -> PooledSamples:
        """Return all users' samples as a map-style dataset of torch: `[i]` is (x, y), in the order of `pool`.

        Nothing is read before the first sample is asked for, in each process that asks: then `pool` is held, or, with
        `cache`, the maps of the files, which processes share. It pickles as this does: a DataLoader may have workers.

        Raises:
            ImportError: Without torch.
            DataError: When samples are asked for, as `pool`, and for samples that are not all numbers.
        """
        return PooledSamples(self)

    def first_samples(self) -> Samples | None:
        """Return x and y of one user who has samples, without looking for the others; None if nobody has any."""
        file = next((file for file in self._files if any(file.num_samples)), None)
        return None if file is None else read_first(file, self._types)

    def true_model(self, user_id: str) -> NDArray[np.float64]:
        """Return the model that a user's labels come from: w [D+1, C], row 0 the bias.

        Raises StageError if there is no ground truth, KeyError for a user who is not there, DataError as opening does.
        """
        truth = self.find_truth()
        if isinstance(truth, NoTruth):
            folder = self._files[0].path.parent
            raise StageError(f"{folder}: the true models are not known, {truth.reason}; generate data to have them")
        if not truth.has_models:
            raise StageError(
                f"{self._files[0].path.parent}: there are no true models, the data was partitioned and not generated; "
                "generate data to have them"
            )
        model: NDArray[np.float64] = true_models(truth, [self._numbers[user_id]])[0]
        return model

    def _find(self, user_id: str) -> tuple[int, int]:
        """Return the number of a user's file, and their position in it."""
        number = bisect_right(self._firsts, self._numbers[user_id]) - 1
        return number, self._numbers[user_id] - self._firsts[number]

    def find_truth(self) -> Truth | NoTruth:
        """Return the truth about all users, in their order, or why there is none."""
        if self._truth is None:
            meta = meta_dir(settled(self._files[0].path.parent).parent)
            with unchanged([file.path for file in self._files]):
                for file in self._files:
                    file.check_unchanged()
                try:
                    self._truth = find_truth(self._origin, meta, self.user_ids, self.num_samples)
                except DataError:
                    find_origin(self.path)  # the data may be stale by now: then that is what is wrong
                    raise
        return self._truth

    def _metadata(self, user_id: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        number, position = self._find(user_id)
        hierarchies = self._files[number].hierarchies
        if hierarchies is not None:
            metadata["hierarchy"] = hierarchies[position]
        clusters = self._find_clusters()
        if clusters.size:
            metadata["cluster"] = int(clusters[self._numbers[user_id]])
        return metadata

    def _find_clusters(self) -> NDArray[np.int64]:
        if self._clusters is None:
            truth = self.find_truth()
            clusters = truth.cluster if isinstance(truth, Truth) else None
            self._clusters = np.empty(0, np.int64) if clusters is None else clusters
        return self._clusters
