"""One user's dataset.

    AbstractDataset         the interface
        Dataset             arrays in memory
            TabularDataset  features and labels
        DatasetSplit        train and validation parts that were fixed beforehand

A program written against `pfl.data.dataset` works with these, and pfl-research's training loop runs on them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.abstract_dataset import AbstractDataset, AbstractDatasetType, DescribedDataset
from fedsynth.federated.arguments import whole_number
from fedsynth.federated.beside_pfl import stands_for
from fedsynth.federated.dataset_split import DatasetSplit
from fedsynth.federated.distributed import current_context
from fedsynth.federated.slices import Arrays, count_samples, map_arrays, shape_of, slice_samples, take_samples
from fedsynth.federated.splitting import Minima, checked_indices
from fedsynth.words import counted

__all__ = ["AbstractDataset", "AbstractDatasetType", "Dataset", "DatasetSplit", "TabularDataset"]

DEFAULT_FRACTION = 0.8


@stands_for("dataset")
class Dataset(DescribedDataset):
    """Samples in memory.

    Args:
        raw_data: A tuple of arrays [n, ...], nested tuples, lists and dicts allowed, that share their first axis.
        user_id: The user.
        metadata: What else is known about the user.
        train_kwargs: Arguments for the model's training on this user.
        eval_kwargs: Arguments for the model's evaluation on this user.
        val_indices: [m] unique samples in [0, n) that `split` puts into the validation part (pfl-research takes the
            argument and ignores it).

    Raises:
        UsageError: An argument is something else.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import Dataset
        >>> user = Dataset((np.arange(5), np.arange(5) % 2), user_id="a")
        >>> train, val = user.split(fraction=0.6)
        >>> train.raw_data[0], val.raw_data[0], val.user_id
        (array([0, 1, 2]), array([3, 4]), 'a')
    """

    def __init__(
        self,
        raw_data: Arrays,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        train_kwargs: dict[str, Any] | None = None,
        eval_kwargs: dict[str, Any] | None = None,
        val_indices: Sequence[int] | NDArray[np.integer] | None = None,
    ) -> None:
        super().__init__(user_id, metadata, train_kwargs, eval_kwargs)
        self._raw_data = raw_data
        self._size = count_samples(raw_data)
        self._val_indices = None if val_indices is None else checked_indices(val_indices, self._size)

    @property
    def raw_data(self) -> Arrays:
        return self._raw_data

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Any:
        """Return a sample, nested as raw_data is: so a torch DataLoader takes a user. IndexError beyond the last."""
        return map_arrays(self._raw_data, lambda array: array[index])

    def __repr__(self) -> str:
        user = "without a name" if self._user_id is None else json.dumps(str(self._user_id), ensure_ascii=False)
        return f"<{type(self).__name__} {user}: {', '.join([counted(self._size, 'sample'), *self._shapes()])}>"

    def _shapes(self) -> list[str]:
        """Return the shape and type of a sample's parts, by their names where they have some."""
        return []

    def iter(self, batch_size: int | None) -> Iterator[Arrays]:
        """Yield consecutive slices of the samples, the last one shorter: views, nested as raw_data is.

        Args:
            batch_size: The samples of a slice; None for raw_data whole.

        Raises:
            UsageError: batch_size is below 1.
        """
        if batch_size is None:
            return iter([self._raw_data])
        check_batch_size(batch_size)
        return (
            slice_samples(self._raw_data, start, min(start + batch_size, self._size))
            for start in range(0, self._size, batch_size)
        )

    def split(
        self, fraction: float | None = None, min_train_size: int | None = None, min_val_size: int | None = None
    ) -> tuple[Self, Self]:
        """Split the samples: the first ones are the train part, the others the validation part.

        With `val_indices`, these are the validation part, and only the minima count.

        Args:
            fraction: How much goes into train (0.8), rounded down, then moved just far enough for the minima.
            min_train_size: The fewest samples of train (1); met after min_val_size.
            min_val_size: The fewest samples of validation (1).

        Returns:
            The train and the validation part, of the same class and with the user's description: views, copies with
            val_indices.

        Raises:
            UsageError: The minima can't be met.
        """
        minima = Minima(*(1 if size is None else size for size in (min_train_size, min_val_size)))
        if self._val_indices is not None:
            return self._split_by_indices(self._val_indices, minima)
        cut = minima.cut(self._size, DEFAULT_FRACTION if fraction is None else fraction)
        return self._slice(0, cut), self._slice(cut, self._size)

    def get_worker_partition(self) -> Self:
        """Return this worker's contiguous share: views, of the same class and with the user's description.

        All shares together are the dataset; sizes differ by at most one, the first ranks have more.
        """
        share = current_context().distribute_range(self._size)
        part = self._slice(share.start, share.stop)
        if self._val_indices is not None:
            inside = (self._val_indices >= share.start) & (self._val_indices < share.stop)
            part._val_indices = self._val_indices[inside] - share.start
        return part

    def _split_by_indices(self, val_indices: NDArray[np.int64], minima: Minima) -> tuple[Self, Self]:
        minima.check(self._size - len(val_indices), len(val_indices))
        in_train = np.ones(self._size, bool)
        in_train[val_indices] = False
        train_indices = np.flatnonzero(in_train)
        return self._take(train_indices), self._take(val_indices)

    def _slice(self, start: int, stop: int) -> Self:
        return self._with_samples(slice_samples(self._raw_data, start, stop), stop - start)

    def _take(self, indices: NDArray[np.int64]) -> Self:
        return self._with_samples(take_samples(self._raw_data, indices), len(indices))

    def _with_samples(self, raw_data: Arrays, size: int) -> Self:
        """Return a copy with other samples: a subclass keeps whatever else it holds, whatever its constructor takes."""
        part = copy.copy(self)
        part._raw_data, part._size, part._val_indices = raw_data, size, None
        return part


