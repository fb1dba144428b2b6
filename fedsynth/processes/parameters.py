"""What can be chosen about each generative process, and the checks on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from fedsynth.errors import UsageError, named

MOST = {"num_tasks": 10**8, "num_classes": 10**6, "num_dim": 10**6}
"""More users than an index in memory holds, 1 kB each; classes and dimensions as models of MOST_NUMBERS can have."""
MOST_NUMBERS = 10**8
"""Of what is drawn as one matrix: 0.8 GB."""
LARGEST = 1e100
"""Of standard deviations: whatever is drawn with it, and its square, is a finite number."""


@dataclass(frozen=True)
class Parameters:
    """The parameters of LEAF's process, with LEAF's values as defaults.

    num_tasks, num_classes, num_dim: 1 to MOST; seed: in [0, 2**32); prob_clusters: [clusters] the probability of
    each cluster of task models, all positive, used as given. Standard deviations, 0 to 1e100: cluster_spread of the
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
        check_common(self)
        check_clusters(self.prob_clusters)
        check_model_size(self, len(self.prob_clusters))
        for name in ("cluster_spread", "model_spread", "noise", "sigma_samples"):
            _check_spread(name, getattr(self, name))
        if not math.isfinite(self.mean_samples):
            raise UsageError(
                f"{named('mean_samples')} is {self.mean_samples:g}, expected the mean of a logarithm, such as 3"
            )
        check_sizes(self.min_samples, self.max_samples)


@dataclass(frozen=True)
class FedproxParameters:
    """The parameters of Synthetic(alpha, beta), Li et al., "Federated Optimization in Heterogeneous Networks".

    num_tasks, num_classes, num_dim: 1 to MOST; seed: in [0, 2**32). alpha, beta: standard deviations, 0 to 1e100, of
    the means of the users' models and of their samples around a common mean; iid: all users share one model and one
    mean instead, alpha and beta have no effect. Raises UsageError for anything else.
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
        check_common(self)
        check_model_size(self)
        _check_spread("alpha", self.alpha)
        _check_spread("beta", self.beta)


def check_common(parameters: Any) -> None:
    """Check what all processes have. Raises UsageError."""
    for name, most in MOST.items():
        value = getattr(parameters, name)
        if not 1 <= value <= most:
            raise UsageError(f"{named(name)} is {value}, expected 1 to {most:,}")
    if not 0 <= parameters.seed < 2**32:
        raise UsageError(f"{named('seed')} is {parameters.seed}, expected 0 to {2**32 - 1}")


def check_model_size(parameters: Any, copies: int = 1) -> None:
    """Check that models of D+1 by C numbers fit in memory. copies: how many. Raises UsageError."""
    numbers = (parameters.num_dim + 1) * parameters.num_classes * copies
    if numbers > MOST_NUMBERS:
        of_clusters = f" for {copies} clusters" if copies > 1 else ""
        raise UsageError(
            f"{named('num_dim')} {parameters.num_dim} and {named('num_classes')} {parameters.num_classes} make a model "
            f"of {numbers:,} numbers{of_clusters}, expected at most {MOST_NUMBERS:,}; use less of one"
        )


def check_clusters(probabilities: tuple[float, ...]) -> None:
    """Check the clusters' probabilities. Raises UsageError."""
    if not probabilities or not all(probability > 0 for probability in probabilities):
        raise UsageError(
            f"{named('prob_clusters')} is {_listed(probabilities)}, expected positive numbers such as 0.5,0.5"
        )
    if not math.isclose(math.fsum(probabilities), 1, rel_tol=0, abs_tol=1e-8):
        found = f"{_listed(probabilities)}, which adds up to {math.fsum(probabilities):g}"
        raise UsageError(f"{named('prob_clusters')} is {found}, expected a sum of 1")


def check_sizes(min_samples: int, max_samples: int) -> None:
    """Check the bounds of users' sizes. Raises UsageError."""
    if min_samples < 1:
        raise UsageError(f"{named('min_samples')} is {min_samples}, expected at least 1")
    if not min_samples <= max_samples < 2**31:
        expected = f"at least {named('min_samples')}, {min_samples}, and less than {2**31}"
        raise UsageError(f"{named('max_samples')} is {max_samples}, expected {expected}")


def _check_spread(name: str, value: float) -> None:
    if not 0 <= value <= LARGEST:
        raise UsageError(f"{named(name)} is {value:g}, expected a standard deviation, 0 to {LARGEST:g}")


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(map(repr, values))
