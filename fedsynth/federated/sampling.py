"""Samplers of user ids and of sample indices, by the name of pfl-research's module."""

from fedsynth.federated.data_samplers import (
    DataSampler,
    DirichletDataSampler,
    MinimizeReuseDataSampler,
    RandomDataSampler,
    get_data_sampler,
)
from fedsynth.federated.user_samplers import (
    CrossSiloUserSampler,
    MinimizeReuseUserSampler,
    RandomUserSampler,
    UserSampler,
    get_user_sampler,
)

__all__ = [
    "CrossSiloUserSampler",
    "DataSampler",
    "DirichletDataSampler",
    "MinimizeReuseDataSampler",
    "MinimizeReuseUserSampler",
    "RandomDataSampler",
    "RandomUserSampler",
    "UserSampler",
    "get_data_sampler",
    "get_user_sampler",
]