@stands_for("dataset")
class TabularDataset(Dataset):
    """A `Dataset` whose raw_data is (features, labels).

    The arguments come in pfl-research's order, which has no user_id: it is given by name.

    Args:
        features: [n, ...].
        labels: [n, ...].
        metadata: What else is known about the user.
        val_indices: See `Dataset`.
        train_kwargs: Arguments for the model's training on this user.
        eval_kwargs: Arguments for the model's evaluation on this user.
        user_id: The user.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import TabularDataset
        >>> user = TabularDataset(np.zeros((5, 2)), np.array([0, 1, 1, 0, 1]), user_id="a")
        >>> [(x.shape, y.tolist()) for x, y in user.iter(batch_size=2)]
        [((2, 2), [0, 1]), ((2, 2), [1, 0]), ((1, 2), [1])]
    """

    def __init__(
        self,
        features: Any,
        labels: Any,
        metadata: dict[str, Any] | None = None,
        val_indices: Sequence[int] | NDArray[np.integer] | None = None,
        train_kwargs: dict[str, Any] | None = None,
        eval_kwargs: dict[str, Any] | None = None,
        *,
        user_id: str | None = None,
    ) -> None:
        super().__init__((features, labels), user_id, metadata, train_kwargs, eval_kwargs, val_indices)

    @property
    def features(self) -> NDArray[Any]:
        """The samples' features, [n, ...]."""
        features: NDArray[Any] = self._raw_data[0]
        return features

    @property
    def labels(self) -> NDArray[Any]:
        """The samples' labels, [n, ...]."""
        labels: NDArray[Any] = self._raw_data[1]
        return labels

    def _shapes(self) -> list[str]:
        return [f"x {shape_of(self.features)}", f"y {shape_of(self.labels)}"]


def check_batch_size(batch_size: int) -> None:
    """Raise UsageError unless a batch holds at least one sample, a whole number of them."""
    if whole_number("batch_size", batch_size) < 1:
        raise UsageError(f"batch_size is {batch_size}, expected at least 1, or None for all samples at once")
