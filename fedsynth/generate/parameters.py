"""What can be chosen about the generative process, and the checks on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from fedsynth.errors import UsageError


@dataclass(frozen=True)
class Parameters:
    """The generator's parameters, with LEAF's defaults.

    num_tasks, num_classes, num_dim: at least 1; seed: in [0, 2**32); prob_clusters: [clusters] the probability of
    each cluster of task models, all positive, used as given. Raises UsageError for anything else.
    """

    num_tasks: int
    num_classes: int = 5
    num_dim: int = 60
    seed: int = 931231
    prob_clusters: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name in ("num_tasks", "num_classes", "num_dim"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}, expected at least 1")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}, expected 0 to {2**32 - 1}")
        if not self.prob_clusters or not all(probability > 0 for probability in self.prob_clusters):
            raise UsageError(
                f"prob_clusters is {_listed(self.prob_clusters)}, expected positive numbers such as 0.5,0.5"
            )
        if not math.isclose(math.fsum(self.prob_clusters), 1, rel_tol=0, abs_tol=1e-8):
            found = f"{_listed(self.prob_clusters)}, which adds up to {math.fsum(self.prob_clusters):g}"
            raise UsageError(f"prob_clusters is {found}, expected a sum of 1")


def _listed(values: tuple[float, ...]) -> str:
    return ",".join(map(repr, values))
