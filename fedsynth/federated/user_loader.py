"""Loading users through torch's `DataLoader`, by processes that stay from one cohort to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from fedsynth.errors import DataError, UsageError
from fedsynth.federated.abstract_dataset import AbstractDataset, DescribedDataset
from fedsynth.federated.arguments import AssertedError
from fedsynth.federated.distributed import DistributedContext
from fedsynth.federated.draws import Draw, one_each
from fedsynth.federated.torch import import_torch, on_pfls_device

_OWN_KWARGS = ("sampler", "batch_sampler", "shuffle", "in_order")
"""What PyTorchFederatedDataset decides itself: the order in which users are loaded."""


@dataclass(frozen=True)
class UserMaker:
    """Makes a user's dataset from what a DataLoader gives. batched: whether that has an axis for the one user first."""

    dataset_cls: Callable[..., AbstractDataset]
    dataset_kwargs: Mapping[str, Any]
    make_user_dataset_fn: Callable[[Any], AbstractDataset] | None
    batched: bool

    def make(self, loaded: Any, user_id: Any) -> AbstractDataset:
        """Return the dataset; its user is the one drawn, unless the data names another."""
        if self.make_user_dataset_fn is not None:
            return self.make_user_dataset_fn(loaded)
        if isinstance(loaded, Mapping):
            named = dict(loaded)
            dataset = self.dataset_cls(named, named.pop("user_id", None), **self.dataset_kwargs)
        else:
            tensors = loaded if isinstance(loaded, (list, tuple)) else [loaded]
            if self.batched:
                tensors = [_of_one_user(tensor) for tensor in tensors]
            dataset = self.dataset_cls(tuple(map(on_pfls_device, tensors)), **self.dataset_kwargs)
        if isinstance(dataset, DescribedDataset) and dataset.user_id is None:
            dataset._user_id = user_id
        return dataset


def _of_one_user(tensor: Any) -> Any:
    shape = getattr(tensor, "shape", None)
    if not shape or shape[0] != 1:
        raise DataError(
            f"collate_fn made {'a tensor of shape ' + str(list(shape)) if shape else repr(tensor)[:40]}, expected a "
            "first axis of 1 for the one user it is given; add it, return a dict, or pass batch_size=None"
        )
    return tensor[0]


class _Ids:
    """A DataLoader's sampler: the ids of whichever users are to be loaded now."""

    def __init__(self) -> None:
        self.now: Iterable[Any] = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.now)


class UserLoader:
    """Loads users, here or through DataLoaders.

    A DataLoader serves one cohort after another, and so do its processes, which start with the first; a second one is
    made only while a first is still being read. They end when this object does, and after an error.
    """

    def __init__(
        self,
        dataset: Any,
        dataset_cls: Callable[..., AbstractDataset],
        dataset_kwargs: Mapping[str, Any],
        make_user_dataset_fn: Callable[[Any], AbstractDataset] | None,
        dataloader_kwargs: Mapping[str, Any],
    ) -> None:
        if isinstance(dataset, import_torch().utils.data.IterableDataset):
            raise UsageError("dataset is an IterableDataset, expected one that takes a user id: dataset[user_id]")
        self._dataset = dataset
        custom = dataloader_kwargs.get("collate_fn") is not None or make_user_dataset_fn is not None
        batched = custom and dataloader_kwargs.get("batch_size", 1) is not None
        self._maker = UserMaker(dataset_cls, dataset_kwargs, make_user_dataset_fn, batched)
        self._kwargs = _checked_kwargs(dataloader_kwargs, batched)
        try:
            self._idle = [self._open()]
        except (TypeError, ValueError) as error:
            raise UsageError(f"{error}, expected arguments that a torch DataLoader of single users takes") from error

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_idle": []}

    def load_here(self, user_id: Any) -> AbstractDataset:
        """Load a user in this process."""
        data, batched = import_torch().utils.data, self._maker.batched
        collate = self._kwargs.get("collate_fn") or (data.default_collate if batched else data.default_convert)
        sample = self._dataset[user_id]
        return self._maker.make(collate([sample] if batched else sample), user_id)

    def load(self, user_ids: Iterable[Any]) -> Iterator[AbstractDataset]:
        """Load users through a DataLoader, which starts with the first one asked for."""
        wanted: deque[Any] = deque()
        for loaded in self._read(_noted(user_ids, wanted)):
            yield self._maker.make(loaded, wanted.popleft())

    def _read(self, user_ids: Generator[Any, None, None]) -> Iterator[Any]:
        ids, dataloader = self._idle.pop() if self._idle else self._open()
        ids.now = user_ids
        try:
            yield from dataloader
        except Exception as error:
            # torch's frames hold the error, and it holds them: a cycle, which would keep the processes until it is
            # collected, and then stall the collection.
            raise error.with_traceback(None)  # noqa: B904 - it is the error itself
        except GeneratorExit:  # left half read: torch drops what it has loaded once the next users are asked for
            self._idle.append((ids, dataloader))
            raise
        else:
            self._idle.append((ids, dataloader))
        finally:
            user_ids.close()  # the DataLoader keeps it, and through it would keep whoever draws the ids

    def _open(self) -> tuple[_Ids, Any]:
        ids = _Ids()
        return ids, import_torch().utils.data.DataLoader(self._dataset, sampler=ids, **self._kwargs)


