"""One user for PyTorch: tensors in memory, or samples that a DataLoader loads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.abstract_dataset import AbstractDataset, DescribedDataset
from fedsynth.federated.arguments import AssertedError
from fedsynth.federated.beside_pfl import stands_for
from fedsynth.federated.dataset import Dataset, check_batch_size
from fedsynth.federated.distributed import current_context
from fedsynth.federated.slices import Arrays, shape_of
from fedsynth.federated.torch import import_torch

if TYPE_CHECKING:
    from torch.utils.data import Dataset as Samples


@stands_for("pytorch")
class PyTorchTensorDataset(Dataset):
    """A `Dataset` of torch tensors [n, ...]: a tuple, or a dict, whose batches are dicts with the same keys.

    raw_data is a tuple of the tensors, a dict's values too.

    Args:
        tensors: A tensor, a tuple of tensors or a dict of tensors.
        user_id: The user.
        metadata: What else is known about the user.
        val_indices: See `Dataset`.
        train_kwargs: Arguments for the model's training on this user.
        eval_kwargs: Arguments for the model's evaluation on this user.

    Raises:
        UsageError: The tensors differ in length.
        ImportError: torch is not installed.

    Examples:
        >>> import torch
        >>> from fedsynth import PyTorchTensorDataset
        >>> user = PyTorchTensorDataset({"x": torch.zeros(3, 2), "y": torch.arange(3)}, user_id="a")
        >>> [batch["y"].tolist() for batch in user.iter(batch_size=2)]
        [[0, 1], [2]]
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
        """Yield consecutive slices of the samples, as dicts where the tensors were given in one.

        Args:
            batch_size: The samples of a slice; None for all.
        """
        batches, keys = super().iter(batch_size), self._keys
        return batches if keys is None else (dict(zip(keys, batch, strict=True)) for batch in batches)


@stands_for("pytorch")
class PyTorchDataDataset(DescribedDataset):
    """A user too large for memory.

    Args:
        raw_data: A map-style `torch.utils.data.Dataset` of samples.
        user_id: The user.
        metadata: What else is known about the user.
        train_kwargs: Arguments for the model's training on this user.
        eval_kwargs: Arguments for the model's evaluation on this user.
        **dataloader_kwargs: For each `DataLoader`; a batch_size among them is the default of `iter`.

    Raises:
        UsageError: raw_data has no length.
        ImportError: torch is not installed.

    Examples:
        >>> import torch
        >>> from fedsynth import PyTorchDataDataset
        >>> samples = torch.utils.data.TensorDataset(torch.arange(5))
        >>> user = PyTorchDataDataset(samples, user_id="a")
        >>> [x.tolist() for x, in user.iter(batch_size=2)]
        [[0, 1], [2, 3], [4]]
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
        """Yield batches of a `DataLoader`.

        Args:
            batch_size: The samples of a batch; None for the class's own, or else sample by sample.

        Raises:
            UsageError: batch_size is below 1.
        """
        batch_size = self._batch_size if batch_size is None else batch_size
        if batch_size is not None:
            check_batch_size(batch_size)
        loader = import_torch().utils.data.DataLoader(self._raw_data, batch_size=batch_size, **self._dataloader_kwargs)
        return iter(loader)

    def split(
        self, fraction: float | None = None, min_train_size: int | None = None, min_val_size: int | None = None
    ) -> tuple[AbstractDataset, AbstractDataset]:
        """Not possible for samples that are not in memory: make a `DatasetSplit` of two datasets instead.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "a PyTorchDataDataset can't be split; make two of them and a DatasetSplit(train_dataset, val_dataset)"
        )

    def get_worker_partition(self) -> PyTorchDataDataset:
        """Return every world_size-th sample from rank on, with the same description and dataloader_kwargs.

        Raises:
            UsageError: There is a sampler among these: its indices are the whole dataset's, not the share's.
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
