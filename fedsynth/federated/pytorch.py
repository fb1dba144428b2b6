"""Users for PyTorch."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import AssertedError
from fedsynth.federated.beside_pfl import stands_for
from fedsynth.federated.dataset import AbstractDataset, Dataset, DescribedDataset, check_batch_size
from fedsynth.federated.distributed import current_context
from fedsynth.federated.draws import Draw
from fedsynth.federated.federated_dataset import FederatedDataset
from fedsynth.federated.slices import Arrays, shape_of
from fedsynth.federated.torch import import_torch
from fedsynth.federated.user_loader import ReadAhead, UserLoader

if TYPE_CHECKING:
    from torch.utils.data import Dataset as Samples


@stands_for("pytorch")
class PyTorchTensorDataset(Dataset):
    """A `Dataset` of torch tensors [n, ...]: a tuple, or a dict, whose batches are dicts with the same keys.

    raw_data is a tuple of the tensors, a dict's values too. Raises UsageError for tensors of different lengths,
    ImportError without torch.
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
        torch = import_torch()
        self._keys = tuple(tensors) if isinstance(tensors, Mapping) else None
        if isinstance(tensors, Mapping):
            tensors = tuple(tensors.values())
        elif isinstance(tensors, torch.Tensor):
            tensors = (tensors,)
        super().__init__(tensors, user_id, metadata, train_kwargs, eval_kwargs, val_indices)

    def __getitem__(self, index: int) -> Any:
        """Return a sample, a tuple of tensors, or a dict where they were given in one."""
        sample, keys = super().__getitem__(index), self._keys
        return sample if keys is None else dict(zip(keys, sample, strict=True))

    def _shapes(self) -> list[str]:
        names = [f"{key} " for key in self._keys] if self._keys else [""] * len(self._raw_data)
        return [f"{name}{shape_of(tensor)}" for name, tensor in zip(names, self._raw_data, strict=True)]

    def iter(self, batch_size: int | None) -> Iterator[Any]:
        """Yield batches as `Dataset` does, as dicts where the tensors were given in one."""
        batches, keys = super().iter(batch_size), self._keys
        return batches if keys is None else (dict(zip(keys, batch, strict=True)) for batch in batches)


@stands_for("pytorch")
class PyTorchDataDataset(DescribedDataset):
    """A user too large for memory. raw_data: a map-style `torch.utils.data.Dataset` of samples.

    dataloader_kwargs go to each `DataLoader`; a batch_size among them is the default of `iter`.
    Raises UsageError for raw_data without a length, ImportError without torch.
    """

    def __init__(
        self,
        raw_data: Samples[Any],
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
        """Return every world_size-th sample from rank on, with the same description and dataloader_kwargs.

        Raises UsageError for a sampler among these: its indices are the whole dataset's, not the share's.
        """
        for name in ("sampler", "batch_sampler"):
            if self._dataloader_kwargs.get(name) is not None:
                raise AssertedError(
                    f"a PyTorchDataDataset with a {name} can't be shared out: its indices are of all {len(self)} "
                    f"samples; make each worker's own from a torch Subset, without {name}"
                )
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


@stands_for("pytorch")
class PyTorchFederatedDataset(FederatedDataset):
    """Users loaded through a `DataLoader`, by its workers and ahead of their turn where dataloader_kwargs say so.

    dataset: `dataset[user_id]` returns all of a user's tensors [n, ...], as one, a sequence or a dict, in which
    "user_id" may say who it is; dataset_cls (PyTorchTensorDataset) is called with them and dataset_kwargs, with a
    dict's "user_id" as the second argument; make_user_dataset_fn: makes the user's dataset in its place, from what the
    DataLoader gives; user_id_to_weight: as in FederatedDataset. A user that dataset_cls makes has the id drawn, unless
    the data names another.

    A collate_fn gets `[dataset[user_id]]`, as with torch's own batch_size of 1, and returns a dict, or tensors with a
    first axis of 1 for the one user, which is taken off; with batch_size=None it gets `dataset[user_id]` itself.
    Tensors that are not in a dict go to pfl-research's device, where that is imported.

    Ids are drawn in this process: which users come, and their seeds, do not depend on the DataLoader's processes. These
    start with the first user and serve all cohorts until the dataset is dropped; `persistent_workers=False` starts them
    anew for each. Raises UsageError for a batch_size other than None or 1 or an order of one's own, ImportError without
    torch.
    """

    def __init__(
        self,
        dataset: Samples[Any],
        user_sampler: Callable[[], Any],
        dataset_cls: Callable[..., AbstractDataset] | None = None,
        dataset_kwargs: Mapping[str, Any] | None = None,
        user_id_to_weight: Mapping[Any, float] | None = None,
        make_user_dataset_fn: Callable[[Any], AbstractDataset] | None = None,
        *,
        seed: int | None = None,
        **dataloader_kwargs: Any,
    ) -> None:
        self._loader = UserLoader(
            dataset, dataset_cls or PyTorchTensorDataset, dataset_kwargs or {}, make_user_dataset_fn, dataloader_kwargs
        )
        super().__init__(self._loader.load_here, user_sampler, user_id_to_weight, seed=seed)
        self._read_ahead: ReadAhead | None = None
        self._drawn: deque[Draw | Exception] = deque()
        """Drawn for `next`, and not returned because something else was asked for: the next to be drawn again."""

    def __getstate__(self) -> dict[str, Any]:
        self._stop_reading_ahead()
        return self.__dict__

    def get_cohort(self, cohort_size: int) -> Iterable[tuple[AbstractDataset, int]]:
        """Return an iterator over this worker's users of a cohort, see FederatedDatasetBase.

        What `next` had loaded ahead comes first, as if it had not been.
        """
        self._stop_reading_ahead()
        return super().get_cohort(cohort_size)

    def _next(self) -> tuple[AbstractDataset, int]:
        context = current_context()
        if self._read_ahead is None or self._read_ahead.context != context:
            self._stop_reading_ahead()
            weak = weakref.proxy(self)  # so that dropping the dataset drops what it reads at once
            self._read_ahead = ReadAhead(context, lambda: weak._draw_group(context.world_size), self._loader.load)
        try:
            return self._read_ahead.next()
        except BaseException:
            self._stop_reading_ahead()
            raise

    def _draw_own(self) -> Draw:
        self._stop_reading_ahead()
        return super()._draw_own()

    def _stop_reading_ahead(self) -> None:
        if self._read_ahead is not None:
            self._drawn.extendleft(reversed(self._read_ahead.unused()))
            self._read_ahead = None

    def _draw_group(self, size: int) -> list[Draw]:
        draws: list[Draw] = []
        try:
            while len(draws) < size:
                draws.append(self._draw())
        except BaseException:
            self._drawn.extendleft(reversed(draws))
            raise
        return draws

    def _draw(self) -> Draw:
        drawn = self._drawn.popleft() if self._drawn else super()._draw()
        if not isinstance(drawn, Exception):
            return drawn
        try:
            raise drawn
        finally:
            del drawn  # the error holds this frame, which must not hold it

    def _load_all(self, draws: Sequence[Draw]) -> Iterator[tuple[AbstractDataset, int]]:
        datasets = self._loader.load([draw.user for draw in draws])
        return ((dataset, draw.seed) for dataset, draw in zip(datasets, draws, strict=True))
