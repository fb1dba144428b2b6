"""From the pipeline's files to federated datasets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fedsynth.errors import DataError, StageError, UsageError
from fedsynth.federated.arrays import ArrayTypes, Samples, read_arrays
from fedsynth.federated.dataset import AbstractDataset, DatasetSplit, TabularDataset
from fedsynth.federated.disk_cache import CachedArrays, cache_folder, cached_arrays
from fedsynth.federated.federated_dataset import FederatedDataset
from fedsynth.federated.pytorch import PyTorchTensorDataset
from fedsynth.federated.sampling import UserSampler, get_user_sampler
from fedsynth.federated.torch import check_device, to_tensor
from fedsynth.federated.user_numbers import number_users
from fedsynth.leaf.lazy import LazyLeafFile
from fedsynth.records.layout import TEST, TRAIN, data_files, json_files, meta_dir, settled
from fedsynth.records.origin import find_origin, require_made_together, unchanged
from fedsynth.truth import NoTruth, Truth, find_truth, true_models


class LeafDataset:
    """The users of a folder of LEAF files, or of one file; `dataset[user_id]` is a `TabularDataset`.

    Features are [n, d] `dtype`, labels [n] `label_dtype`; what is not numbers stays in arrays of objects, [n] strings
    for instance. A user without samples has features (0, d) like the file's first user who has some, (0,) if nobody
    has. A user's entry in hierarchies is in metadata["hierarchy"], and where there is ground truth with clusters, the
    number of their cluster is in metadata["cluster"].

    Opening reads the heads of the files; where a file's users are is found when one of them is first asked for, or at
    once where they are many and small. A user is decoded each time when asked for. In memory stay the heads, an entry
    and 16 bytes a user. Files are never left open
    (the cache's are, as long as this or a view of theirs lives); threads, and DataLoader's processes, may share the
    dataset, which pickles without the data.

    cache: keep arrays on disk, in a hidden folder beside the files (True) or in the one given. The first use decodes
    the whole file, later ones map it: users are then read-only views of these maps. Caches are made anew when a file
    has changed, and not made for a file whose samples are not all numbers of one shape.

    Raises StageError for a folder without files or a cache that can't be written, UsageError for a dtype that is not of
    numbers, DataError for files that are not LEAF's, for a user in two files, and, when users are asked for, if a file
    changed since it was opened, or if the ground truth beside the folder belongs to another dataset.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        dtype: DTypeLike = np.float64,
        label_dtype: DTypeLike = np.int64,
        cache: bool | str | Path = False,
    ) -> None:
        path = self._path = Path(path)
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

    def __len__(self) -> int:
        return len(self._numbers)

    def __contains__(self, user_id: object) -> bool:
        return user_id in self._numbers

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __getitem__(self, user_id: str) -> TabularDataset:
        """Return a user's dataset. Raises KeyError for a user who is not there, DataError for damaged data."""
        if user_id not in self._numbers:
            raise KeyError(f"no user {user_id!r} among the {len(self)} in {self._path}")
        number, position = self._find(user_id)
        features, labels = self._samples(number, position)
        return TabularDataset(features, labels, user_id=user_id, metadata=self._metadata(user_id))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cached": {}, "_truth": None}

    def _samples(self, number: int, position: int) -> Samples:
        file = self._files[number]
        if self._cache_folder is None:
            return read_arrays(file, position, self._types)
        file.check_unchanged()
        if number not in self._cached:
            self._cached[number] = cached_arrays(file, self._types, self._cache_folder)
        cached = self._cached[number]
        return read_arrays(file, position, self._types) if cached is None else cached.user(position)

    def true_model(self, user_id: str) -> NDArray[np.float64]:
        """Return the model that a user's labels come from: w [D+1, C], row 0 the bias.

        Raises StageError if there is no ground truth, KeyError for a user who is not there, DataError as opening does.
        """
        truth = self._find_truth()
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

    def _find_truth(self) -> Truth | NoTruth:
        """Return the truth about all users, in their order, or why there is none."""
        if self._truth is None:
            meta = meta_dir(settled(self._files[0].path.parent).parent)
            with unchanged([file.path for file in self._files]):
                for file in self._files:
                    file.check_unchanged()
                try:
                    self._truth = find_truth(self._origin, meta, self.user_ids, self.num_samples)
                except DataError:
                    find_origin(self._path)  # the data may be stale by now: then that is what is wrong
                    raise
        return self._truth

    def _metadata(self, user_id: str) -> dict[str, Any]:
        metadata: dict[str, Any] = {}
        number, position = self._find(user_id)
        hierarchies = self._files[number].hierarchies
        if hierarchies is not None:
            metadata["hierarchy"] = hierarchies[position]
        truth = self._find_truth()
        if isinstance(truth, Truth) and truth.cluster is not None:
            metadata["cluster"] = int(truth.cluster[self._numbers[user_id]])
        return metadata


