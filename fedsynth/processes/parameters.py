"""What can be chosen about each generative process, and the checks on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from fedsynth.errors import UsageError


@dataclass(frozen=True)
class Parameters:
    """The parameters of LEAF's process, with LEAF's values as defaults.

    num_tasks, num_classes, num_dim: at least 1; seed: in [0, 2**32); prob_clusters: [clusters] the probability of
    each cluster of task models, all positive, used as given. Standard deviations, at least 0: cluster_spread of the
    clusters' centres around their location, model_spread of the models around their centre, noise on the logits.
    mean_samples, sigma_samples: of the logarithm of the number of samples, which is then raised by min_samples, at
    least 1, and cut to max_samples. Raises UsageError for anything else.
    """

    model: ClassVar[str] = "leaf"

    num_tasks: int
    num_classes: int = 5
    num_dim: int = 60
    seed: int = 931231
    prob_clusters: tuple[float, ...] = (1.0,)
    cluster_spread: float = 1.0
    model_spread: float = 0.1
    noise: float = 0.1
    mean_samples: float = 3.0
    sigma_samples: float = 2.0
    min_samples: int = 5
    max_samples: int = 1000

    def __post_init__(self) -> None:
        _check_common(self)
        _check_clusters(self.prob_clusters)
        for name in ("cluster_spread", "model_spread", "noise", "sigma_samples"):
            _check_spread(name, getattr(self, name))
        if not math.isfinite(self.mean_samples):
            raise UsageError(f"mean_samples is {self.mean_samples:g}, expected the mean of a logarithm, such as 3")
        if self.min_samples < 1:
            raise UsageError(f"min_samples is {self.min_samples}, expected at least 1")
        if not self.min_samples <= self.max_samples < 2**31:
            expected = f"at least min_samples, {self.min_samples}, and less than {2**31}"
            raise UsageError(f"max_samples is {self.max_samples}, expected {expected}")


@dataclass(frozen=True)
class FedproxParameters:
    """The parameters of Synthetic(alpha, beta), Li et al., "Federated Optimization in Heterogeneous Networks".

    num_tasks, num_classes, num_dim: at least 1; seed: in [0, 2**32). alpha, beta: standard deviations, at least 0, of
    the users' models and of the places of their samples around a common one; iid: all users share one model and one
    place instead, alpha and beta have no effect. Raises UsageError for anything else.
    """

    model: ClassVar[str] = "fedprox"

    num_tasks: int
    num_classes: int = 10
    num_dim: int = 60
    seed: int = 931231
    alpha: float = 1.0
    beta: float = 1.0
    iid: bool = False

    def __post_init__(self) -> None:
        _check_common(self)
        _check_spread("alpha", self.alpha)
        _check_spread("beta", self.beta)


def _check_common(parameters: Any) -> None:
    for name in ("num_tasks", "num_classes", "num_dim"):
        if getattr(parameters, name) < 1:
            raise UsageError(f"{name} is {getattr(parameters, name)}, expected at least 1")
    if not 0 <= parameters.seed < 2**32:
        raise UsageError(f"seed is {parameters.seed}, expected 0 to {2**32 - 1}")


def _check_clusters(probabilities: tuple[float, ...]) -> None:
    if not probabilities or not all(probability > 0 for probability in probabilities):
        raise UsageError(f"prob_clusters is {_listed(probabilities)}, expected positive numbers such as 0.5,0.5")
    if not math.isclose(math.fsum(probabilities), 1, rel_tol=0, abs_tol=1e-8):
        found = f"{_listed(probabilities)}, which adds up to {math.fsum(probabilities):g}"
        raise UsageError(f"prob_clusters is {found}, expected a sum of 1")


def _check_spread(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise UsageError(f"{name} is {value:g}, expected a standard deviation, 0 or more")


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(map(repr, values))
