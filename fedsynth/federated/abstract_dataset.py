"""The interface of a user's dataset, and what describes the user."""

from __future__ import annotations

import abc
from collections.abc import Iterable
from typing import Any, TypeVar

from fedsynth.federated.arguments import check_description
from fedsynth.federated.beside_pfl import introduce, stands_for


@stands_for("dataset")
class AbstractDataset(abc.ABC):
    """What a user's dataset answers, whatever holds its samples.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import AbstractDataset, Dataset
        >>> user = Dataset((np.arange(4),), user_id="a")
        >>> isinstance(user, AbstractDataset), len(user)
        (True, 4)
    """

    @property
    @abc.abstractmethod
    def raw_data(self) -> Any:
        """All samples, in the form that the class describes."""

    @property
    @abc.abstractmethod
    def user_id(self) -> str | None:
        """The user's id, None if none was given."""

    @property
    @abc.abstractmethod
    def metadata(self) -> dict[str, Any]:
        """What else is known about the user."""

    @property
    @abc.abstractmethod
    def train_kwargs(self) -> dict[str, Any]:
        """Arguments for the model's training on this user."""

    @property
    @abc.abstractmethod
    def eval_kwargs(self) -> dict[str, Any]:
        """Arguments for the model's evaluation on this user."""

    @abc.abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abc.abstractmethod
    def iter(self, batch_size: int | None) -> Iterable[Any]:
        """Yield all samples in order.

        Args:
            batch_size: The most samples of a batch; None for one batch of all.
        """

    @abc.abstractmethod
    def split(
        self, fraction: float | None = None, min_train_size: int | None = None, min_val_size: int | None = None
    ) -> tuple[AbstractDataset, AbstractDataset]:
        """Return a train and a validation dataset.

        Args:
            fraction: How much of the samples goes into train.
            min_train_size: The fewest samples of train.
            min_val_size: The fewest samples of validation.
        """

    @abc.abstractmethod
    def get_worker_partition(self) -> AbstractDataset:
        """Return this worker's share of the samples; all workers' shares together are the dataset."""


AbstractDatasetType = TypeVar("AbstractDatasetType", bound=AbstractDataset)


class DescribedDataset(AbstractDataset):
    """A dataset that holds its user's description; nothing given is an empty dict, shared with no other dataset.

    Raises:
        UsageError: The description is something else, as one argument given for another is.
    """

    def __init__(
        self,
        user_id: str | None,
        metadata: dict[str, Any] | None,
        train_kwargs: dict[str, Any] | None,
        eval_kwargs: dict[str, Any] | None,
    ) -> None:
        introduce()
        check_description(user_id, metadata=metadata, train_kwargs=train_kwargs, eval_kwargs=eval_kwargs)
        self._user_id = user_id
        self._metadata = {} if metadata is None else metadata
        self._train_kwargs = {} if train_kwargs is None else train_kwargs
        self._eval_kwargs = {} if eval_kwargs is None else eval_kwargs

    @property
    def user_id(self) -> str | None:
        return self._user_id

    @property
    def metadata(self) -> dict[str, Any]:
        return self._metadata

    @property
    def train_kwargs(self) -> dict[str, Any]:
        return self._train_kwargs

    @property
    def eval_kwargs(self) -> dict[str, Any]:
        return self._eval_kwargs
