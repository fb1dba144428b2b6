"""From the pipeline's files to federated datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from fedsynth.errors import DataError, StageError, UsageError
from fedsynth.federated.dataset import AbstractDataset, DatasetSplit, TabularDataset
from fedsynth.federated.federated_dataset import FederatedDataset
from fedsynth.federated.leaf_dataset import LeafDataset
from fedsynth.federated.pytorch import PyTorchTensorDataset
from fedsynth.federated.sampling import UserSampler, get_user_sampler
from fedsynth.federated.torch import check_device, to_tensor
from fedsynth.records.layout import TEST, TRAIN
from fedsynth.records.origin import require_made_together


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
    """Return the users of one of the stages' folders, to draw cohorts from.

    Args:
        data_dir: The folder of the stages' folders.
        subset: The folder in it: train, val, test, new_users, all_data or another stage's.
        user_sampler: 'random', 'minimize_reuse' or a function that draws an id.
        seed: See `FederatedDatasetBase`.
        framework: 'numpy' for `TabularDataset`s, 'torch' for `PyTorchTensorDataset`s (features, labels).
        device: Where the tensors go, by default to pfl-research's device where that is imported, else to the CPU.
        weights: Whether to share users out among workers by their num_samples.
        dtype: See `LeafDataset`.
        label_dtype: See `LeafDataset`.
        cache: See `LeafDataset`.

    Returns:
        The users of the folder.

    Raises:
        UsageError: A name or the device is unknown.
        ImportError: The framework is 'torch', which is not installed.
        StageError: As `LeafDataset` raises it, and DataError too.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> users = fedsynth.load("data", "all_data", user_sampler="minimize_reuse", seed=1)
        >>> [(user.user_id, len(user)) for user, seed in users.get_cohort(3)]
        [('0', 522), ('1', 10), ('2', 11)]
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

    Args:
        data_dir: The folder of the stages' folders.
        val: The folder of the validation part: test, or val where there is one.
        user_sampler: 'random', 'minimize_reuse' or a function that draws an id.
        seed: See `FederatedDatasetBase`.
        framework: 'numpy' for `TabularDataset`s, 'torch' for `PyTorchTensorDataset`s (features, labels).
        device: Where the tensors go, by default to pfl-research's device where that is imported, else to the CPU.
        weights: Whether to share users out among workers by the samples of the train part.
        dtype: See `LeafDataset`.
        label_dtype: See `LeafDataset`.
        cache: See `LeafDataset`.

    Returns:
        The users, for meta-learning: `support, query = user.split()`.

    Raises:
        StageError: The two are not of one split, or no user is in both, as after splitting by user; and as `load`
            raises it.
        UsageError: val is train; and as `load`, which raises ImportError and DataError too.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> done = fedsynth.preprocess(fraction=1.0, split="sample", sample_seed=1, split_seed=2)
        >>> users = fedsynth.load_splits(user_sampler="minimize_reuse", seed=1)
        >>> user, seed = next(users)
        >>> [len(part) for part in user.split()]
        [4, 1]
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
    return _keep_arrays


def _keep_arrays(user: TabularDataset) -> AbstractDataset:
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
