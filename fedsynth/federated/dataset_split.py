"""A user whose samples were split beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fedsynth.federated.abstract_dataset import AbstractDataset
from fedsynth.federated.arguments import AssertedError
from fedsynth.federated.beside_pfl import introduce, stands_for


@stands_for("dataset")
class DatasetSplit(AbstractDataset):
    """A user whose train and validation parts were fixed beforehand, as meta-learning needs.

    Everything but `iter` and `split` answers for the train part.

    Args:
        train_dataset: The train part.
        val_dataset: The validation part.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import Dataset, DatasetSplit
        >>> user = DatasetSplit(Dataset((np.arange(3),)), Dataset((np.arange(2),)))
        >>> [len(part) for part in user.split()]
        [3, 2]
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
        """Not for two parts: iterate over one of those that `split` returns.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("a DatasetSplit can't be iterated; call split() and iterate one of its two parts")

    def split(
        self, fraction: float | None = None, min_train_size: int | None = None, min_val_size: int | None = None
    ) -> tuple[AbstractDataset, AbstractDataset]:
        """Return the two parts.

        Args:
            fraction: None: the split is fixed.
            min_train_size: None.
            min_val_size: None.

        Raises:
            UsageError: An argument is not None.
        """
        given = {"fraction": fraction, "min_train_size": min_train_size, "min_val_size": min_val_size}
        for name, value in given.items():
            if value is not None:
                raise AssertedError(f"{name} is {value}, expected None: a DatasetSplit was split beforehand")
        return self._train_dataset, self._val_dataset

    def get_worker_partition(self) -> DatasetSplit:
        """Return this worker's shares of the train and of the validation part, again as a DatasetSplit."""
        return DatasetSplit(self._train_dataset.get_worker_partition(), self._val_dataset.get_worker_partition())
