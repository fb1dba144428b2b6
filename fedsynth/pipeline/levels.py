"""What `stats` will say of data that isn't written: the measures of what parameters of `shifts` give.

Each kind is measured only from the ingredients that it depends on: sizes from sizes, labels from counts, concepts from
the probe, features from users' means. The functions that measure are those of stats/.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from fedsynth.processes.shifts.ingredients import Ingredients
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.stats.concepts import PAIRED, ConceptMeter
from fedsynth.stats.features import FeatureMoments
from fedsynth.stats.heterogeneity import SEED
from fedsynth.stats.labels import LabelTable, distances, label_measures
from fedsynth.stats.quantity import quantity_measures
from fedsynth.truth import Truth

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Levels = dict[str, float]
"""By measure."""


def quantity_levels(sizes: Ints) -> Levels:
    """Return the `quantity.` measures of sizes [users]."""
    return quantity_measures(sizes.tolist())


def accuracy(parameters: ShiftsParameters, sizes: Ints) -> float:
    """Return how many of all labels stay what the true models say. Holds one user's draws."""
    draw = Ingredients(parameters)
    kept = 0
    for user, size in enumerate(sizes.tolist()):
        labels = np.zeros(size, np.int64)
        kept += int(np.count_nonzero(draw.labels(user, labels) == labels))
    return kept / int(sizes.sum())


def count_labels(parameters: ShiftsParameters, sizes: Ints) -> Ints:
    """Return how many of each class each user has, [users, C], as they are written. Holds one user's labels."""
    draw = Ingredients(parameters)
    counts = np.zeros((len(sizes), parameters.num_classes), np.int64)
    for user, size in enumerate(sizes.tolist()):
        labels = draw.labels(user, draw.true_labels(user, size, draw.shares(user)))
        counts[user] = np.bincount(labels, minlength=parameters.num_classes)
    return counts


def label_levels(counts: Ints) -> Levels:
    """Return the `label.` measures but for their chance levels, which take time. counts: [users, C]."""
    shares = counts.max(axis=1) / counts.sum(axis=1)
    return {
        "label.classes_per_user": float((counts > 0).sum(axis=1).mean()),
        "label.majority_share": float(shares.mean()),
        **distances(_table(counts)),
    }


def label_chances(counts: Ints) -> Levels:
    """Return what `stats` gives as chance, by measure."""
    measured = label_measures(_table(counts), default_rng(SEED))
    chance = "_chance"
    return {key.removesuffix(chance): value for key, value in measured.items() if key.endswith(chance)}


class ConceptLevels:
    """The disagreements for any concept knobs, by the probe of `stats`: the same users, the same samples of theirs.

    Holds the clusters and, of the users that are compared or give samples, class shares; while it measures, their
    models and the probe too.
    """

    def __init__(self, parameters: ShiftsParameters, sizes: Ints) -> None:
        draw = Ingredients(parameters)
        self._sizes = sizes.tolist()
        self._clusters = np.array([draw.cluster(user) for user in range(len(sizes))])
        self._shares: dict[int, Floats] = {}

    def levels(self, parameters: ShiftsParameters) -> Levels:
        """Return the disagreements, without label noise. Those that do not apply, as there is one cluster or one user,
        are missing."""
        draw = Ingredients(parameters)
        # Zeros of which most are never written, so that they take no memory.
        models = np.zeros((len(self._sizes), parameters.deciding + 1, parameters.num_classes))
        names = [str(user) for user in range(len(self._sizes))]
        recorded = {"prob_clusters": list(parameters.prob_clusters)}
        truth = Truth(Path("truth.npz"), names, self._sizes, recorded, self._clusters, None, None, models)
        meter = ConceptMeter.draw(truth, default_rng(SEED))
        for user in meter.looks_at:
            models[user, 1:] = draw.model(user)
        for user in meter.probed:
            if user not in self._shares:
                self._shares[user] = draw.shares(user)
            labels = draw.true_labels(user, self._sizes[user], self._shares[user])
            meter.add(user, draw.deciding(user, labels, models[user, 1:]), labels.tolist())
        found = meter.measures()[0]
        return {key: found[key] for key in PAIRED if key in found}


class FeatureLevels:
    """`feature.between_share` for any feature_shift, after one pass over the users. Holds ten numbers a dimension."""

    def __init__(self, parameters: ShiftsParameters, sizes: Ints) -> None:
        draw = Ingredients(parameters)
        self._dims, self._deciding = parameters.num_dim, parameters.deciding
        moments = FeatureMoments()
        width = self._dims - self._deciding
        self._sums, self._within = np.zeros((5, width)), np.zeros(width)
        self._samples = int(sizes.sum())
        for user, size in enumerate(sizes.tolist()):
            labels = draw.true_labels(user, size, draw.shares(user))
            moments.add(draw.deciding(user, labels, draw.model(user)))
            if width:
                self._take(draw.others(user, size), draw.offset(user))
        self._of_deciding = float(moments.measures()["feature.between_share"]["mean"])

    def level(self, shift: float) -> float:
        """Return the mean over all dimensions."""
        if self._dims == self._deciding:
            return self._of_deciding
        z, m, zz, mm, zm = self._sums / self._samples
        within = (1 - shift) * self._within / self._samples
        mixed = math.sqrt(shift * (1 - shift))
        between = (1 - shift) * (zz - z**2) + shift * (mm - m**2) + 2 * mixed * (zm - z * m)
        total = within + between
        shares = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
        return float((self._of_deciding * self._deciding + shares.sum()) / self._dims)

    def _take(self, z: Floats, offset: Floats) -> None:
        mean = z.mean(axis=0)
        rest = z - mean
        self._within += np.einsum("ij,ij->j", rest, rest)
        self._sums += len(z) * np.stack([mean, offset, mean**2, offset**2, mean * offset])


def _table(counts: Ints) -> LabelTable:
    """Return counts as `stats` counts them: without the zeros, and without classes that nobody has."""
    present = np.flatnonzero(counts.any(axis=0))
    users, classes = np.nonzero(counts[:, present])
    values = counts[:, present][users, classes]
    return LabelTable(users, classes, values, counts.sum(axis=1), present.tolist())
