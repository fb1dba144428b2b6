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
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.abstract_dataset import AbstractDataset as AbstractDataset
from fedsynth.federated.abstract_dataset import AbstractDatasetType as AbstractDatasetType
from fedsynth.federated.abstract_dataset import DescribedDataset as DescribedDataset
from fedsynth.federated.arguments import AssertedError, whole_number
from fedsynth.federated.beside_pfl import introduce, stands_for
from fedsynth.federated.distributed import current_context
from fedsynth.federated.slices import Arrays, count_samples, map_arrays, shape_of, slice_samples, take_samples
from fedsynth.federated.splitting import Minima, checked_indices
from fedsynth.words import counted

DEFAULT_FRACTION = 0.8


@stands_for("dataset")
class Dataset(DescribedDataset):
    """Samples in memory.

    raw_data: a tuple of arrays [n, ...], nested tuples, lists and dicts allowed, that share their first axis;
    val_indices: [m] unique samples in [0, n) that `split` puts into the validation part (pfl-research takes the
    argument and ignores it). Raises UsageError for anything else.
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
        """Yield raw_data whole for None, else consecutive slices of at most `batch_size` samples, the last one shorter.

        Slices are views, nested as raw_data is. Raises UsageError unless batch_size is None or at least 1.
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
        """Return the first samples as the train and the others as the validation dataset; with `val_indices`, those.

        fraction (0.8): how much goes into train, rounded down, then moved just far enough to honour min_val_size (1)
        first and min_train_size (1) second. With val_indices only the minima count. Both parts keep the class and
        the user's description and are views (copies with val_indices). Raises UsageError if the minima can't be met.
        """
        minima = Minima(*(1 if size is None else size for size in (min_train_size, min_val_size)))
        if self._val_indices is not None:
            return self._split_by_indices(self._val_indices, minima)
        cut = minima.cut(self._size, DEFAULT_FRACTION if fraction is None else fraction)
        return self._slice(0, cut), self._slice(cut, self._size)

    def get_worker_partition(self) -> Self:
        """Return this worker's contiguous share, views of the same class, with the user's description.

        All shares together are the dataset; sizes differ by at most one, the first ranks get the extra samples.
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
    """A `Dataset` whose raw_data is (features, labels). features: [n, ...]; labels: [n, ...].

    The arguments come in pfl-research's order, which has no user_id: it is given by name.
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


@stands_for("dataset")
class DatasetSplit(AbstractDataset):
    """A user whose train and validation parts were fixed beforehand, as meta-learning needs.

    Everything but `iter` and `split` answers for the train part.
    """

    def __init__(self, train_dataset: AbstractDataset, val_dataset: AbstractDataset) -> None:
        introduce()
        self._train_dataset = train_dataset
        self._val_dataset = val_dataset

    @property
    def raw_data(self) -> Any:
        return self._train_dataset.raw_data

    @property
    def user_id(self) -> str | None:
        return self._train_dataset.user_id

    @property
    def metadata(self) -> dict[str, Any]:
        return self._train_dataset.metadata

    @property
    def train_kwargs(self) -> dict[str, Any]:
        return self._train_dataset.train_kwargs

    @property
    def eval_kwargs(self) -> dict[str, Any]:
        return self._train_dataset.eval_kwargs

    def __len__(self) -> int:
        return len(self._train_dataset)

    def iter(self, batch_size: int | None) -> Iterable[Any]:
        """Raise NotImplementedError: it would be unclear which part was meant."""
        raise NotImplementedError("a DatasetSplit can't be iterated; call split() and iterate one of its two parts")

    def split(
        self, fraction: float | None = None, min_train_size: int | None = None, min_val_size: int | None = None
    ) -> tuple[AbstractDataset, AbstractDataset]:
        """Return the two parts. Raises UsageError for any argument but None: the split is fixed."""
        given = {"fraction": fraction, "min_train_size": min_train_size, "min_val_size": min_val_size}
        for name, value in given.items():
            if value is not None:
                raise AssertedError(f"{name} is {value}, expected None: a DatasetSplit was split beforehand")
        return self._train_dataset, self._val_dataset

    def get_worker_partition(self) -> DatasetSplit:
        """Return this worker's shares of the train and of the validation part, again as a DatasetSplit."""
        return DatasetSplit(self._train_dataset.get_worker_partition(), self._val_dataset.get_worker_partition())


def check_batch_size(batch_size: int) -> None:
    """Raise UsageError unless a batch holds at least one sample, a whole number of them."""
    if whole_number("batch_size", batch_size) < 1:
        raise UsageError(f"batch_size is {batch_size}, expected at least 1, or None for all samples at once")
