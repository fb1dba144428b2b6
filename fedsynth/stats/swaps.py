"""How far apart users are in their concepts where clusters of them have exchanged labels: exactly, without models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]


def swap_measures(shares: Floats, clusters: Ints, swaps: Ints) -> dict[str, float]:
    """Return the `concept.` measures that there are: of one cluster no `between`, of users all alone no `within`.

    shares: [classes], of the classes before any exchange in the samples that are asked about; clusters: [users];
    swaps: [clusters, classes], the label of each class. Two users disagree about the samples of the classes that their
    clusters label differently, so that disagreement is a sum over classes, over all pairs of users.
    """
    sizes = np.bincount(clusters, minlength=len(swaps)).astype(float)
    users = sizes.sum()
    pairs, inside = users * (users - 1), float((sizes * (sizes - 1)).sum())
    differing = np.array([[shares @ (mine != theirs) for theirs in swaps] for mine in swaps])
    across = float(sizes @ differing @ sizes)
    measures = {"concept.disagreement": float(across / pairs)} if pairs else {}
    if inside:
        measures["concept.within"] = 0.0
    if pairs > inside:
        measures["concept.between"] = float(across / (pairs - inside))
    return {**measures, "concept.oracle_accuracy": 1.0}


def class_shares(users: Ints, classes: Ints, num_samples: Ints, num_classes: int) -> Floats:
    """Return the mean over users of the shares of classes in their samples: [classes], of sum 1.

    users, classes: [samples], of each; num_samples: [users], those without any don't count. So does a probe whose
    samples come from users that are drawn with the same chance whatever their sizes.
    """
    weights = 1.0 / np.maximum(num_samples, 1)
    return np.bincount(classes, weights[users], num_classes) / max(int((num_samples > 0).sum()), 1)
