"""pfl-research itself, for tests that run it beside fedsynth."""

from __future__ import annotations

import functools
import multiprocessing
import warnings
from types import SimpleNamespace


@functools.cache
def pfl() -> SimpleNamespace:
    """Import pfl-research and return its names. It warns, and sets a start method, that are none of our business."""
    method = multiprocessing.get_start_method(allow_none=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pfl.model.pytorch  # noqa: F401 - chooses the framework that the others work with
        from pfl.data import dataset, federated_dataset, partition, pytorch, sampling
    multiprocessing.set_start_method(method, force=True)
    names = {
        name: value
        for module in (dataset, federated_dataset, sampling, pytorch)
        for name, value in vars(module).items()
        if not name.startswith("_")
    }
    return SimpleNamespace(**names, partition=partition.partition_by_dirichlet_class_distribution)