def _noted(user_ids: Iterable[Any], wanted: deque[Any]) -> Generator[Any, None, None]:
    """Yield the ids, and note them in the order in which they were asked for: users come back in that order."""
    for user_id in user_ids:
        wanted.append(user_id)
        yield user_id


def _checked_kwargs(kwargs: Mapping[str, Any], batched: bool) -> dict[str, Any]:
    if kwargs.get("batch_size") not in (None, 1):
        raise AssertedError(
            f"batch_size is {kwargs['batch_size']}, expected None or 1: dataset[user_id] is all of a user's data"
        )
    for name in _OWN_KWARGS:
        if name in kwargs:
            raise UsageError(f"got {name} for the DataLoader, expected none: user_sampler decides who comes when")
    persistent = {"persistent_workers": True} if kwargs.get("num_workers") else {}
    return {**persistent, **kwargs, "batch_size": 1 if batched else None}


class ReadAhead:
    """Users for `next`, in one context, drawn and loaded as far ahead as the DataLoader wants them.

    draw_group: draws a pair for each worker.
    """

    def __init__(
        self,
        context: DistributedContext,
        draw_group: Callable[[], list[Draw]],
        load: Callable[[Iterable[Any]], Iterator[AbstractDataset]],
    ) -> None:
        self.context = context
        self._ahead: deque[list[Draw] | Exception] = deque()
        """What was drawn and not returned yet; an error while drawing is the last, and returned in its turn."""
        self._datasets = load(_draw_ids(context, draw_group, self._ahead))

    def next(self) -> tuple[AbstractDataset, int]:
        """Return this worker's next pair. Raises what drawing it or loading it raised."""
        try:
            dataset = next(self._datasets)
        except StopIteration:
            raise cast(Exception, self._ahead.popleft()) from None
        except Exception:
            self._ahead.popleft()
            raise
        group = cast(list[Draw], self._ahead.popleft())
        return dataset, one_each(group, self.context).seed

    def unused(self) -> list[Draw | Exception]:
        """Return what was drawn ahead, in order."""
        groups = [[group] if isinstance(group, Exception) else group for group in self._ahead]
        return [draw for group in groups for draw in group]


def _draw_ids(
    context: DistributedContext, draw_group: Callable[[], list[Draw]], ahead: deque[list[Draw] | Exception]
) -> Iterator[Any]:
    while True:
        try:
            group = draw_group()
        except Exception as error:
            ahead.append(error.with_traceback(None))  # its frames lead back here, a cycle as in `load`
            return
        ahead.append(group)
        yield one_each(group, context).user
