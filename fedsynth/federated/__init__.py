"""Federated datasets: one user's dataset, many users, cohorts for several workers, and loading LEAF's files.

The names are those of `pfl.data`, and pfl-research's training loop runs on these objects; torch is only imported when
a PyTorch class is used.
"""

from fedsynth.federated.dataset import AbstractDataset, Dataset, DatasetSplit, TabularDataset
from fedsynth.federated.distributed import DistributedContext, current_context, use_context
from fedsynth.federated.federated_dataset import (
    ArtificialFederatedDataset,
    FederatedDataset,
    FederatedDatasetBase,
    FederatedDatasetMixture,
)
from fedsynth.federated.loader import LeafDataset, load, load_splits
from fedsynth.federated.partition import partition_by_dirichlet_class_distribution
from fedsynth.federated.pytorch import PyTorchDataDataset, PyTorchFederatedDataset, PyTorchTensorDataset
from fedsynth.federated.sampling import (
    CrossSiloUserSampler,
    DirichletDataSampler,
    MinimizeReuseDataSampler,
    MinimizeReuseUserSampler,
    get_data_sampler,
    get_user_sampler,
)

__all__ = [
    "AbstractDataset",
    "ArtificialFederatedDataset",
    "CrossSiloUserSampler",
    "Dataset",
    "DatasetSplit",
    "DirichletDataSampler",
    "DistributedContext",
    "FederatedDataset",
    "FederatedDatasetBase",
    "FederatedDatasetMixture",
    "LeafDataset",
    "MinimizeReuseDataSampler",
    "MinimizeReuseUserSampler",
    "PyTorchDataDataset",
    "PyTorchFederatedDataset",
    "PyTorchTensorDataset",
    "TabularDataset",
    "current_context",
    "get_data_sampler",
    "get_user_sampler",
    "load",
    "load_splits",
    "partition_by_dirichlet_class_distribution",
    "use_context",
]
