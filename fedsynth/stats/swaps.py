"""How far apart users are in their concepts where clusters of them have exchanged labels: exactly, without models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedsynth.stats.labels import LabelTable
from fedsynth.truth import Truth

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]

KEYS = ("concept.disagreement", "concept.within", "concept.between", "concept.oracle_accuracy")
OWN_DATA = "of somebody's own data no true models are known"
NO_PAIRS = "there are no two users to compare"
ONE_CLUSTER = "all users are of one cluster"
NO_COMPANIONS = "no two users are of one cluster"
OTHER_LABELS = "labels are not those of the partition"


def swap_measures(shares: Floats, clusters: Ints, swaps: Ints) -> dict[str, float]:
    """Return the `concept.` measures that apply: no `between` for one cluster, no `within` if each has one user.

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


def concepts_without_models(truth: Truth, labels: LabelTable | None) -> tuple[dict[str, float], dict[str, str]]:
    """Return the `concept.` measures of data whose clusters exchange labels, and why the others don't apply.

    labels: as they are after the exchange; None if they are no classes. Takes them back to the classes of before.
    """
    if truth.swaps is None or truth.class_labels is None or truth.cluster is None:
        return {}, dict.fromkeys(KEYS, OWN_DATA)
    position = {label: number for number, label in enumerate(truth.class_labels.tolist())}
    if labels is None or not set(labels.names) <= position.keys():
        return {}, dict.fromkeys(KEYS, OTHER_LABELS)
    exchanged = np.array([position[name] for name in labels.names])[labels.classes]
    before = np.argsort(truth.swaps, axis=1)[truth.cluster[labels.users], exchanged]
    shares = np.bincount(before, labels.counts / labels.sizes[labels.users], len(position)) / (labels.sizes > 0).sum()
    values = swap_measures(shares, truth.cluster, truth.swaps)
    reasons = {"concept.between": ONE_CLUSTER, "concept.within": NO_COMPANIONS, "concept.disagreement": NO_PAIRS}
    return values, {key: reasons[key] for key in KEYS if key not in values}
