"""Users for PyTorch. Nothing else in fedsynth imports torch, and nothing here does before a class is used."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.dataset import AbstractDataset, Dataset, DescribedDataset, check_batch_size
from fedsynth.federated.distributed import DistributedContext, current_context
from fedsynth.federated.draws import Draw
from fedsynth.federated.federated_dataset import FederatedDataset
from fedsynth.federated.slices import Arrays

if TYPE_CHECKING:
    import torch

_OWN_KWARGS = ("sampler", "batch_sampler", "shuffle", "in_order")
"""What PyTorchFederatedDataset decides itself: the order in which users are loaded."""


def import_torch() -> Any:
    """Return the module torch. Raises ImportError that says how to install it."""
    try:
        import torch
    except ImportError as error:
        raise ImportError('PyTorch is not installed; run `pip install "fedsynth[torch]"`') from error
    return torch


class PyTorchTensorDataset(Dataset):
    """A `Dataset` of torch tensors [n, ...]: a tuple, or a dict, whose batches are dicts with the same keys.

    Raises UsageError for tensors of different lengths, ImportError without torch.
    """

    def __init__(
        self,
        tensors: Arrays,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        val_indices: Sequence[int] | NDArray[Any] | None = None,
        train_kwargs: dict[str, Any] | None = None,
        eval_kwargs: dict[str, Any] | None = None,
    ) -> None:
        import_torch()
        super().__init__(tensors, user_id, metadata, train_kwargs, eval_kwargs, val_indices)


class PyTorchDataDataset(DescribedDataset):
    """A user too large for memory. raw_data: a map-style `torch.utils.data.Dataset` of samples.

    dataloader_kwargs go to each `DataLoader`; a batch_size among them is the default of `iter`.
    Raises UsageError for raw_data without a length, ImportError without torch.
    """

    def __init__(
        self,
        raw_data: torch.utils.data.Dataset[Any],
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        train_kwargs: dict[str, Any] | None = None,
        eval_kwargs: dict[str, Any] | None = None,
        **dataloader_kwargs: Any,
    ) -> None:
        import_torch()
        super().__init__(user_id, metadata, train_kwargs, eval_kwargs)
        if not hasattr(raw_data, "__len__"):
            raise UsageError(
                f"raw_data is a {type(raw_data).__name__}, which has no length, expected a map-style dataset"
            )
        self._raw_data: Any = raw_data
        self._batch_size: int | None = dataloader_kwargs.pop("batch_size", None)
        self._dataloader_kwargs = dataloader_kwargs

    @property
    def raw_data(self) -> Any:
        return self._raw_data

    def __len__(self) -> int:
        return len(self._raw_data)

    def iter(self, batch_size: int | None) -> Iterator[Any]:
        """Yield batches of a `DataLoader`; None: of its batch_size as given to the class, else sample by sample.

        Raises UsageError for a batch_size below 1.
        """
        batch_size = self._batch_size if batch_size is None else batch_size
        if batch_size is not None:
            check_batch_size(batch_size)
        loader = import_torch().utils.data.DataLoader(self._raw_data, batch_size=batch_size, **self._dataloader_kwargs)
        return iter(loader)

    def split(
        self, fraction: float | None = None, min_train_size: int | None = None, min_val_size: int | None = None
    ) -> tuple[AbstractDataset, AbstractDataset]:
        """Raise NotImplementedError: make a DatasetSplit of two datasets instead."""
        raise NotImplementedError(
            "a PyTorchDataDataset can't be split; make two of them and a DatasetSplit(train_dataset, val_dataset)"
        )

    def get_worker_partition(self) -> PyTorchDataDataset:
        """Return every world_size-th sample from rank on, with the same description and dataloader_kwargs."""
        context = current_context()
        share = range(context.rank, len(self), context.world_size)
        return PyTorchDataDataset(
            import_torch().utils.data.Subset(self._raw_data, share),
            self._user_id,
            self._metadata,
            self._train_kwargs,
            self._eval_kwargs,
            batch_size=self._batch_size,
            **self._dataloader_kwargs,
        )


@dataclass(frozen=True)
class _Ahead:
    """Drawn together: a pair for each worker of the context."""

    context: DistributedContext
    draws: list[Draw]


class PyTorchFederatedDataset(FederatedDataset):
    """Users loaded through a `DataLoader`, by its workers and ahead of their turn where dataloader_kwargs say so.

    dataset: `dataset[user_id]` returns all of a user's tensors [n, ...], as one, a sequence or a dict; dataset_cls
    (PyTorchTensorDataset) is called with them, user_id and dataset_kwargs; user_id_to_weight: as in FederatedDataset.

    Each cohort, and each run of `next`, has a DataLoader of its own over ids that were drawn in this process: which
    users come, and their seeds, do not depend on the workers. They end with their iterator, finished or not.
    Raises UsageError for a batch_size other than None or 1 or an order of one's own, ImportError without torch.
    """

    def __init__(
        self,
        dataset: torch.utils.data.Dataset[Any],
        user_sampler: Callable[[], Any],
        dataset_cls: Callable[..., AbstractDataset] | None = None,
        dataset_kwargs: Mapping[str, Any] | None = None,
        user_id_to_weight: Mapping[Any, float] | None = None,
        *,
        seed: int | None = None,
        **dataloader_kwargs: Any,
    ) -> None:
        self._loader = _Loader(dataset, dataset_cls or PyTorchTensorDataset, dataset_kwargs or {}, dataloader_kwargs)
        super().__init__(self._loader.load_here, user_sampler, user_id_to_weight, seed=seed)
        self._stream: Iterator[AbstractDataset] | None = None
        self._ahead: deque[_Ahead] = deque()
        """Drawn for `next` and handed to the DataLoader, but not returned yet."""
        self._returned: deque[Draw] = deque()
        """Drawn for `next`, but something else was asked for instead: the next to be drawn again."""
        self._drawing = False
        """Whether a draw for `next` has begun and not come to its end."""

    def __next__(self) -> tuple[AbstractDataset, int]:
        context = current_context()
        if self._ahead and self._ahead[0].context != context:
            self._stop_stream()
        if self._stream is None:
            self._stream = self._loader.load(_own_user_ids(weakref.proxy(self)))
        try:
            dataset = next(self._stream)
        except BaseException:
            if self._ahead and not self._drawing:  # the first one ahead is the one that could not be loaded
                self._ahead.popleft()
            self._drawing = False
            self._stop_stream()
            raise
        return dataset, self._ahead.popleft().draws[context.rank].seed

    def get_cohort(self, cohort_size: int) -> Iterable[tuple[AbstractDataset, int]]:
        """Return an iterator over this worker's users of a cohort, see FederatedDatasetBase.

        What `next` had loaded ahead comes first, as if it had not been.
        """
        self._stop_stream()
        return super().get_cohort(cohort_size)

    def _stop_stream(self) -> None:
        self._stream = None
        self._returned.extendleft(draw for ahead in reversed(self._ahead) for draw in reversed(ahead.draws))
        self._ahead.clear()

    def _draw(self) -> Draw:
        return self._returned.popleft() if self._returned else super()._draw()

    def _load_all(self, draws: Sequence[Draw]) -> Iterator[tuple[AbstractDataset, int]]:
        datasets = self._loader.load([draw.user for draw in draws])
        return ((dataset, draw.seed) for dataset, draw in zip(datasets, draws, strict=True))


def _own_user_ids(federated: PyTorchFederatedDataset) -> Iterator[Any]:
    """Yield the ids of this worker's users for ever, drawing each when the DataLoader wants to load it.

    federated is a weak reference, so that dropping the dataset drops its DataLoader at once.
    """
    while True:
        context = current_context()
        federated._drawing = True
        draws = [federated._draw() for _ in range(context.world_size)]
        federated._drawing = False
        federated._ahead.append(_Ahead(context, draws))
        yield draws[context.rank].user


class _Loader:
    """Loads users, here or through a DataLoader."""

    def __init__(
        self,
        dataset: Any,
        dataset_cls: Callable[..., AbstractDataset],
        dataset_kwargs: Mapping[str, Any],
        dataloader_kwargs: dict[str, Any],
    ) -> None:
        if isinstance(dataset, import_torch().utils.data.IterableDataset):
            raise UsageError("dataset is an IterableDataset, expected one that takes a user id: dataset[user_id]")
        self._dataset = dataset
        self._dataset_cls = dataset_cls
        self._dataset_kwargs = dataset_kwargs
        self._dataloader_kwargs = _checked_kwargs(dataloader_kwargs)
        try:
            self._dataloader([])
        except (TypeError, ValueError) as error:
            raise UsageError(f"{error}, expected arguments that a torch DataLoader of single users takes") from error

    def load_here(self, user_id: Any) -> AbstractDataset:
        """Load a user in this process."""
        collate = self._dataloader_kwargs.get("collate_fn") or import_torch().utils.data.default_convert
        return self._wrap(collate(self._dataset[user_id]), user_id)

    def load(self, user_ids: Iterable[Any]) -> Iterator[AbstractDataset]:
        """Load users through a DataLoader of their own, which starts with the first one asked for."""
        wanted: deque[Any] = deque()
        try:
            for tensors in self._dataloader(_noted(user_ids, wanted)):
                yield self._wrap(tensors, wanted.popleft())
        except Exception as error:
            # torch's frames hold the error, and it holds them: a cycle, which would keep the processes until it is
            # collected, and then stall the collection.
            raise error.with_traceback(None)  # noqa: B904 - it is the error itself

    def _dataloader(self, user_ids: Iterable[Any]) -> Any:
        DataLoader = import_torch().utils.data.DataLoader
        return DataLoader(self._dataset, batch_size=None, sampler=user_ids, **self._dataloader_kwargs)

    def _wrap(self, tensors: Any, user_id: Any) -> AbstractDataset:
        if isinstance(tensors, (list, tuple)):
            tensors = tuple(tensors)
        elif not isinstance(tensors, dict):
            tensors = (tensors,)
        return self._dataset_cls(tensors, user_id=user_id, **self._dataset_kwargs)


def _noted(user_ids: Iterable[Any], wanted: deque[Any]) -> Iterator[Any]:
    """Yield the ids, and note them in the order in which they were asked for: users come back in that order."""
    for user_id in user_ids:
        wanted.append(user_id)
        yield user_id


def _checked_kwargs(kwargs: dict[str, Any]) -> dict[str, Any]:
    kwargs = dict(kwargs)
    batch_size = kwargs.pop("batch_size", None)
    if batch_size not in (None, 1):
        raise UsageError(f"batch_size is {batch_size}, expected None or 1: dataset[user_id] is all of a user's data")
    for name in _OWN_KWARGS:
        if name in kwargs:
            raise UsageError(f"got {name} for the DataLoader, expected none: user_sampler decides who comes when")
    return kwargs