def load(
    data_dir: str | Path = "data",
    subset: str = TRAIN,
    *,
    user_sampler: str | UserSampler = "random",
    seed: int | None = None,
    framework: str = "numpy",
    device: Any | None = None,
    weights: bool = True,
    dtype: DTypeLike = np.float64,
    label_dtype: DTypeLike = np.int64,
    cache: bool | str | Path = False,
) -> FederatedDataset:
    """Return the users of data_dir/subset: train, val, test, new_users, all_data or another stage's folder.

    user_sampler: 'random', 'minimize_reuse' or a function that draws an id; seed: see FederatedDatasetBase;
    framework: 'numpy' for `TabularDataset`s, 'torch' for `PyTorchTensorDataset`s (features, labels); device: where
    the tensors go, by default to pfl-research's device where that is imported, else to the CPU; weights: whether to
    share users out among workers by their num_samples; dtype, label_dtype, cache: see `LeafDataset`, which also says
    what is raised. Raises UsageError for an unknown name or device, ImportError for 'torch' without torch.
    """
    convert = _converter(framework, device)
    dataset = LeafDataset(Path(data_dir) / subset, dtype=dtype, label_dtype=label_dtype, cache=cache)
    make = partial(_load_user, dataset, convert)
    return _federated(dataset, dataset.user_ids, make, user_sampler, seed, weights)


def load_splits(
    data_dir: str | Path = "data",
    *,
    val: str = TEST,
    user_sampler: str | UserSampler = "random",
    seed: int | None = None,
    framework: str = "numpy",
    device: Any | None = None,
    weights: bool = True,
    dtype: DTypeLike = np.float64,
    label_dtype: DTypeLike = np.int64,
    cache: bool | str | Path = False,
) -> FederatedDataset:
    """Return the users who are in data/train and data/VAL, each a `DatasetSplit` of the two, in train's order.

    val: the folder of the validation part. The other arguments are those of `load`; weights count the samples of the
    train part. Raises UsageError if val is train, StageError if the two are not of the same split or no user is in
    both, as after splitting by user, and what `load` raises.
    """
    convert = _converter(framework, device)
    if val == TRAIN:
        raise UsageError(f"val is {val!r}, expected another folder than the train part's, such as 'test' or 'val'")
    train, held_out = (
        LeafDataset(Path(data_dir) / subset, dtype=dtype, label_dtype=label_dtype, cache=cache)
        for subset in (TRAIN, val)
    )
    require_made_together(Path(data_dir), {TRAIN: train._origin, val: held_out._origin})
    users = [user for user in train if user in held_out]
    if not users:
        raise StageError(
            f"{data_dir}: no user is in both {TRAIN} and {val}, expected the users' samples to be split between them; "
            "name another folder, or preprocess again and split by sample instead of by user"
        )
    return _federated(train, users, partial(_load_split, train, held_out, convert), user_sampler, seed, weights)


def _federated(
    dataset: LeafDataset,
    users: Sequence[str],
    make: Callable[[Any], AbstractDataset],
    user_sampler: str | UserSampler,
    seed: int | None,
    weights: bool,
) -> FederatedDataset:
    if isinstance(user_sampler, str):
        user_sampler = get_user_sampler(user_sampler, users)
    elif not callable(user_sampler):
        raise UsageError(f"user_sampler is {user_sampler!r}, expected a name or a function that returns a user's id")
    sizes = dict(zip(dataset, dataset.num_samples, strict=True)) if weights else None
    return FederatedDataset(make, user_sampler, sizes, seed=seed)


def _load_user(
    dataset: LeafDataset, convert: Callable[[TabularDataset], AbstractDataset], user_id: str
) -> AbstractDataset:
    return convert(dataset[user_id])


def _load_split(
    train: LeafDataset, val: LeafDataset, convert: Callable[[TabularDataset], AbstractDataset], user_id: str
) -> DatasetSplit:
    return DatasetSplit(convert(train[user_id]), convert(val[user_id]))


def _converter(framework: str, device: Any | None) -> Callable[[TabularDataset], AbstractDataset]:
    if framework not in ("numpy", "torch"):
        raise UsageError(f"unknown framework {framework!r}, expected one of 'numpy', 'torch'")
    if framework == "torch":
        check_device(device)
        return partial(_to_tensors, device)
    if device is not None:
        raise UsageError(f"device is {device!r} but framework 'numpy', expected None; pass framework='torch'")
    return _as_it_is


def _as_it_is(user: TabularDataset) -> AbstractDataset:
    return user


def _to_tensors(device: Any | None, user: TabularDataset) -> AbstractDataset:
    for name, array in (("features", user.features), ("labels", user.labels)):
        if array.dtype.kind == "O":
            raise DataError(
                f'user "{user.user_id}" has {name} that are not all numbers, expected them for torch; load numpy'
            )
    try:
        tensors = tuple(to_tensor(array, device) for array in user.raw_data)
    except (TypeError, ValueError) as error:
        raise UsageError(f'user "{user.user_id}": {error} Expected a dtype and label_dtype that torch has') from error
    return PyTorchTensorDataset(tensors, user_id=user.user_id, metadata=user.metadata)
