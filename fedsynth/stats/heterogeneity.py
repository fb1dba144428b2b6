"""All measures of heterogeneity of a folder's users, in one pass, each user looked at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import default_rng

from fedsynth.stats.concepts import ConceptMeter
from fedsynth.stats.features import FeatureMoments, to_matrix
from fedsynth.stats.labels import LabelCounter, LabelTable, label_measures
from fedsynth.stats.quantity import quantity_measures
from fedsynth.stats.swaps import concepts_without_models
from fedsynth.truth import Truth

SEED = 931231
"""Of the draws that measures need: labels by chance, and the probe of the concepts."""

NOT_ASKED = "features were not asked for"
NO_SAMPLES = "there are no samples"

LABEL_KEYS = ("label.classes_per_user", "label.majority_share", *(
    f"label.{name}{chance}"
    for chance in ("", "_chance")
    for name in ("jensen_shannon", "hellinger", "total_variation")
))  # fmt: skip
FEATURE_KEYS = ("feature.between_share",)
CONCEPT_KEYS = ("concept.disagreement", "concept.within", "concept.between", "concept.oracle_accuracy")
CLUSTER_KEYS = ("clusters.sizes",)


@dataclass(frozen=True)
class Measures:
    """What was measured. values: by key; left_out: why each of the others does not apply.

    labels: what was counted of them, None if they are no classes; truth: that of the users, where there is one.
    """

    values: dict[str, Any]
    left_out: dict[str, str]
    labels: LabelTable | None
    truth: Truth | None

    def as_json(self) -> dict[str, Any]:
        """Return the measures as JSON values, and what is left out under `left_out`."""
        return {**self.values, "left_out": self.left_out}


class Meter:
    """Take in users one by one, each named by his position in `num_samples`, and return the measures.

    truth: that of these users, in the same order; without it, no_truth says why. features: whether x is wanted at all.
    Memory does not grow with x: one user's matrix, his numbers of labels, five numbers a feature, the probe.
    """

    def __init__(
        self, num_samples: Sequence[int], truth: Truth | None, *, no_truth: str = "", features: bool = True
    ) -> None:
        self._num_samples = num_samples
        self._truth = truth
        self._no_truth = no_truth
        self._labels = LabelCounter()
        self._features = FeatureMoments() if features and sum(num_samples) > 0 else None
        self._why_not = NO_SAMPLES if features else NOT_ASKED
        self._concepts = (
            ConceptMeter(truth, default_rng(SEED))
            if truth is not None and truth.has_models and self._features
            else None
        )

    @property
    def wants_x(self) -> bool:
        """Whether x of the next user makes a difference."""
        return self._features is not None and (not self._features.reason or self._concepts is not None)

    def add(self, user: int, x: Sequence[Any], y: Sequence[Any]) -> None:
        """Take a user, x and y as JSON has them; x counts only while it is wanted."""
        self._labels.add(user, y)
        if y and self.wants_x and self._features is not None:
            matrix = to_matrix(x)
            self._features.add(matrix)
            if self._concepts is not None:
                self._concepts.add(user, np.zeros((len(y), 0)) if matrix is None else matrix, y)

    def part(self, users: range) -> Meter:
        """Return an empty meter that takes the users at these consecutive positions, in whatever process."""
        part = copy.copy(self)
        part._num_samples, part._truth = (), None
        part._labels = LabelCounter()
        part._features = None if self._features is None else FeatureMoments()
        part._concepts = None if self._concepts is None else self._concepts.part(users)
        return part

    def merge(self, part: Meter) -> None:
        """Take all that a part has taken."""
        self._labels.merge(part._labels)
        if self._features is not None and part._features is not None:
            self._features.merge(part._features)
        if self._concepts is not None and part._concepts is not None:
            self._concepts.merge(part._concepts)

    def measures(self) -> Measures:
        """Return the measures of all users taken."""
        values: dict[str, Any] = dict(quantity_measures(self._num_samples))
        left_out: dict[str, str] = {}
        labels = None if self._labels.reason or not sum(self._num_samples) else self._labels.table()
        for keys, found, why in (
            self._of_labels(labels),
            self._of_features(),
            self._of_concepts(labels),
            self._of_clusters(),
        ):
            values.update(found)
            left_out.update({key: why[key] for key in keys if key not in found})
        return Measures(values, left_out, labels, self._truth)

    def _of_labels(self, table: LabelTable | None) -> _Part:
        if table is None:
            return LABEL_KEYS, {}, dict.fromkeys(LABEL_KEYS, self._labels.reason or NO_SAMPLES)
        return LABEL_KEYS, dict(label_measures(table, default_rng(SEED))), {}

    def _of_features(self) -> _Part:
        if self._features is None or self._features.reason:
            reason = self._why_not if self._features is None else self._features.reason
            return FEATURE_KEYS, {}, dict.fromkeys(FEATURE_KEYS, reason)
        measures = self._features.measures()
        return FEATURE_KEYS, measures, dict.fromkeys(FEATURE_KEYS, self._features.reason)

    def _of_concepts(self, labels: LabelTable | None) -> _Part:
        if self._truth is not None and not self._truth.has_models:
            return CONCEPT_KEYS, *concepts_without_models(self._truth, labels)
        if self._concepts is None:
            reason = self._no_truth if self._truth is None else self._why_not
            return CONCEPT_KEYS, {}, dict.fromkeys(CONCEPT_KEYS, reason)
        values, left_out = self._concepts.measures()
        return CONCEPT_KEYS, dict(values), left_out

    def _of_clusters(self) -> _Part:
        if self._truth is None or self._truth.cluster is None:
            reason = self._no_truth if self._truth is None else "the users were not drawn from clusters"
            return CLUSTER_KEYS, {}, dict.fromkeys(CLUSTER_KEYS, reason)
        sizes = np.bincount(self._truth.cluster, minlength=self._truth.num_clusters)
        return CLUSTER_KEYS, {"clusters.sizes": sizes.tolist()}, {}


_Part = tuple[Sequence[str], dict[str, Any], dict[str, str]]
"""A group of measures: its keys, those that apply, and why others don't."""
