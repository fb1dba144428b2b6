"""Federated datasets: one user's dataset, many users, cohorts for several workers, and loading LEAF's files.

The names and modules are those of `pfl.data`, and pfl-research's training loop runs on these objects; torch is only
imported when a PyTorch class is used.
"""

from fedsynth.federated.dataset import AbstractDataset, AbstractDatasetType, Dataset, DatasetSplit, TabularDataset
from fedsynth.federated.distributed import DistributedContext, current_context, use_context
from fedsynth.federated.federated_dataset import (
    ArtificialFederatedDataset,
    FederatedDataset,
    FederatedDatasetBase,
    FederatedDatasetMixture,
)
from fedsynth.federated.leaf_dataset import LeafDataset
from fedsynth.federated.loader import load, load_splits
from fedsynth.federated.partition import partition_by_dirichlet_class_distribution
from fedsynth.federated.pytorch import PyTorchDataDataset, PyTorchFederatedDataset, PyTorchTensorDataset
from fedsynth.federated.replace import replace_pfl
from fedsynth.federated.sampling import (
    CrossSiloUserSampler,
    DirichletDataSampler,
    MinimizeReuseDataSampler,
    MinimizeReuseUserSampler,
    get_data_sampler,
    get_user_sampler,
)
from fedsynth.federated.user_state import (
    AbstractUserStateStorage,
    DiskUserStateStorage,
    InMemoryUserStateStorage,
    UserNotFoundError,
)

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
    "FederatedDataset",
    "FederatedDatasetBase",
    "FederatedDatasetMixture",
    "InMemoryUserStateStorage",
    "LeafDataset",
    "MinimizeReuseDataSampler",
    "MinimizeReuseUserSampler",
    "PyTorchDataDataset",
    "PyTorchFederatedDataset",
    "PyTorchTensorDataset",
    "TabularDataset",
    "UserNotFoundError",
    "current_context",
    "get_data_sampler",
    "get_user_sampler",
    "load",
    "load_splits",
    "partition_by_dirichlet_class_distribution",
    "replace_pfl",
    "use_context",
]
