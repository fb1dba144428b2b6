"""Synthetic federated datasets: LEAF's generator and preprocessing, byte for byte, and datasets to train on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fedsynth.version import __version__

if TYPE_CHECKING:
    from fedsynth.api import Partition, partition, write_leaf
    from fedsynth.exporting import Exported, export
    from fedsynth.federated import (
        AbstractDataset,
        AbstractDatasetType,
        AbstractUserStateStorage,
        ArtificialFederatedDataset,
        CrossSiloUserSampler,
        Dataset,
        DatasetSplit,
        DirichletDataSampler,
        DiskUserStateStorage,
        DistributedContext,
        FederatedDataset,
        FederatedDatasetBase,
        FederatedDatasetMixture,
        InMemoryUserStateStorage,
        LeafDataset,
        MinimizeReuseDataSampler,
        MinimizeReuseUserSampler,
        PyTorchDataDataset,
        PyTorchFederatedDataset,
        PyTorchTensorDataset,
        TabularDataset,
        UserNotFoundError,
        current_context,
        get_data_sampler,
        get_user_sampler,
        load,
        load_splits,
        partition_by_dirichlet_class_distribution,
        replace_pfl,
        use_context,
    )
    from fedsynth.pipeline.stats import measure

__all__ = [
    "AbstractDataset",
    "AbstractDatasetType",
    "AbstractUserStateStorage",
    "ArtificialFederatedDataset",
    "CrossSiloUserSampler",
    "Dataset",
    "DatasetSplit",
    "DirichletDataSampler",
    "DiskUserStateStorage",
    "DistributedContext",
    "Exported",
    "FederatedDataset",
    "FederatedDatasetBase",
    "FederatedDatasetMixture",
    "InMemoryUserStateStorage",
    "LeafDataset",
    "MinimizeReuseDataSampler",
    "MinimizeReuseUserSampler",
    "Partition",
    "PyTorchDataDataset",
    "PyTorchFederatedDataset",
    "PyTorchTensorDataset",
    "TabularDataset",
    "UserNotFoundError",
    "__version__",
    "current_context",
    "export",
    "get_data_sampler",
    "get_user_sampler",
    "load",
    "load_splits",
    "measure",
    "partition",
    "partition_by_dirichlet_class_distribution",
    "replace_pfl",
    "use_context",
    "write_leaf",
]

_API = ("Partition", "partition", "write_leaf")


def __getattr__(name: str) -> Any:
    """Import the public names when one is first asked for: the commands start without NumPy."""
    if name == "measure":
        return importlib.import_module("fedsynth.pipeline.stats").measure
    if name in ("Exported", "export"):
        return getattr(importlib.import_module("fedsynth.exporting"), name)
    if name in _API:
        return getattr(importlib.import_module("fedsynth.api"), name)
    if name in __all__ or name == "federated":
        federated = importlib.import_module("fedsynth.federated")
        return federated if name == "federated" else getattr(federated, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names that are there, imported or not."""
    return sorted({*globals(), *__all__, "federated"})
