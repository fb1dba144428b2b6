"""Synthetic federated datasets: LEAF's generator and preprocessing, byte for byte, and datasets to train on."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fedsynth.version import __version__

if TYPE_CHECKING:
    from fedsynth import federated as federated
    from fedsynth.api.drawn import draw
    from fedsynth.api.exported import export
    from fedsynth.api.generated import generate
    from fedsynth.api.measured import compare, fit, measure
    from fedsynth.api.own_data import partition, write_leaf
    from fedsynth.api.partitions import Partition
    from fedsynth.api.preprocessed import preprocess
    from fedsynth.api.results import Folder, Generated, Preprocessed, StageDone
    from fedsynth.errors import BusyError, DataError, EngineError, FedsynthError, StageError, UsageError
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
    from fedsynth.pipeline.compare import Comparison
    from fedsynth.pipeline.export import Exported
    from fedsynth.pipeline.fit import Fit

__all__ = [
    "AbstractDataset",
    "AbstractDatasetType",
    "AbstractUserStateStorage",
    "ArtificialFederatedDataset",
    "BusyError",
    "Comparison",
    "CrossSiloUserSampler",
    "DataError",
    "Dataset",
    "DatasetSplit",
    "DirichletDataSampler",
    "DiskUserStateStorage",
    "DistributedContext",
    "EngineError",
    "Exported",
    "FederatedDataset",
    "FederatedDatasetBase",
    "FederatedDatasetMixture",
    "FedsynthError",
    "Fit",
    "Folder",
    "Generated",
    "InMemoryUserStateStorage",
    "LeafDataset",
    "MinimizeReuseDataSampler",
    "MinimizeReuseUserSampler",
    "Partition",
    "Preprocessed",
    "PyTorchDataDataset",
    "PyTorchFederatedDataset",
    "PyTorchTensorDataset",
    "StageDone",
    "StageError",
    "TabularDataset",
    "UsageError",
    "UserNotFoundError",
    "__version__",
    "compare",
    "current_context",
    "draw",
    "export",
    "fit",
    "generate",
    "get_data_sampler",
    "get_user_sampler",
    "load",
    "load_splits",
    "measure",
    "partition",
    "partition_by_dirichlet_class_distribution",
    "preprocess",
    "replace_pfl",
    "use_context",
    "write_leaf",
]

_MODULES = {
    "api.drawn": ("draw",),
    "api.exported": ("export",),
    "api.generated": ("generate",),
    "api.measured": ("compare", "fit", "measure"),
    "api.own_data": ("partition", "write_leaf"),
    "api.partitions": ("Partition",),
    "api.preprocessed": ("preprocess",),
    "api.results": ("Folder", "Generated", "Preprocessed", "StageDone"),
    "errors": ("BusyError", "DataError", "EngineError", "FedsynthError", "StageError", "UsageError"),
    "pipeline.compare": ("Comparison",),
    "pipeline.export": ("Exported",),
    "pipeline.fit": ("Fit",),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}
"""Where each public name is that `fedsynth.federated` doesn't have."""

if not TYPE_CHECKING:  # so that type checkers find names that are not there

    def __getattr__(name: str) -> Any:
        """Import the public names when one is first asked for: the commands start without NumPy."""
        if name == "federated":
            return importlib.import_module("fedsynth.federated")
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = importlib.import_module(f"fedsynth.{_HOMES.get(name, 'federated')}")
        found = globals()[name] = getattr(module, name)
        return found


def __dir__() -> list[str]:
    """Return the names that are there, imported or not."""
    return sorted({*globals(), *__all__, "federated"})
