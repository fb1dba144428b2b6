"""All users' samples together: as arrays, and as a dataset of torch that has them one by one."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import DataError, UsageError
from fedsynth.federated.torch import import_torch

if TYPE_CHECKING:
    from torch.utils.data import Dataset

    from fedsynth.federated.dataset import TabularDataset
    from fedsynth.federated.leaf_dataset import LeafDataset

    Base = Dataset[tuple[Any, Any]]
else:
    Base = object


class Pooled(NamedTuple):
    """All users' samples. x: [n, ...]; y: [n, ...]; user: [n] int64, the position of each one's user in `user_ids`."""

    x: NDArray[Any]
    y: NDArray[Any]
    user: NDArray[np.int64]


def pool_users(dataset: LeafDataset) -> Pooled:
    """Return all samples, user by user. Holds them and one user. Raises DataError if users differ in shape or type."""
    sizes = dataset.num_samples
    pooled: tuple[NDArray[Any], ...] | None = None
    start = 0
    for user, size in zip(dataset, sizes, strict=True):
        arrays = _arrays(dataset[user])
        if pooled is None or (size and not start):  # whoever has no samples may not know their shape
            pooled = tuple(np.empty((sum(sizes), *array.shape[1:]), array.dtype) for array in arrays)
        for whole, part in zip(pooled, arrays, strict=True):
            if size:
                _check_fits(dataset, user, whole, part)
                whole[start : start + size] = part
        start += size
    if pooled is None:
        raise DataError(f"{dataset.path}: no users, expected at least one; generate the data again")
    return Pooled(pooled[0], pooled[1], np.repeat(np.arange(len(sizes)), sizes))


def _arrays(user: TabularDataset) -> tuple[NDArray[Any], NDArray[Any]]:
    return user.features, user.labels


def _check_fits(dataset: LeafDataset, user: str, whole: NDArray[Any], part: NDArray[Any]) -> None:
    if part.shape[1:] != whole.shape[1:] or part.dtype != whole.dtype:
        found, expected = (f"{list(array.shape[1:])} {array.dtype}" for array in (part, whole))
        raise DataError(
            f'{dataset.path}: user "{user}" has samples of {found}, others before of {expected}, which can\'t be '
            "pooled; take the users one by one"
        )


class PooledSamples(Base):
    """All samples of a LeafDataset, map-style: `[i]` is (x, y) as tensors on the CPU, numbered in the order of `pool`.

    Opens when a sample is first asked for. Raises ImportError without torch.
    """

    def __init__(self, users: LeafDataset) -> None:
        import_torch()
        self.users = users
        self._ends = list(accumulate(users.num_samples))
        self._opened: Callable[[int], tuple[Any, Any]] | None = None

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """Return a sample. Raises IndexError beyond the last, DataError for what is no tensor of numbers."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self):,}")
        if self._opened is None:
            self._opened = self._open()
        tensor = import_torch().tensor
        x, y = self._opened(index % len(self))
        return tensor(x), tensor(y)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None}

    def __repr__(self) -> str:
        return f"<PooledSamples of {self.users!r}>"

    def _open(self) -> Callable[[int], tuple[Any, Any]]:
        first = self.users.first_samples()
        for name, array in zip(("x", "y"), first or (), strict=False):
            if array.dtype.kind == "O":
                raise DataError(f"{self.users.path}: {name} are not all numbers, expected them for torch; use pool")
            try:
                import_torch().tensor(array[:0])
            except (TypeError, ValueError) as error:
                raise UsageError(f"{name}: {error} Open the dataset with a type that torch has") from error
        return self._of_maps() if self.users.cached else self._of_pool()

    def _of_pool(self) -> Callable[[int], tuple[Any, Any]]:
        x, y, _ = pool_users(self.users)
        return lambda index: (x[index], y[index])

    def _of_maps(self) -> Callable[[int], tuple[Any, Any]]:
        names = self.users.user_ids

        def sample(index: int) -> tuple[Any, Any]:
            user = bisect_right(self._ends, index)
            x, y = self.users[names[user]][index - (self._ends[user - 1] if user else 0)]
            return x, y

        return sample
