"""pfl-research itself, for tests that run it beside fedsynth."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import multiprocessing
import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import pytest


@functools.cache
def pfl() -> SimpleNamespace:
    """Import pfl-research and return its names. It warns, and sets a start method, that are none of our business.

    The test is skipped where it is not installed: it has no version for Python 3.13.
    """
    if importlib.util.find_spec("pfl") is None:
        pytest.skip("pfl-research is not installed")
    method = multiprocessing.get_start_method(allow_none=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pfl.model.pytorch  # noqa: F401 - chooses the framework that the others work with
        from pfl.data import dataset, federated_dataset, partition, pytorch, sampling, user_state
    multiprocessing.set_start_method(method, force=True)
    names = {
        name: value
        for module in (dataset, federated_dataset, sampling, pytorch, user_state)
        for name, value in vars(module).items()
        if not name.startswith("_")
    }
    return SimpleNamespace(
        **{**names, "partition_by_dirichlet_class_distribution": partition.partition_by_dirichlet_class_distribution},
        partition=partition.partition_by_dirichlet_class_distribution,
    )


@contextlib.contextmanager
def pfl_worker(rank: int, world_size: int) -> Iterator[None]:
    """Let pfl-research think that this process is one of several workers, on nodes of their own."""
    pfl()
    from pfl.internal.ops import pytorch_ops
    from pfl.internal.ops.distributed import NotDistributedContext

    class Worker(NotDistributedContext):  # type: ignore[misc]
        global_rank, local_rank, local_size = rank, 0, 1

    Worker.world_size = world_size
    alone, pytorch_ops.distributed = pytorch_ops.distributed, Worker()
    try:
        yield
    finally:
        pytorch_ops.distributed = alone
