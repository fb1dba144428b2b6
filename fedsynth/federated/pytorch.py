"""Users for PyTorch, by the name of pfl-research's module."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fedsynth.federated.abstract_dataset import AbstractDataset
from fedsynth.federated.beside_pfl import stands_for
from fedsynth.federated.distributed import current_context
from fedsynth.federated.draws import Draw
from fedsynth.federated.federated_dataset import FederatedDataset
from fedsynth.federated.torch_datasets import PyTorchDataDataset, PyTorchTensorDataset
from fedsynth.federated.user_loader import ReadAhead, UserLoader

if TYPE_CHECKING:
    from torch.utils.data import Dataset as Samples

__all__ = ["PyTorchDataDataset", "PyTorchFederatedDataset", "PyTorchTensorDataset"]


@stands_for("pytorch")
class PyTorchFederatedDataset(FederatedDataset):
    """Users loaded through a `DataLoader`, by its workers and ahead of their turn where dataloader_kwargs say so.

    A user that dataset_cls makes has the id drawn, unless the data names another. A collate_fn gets
    `[dataset[user_id]]`, as with torch's own batch_size of 1, and returns a dict, or tensors with a first axis of 1 for
    the one user, which is taken off; with batch_size=None it gets `dataset[user_id]` itself. Tensors that are not in a
    dict go to pfl-research's device, where that is imported.

    Ids are drawn in this process: which users come, and their seeds, do not depend on the DataLoader's processes. These
    start with the first user and serve all cohorts until the dataset is dropped; `persistent_workers=False` starts them
    anew for each.

    Args:
        dataset: `dataset[user_id]` returns all of a user's tensors [n, ...], as one, a sequence or a dict, in which
            "user_id" may name the user.
        user_sampler: Draws an id.
        dataset_cls: Called with the tensors and dataset_kwargs, with a dict's "user_id" as the second argument; by
            default `PyTorchTensorDataset`.
        dataset_kwargs: For dataset_cls.
        user_id_to_weight: See `FederatedDataset`.
        make_user_dataset_fn: Makes the user's dataset instead of dataset_cls, from what the DataLoader gives.
        seed: See `FederatedDatasetBase`.
        **dataloader_kwargs: For the `DataLoader`.

    Raises:
        UsageError: batch_size is neither None nor 1, or the DataLoader is given an order of its own.
        ImportError: torch is not installed.

    Examples:
        >>> import torch
        >>> from fedsynth import MinimizeReuseUserSampler, PyTorchFederatedDataset
        >>> users = {"a": torch.zeros(2, 3), "b": torch.zeros(5, 3)}
        >>> federated = PyTorchFederatedDataset(users, MinimizeReuseUserSampler(users), seed=1)
        >>> [(user.user_id, len(user)) for user, seed in federated.get_cohort(2)]
        [('a', 2), ('b', 5)]
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
        """Draw a cohort, as `FederatedDatasetBase.get_cohort`.

        What `next` had loaded ahead comes first, as if it had not been.

        Args:
            cohort_size: The number of users to draw, over all workers.

        Returns:
            An iterator of (user dataset, seed) over the users that this worker is to handle.
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
