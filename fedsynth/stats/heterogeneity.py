"""All measures of heterogeneity of a folder's users, in one pass, each user looked at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from fedsynth.stats.chance import Margins, chance_levels
from fedsynth.stats.concepts import PAIRED
from fedsynth.stats.labels import LabelCounter, LabelTable, beside_chance, margins
from fedsynth.stats.quantity import quantity_measures
from fedsynth.stats.summary import Counts
from fedsynth.stats.swaps import concepts_without_models
from fedsynth.stats.tally import Tally
from fedsynth.truth import Truth

SEED = 931231
"""Of the draws that measures need: labels by chance, and the samples that concepts, pairs and gradients are seen on."""

NOT_ASKED = "features were not asked for"
NO_SAMPLES = "there are no samples"

_DISTANCES = ("label.jensen_shannon", "label.hellinger", "label.total_variation")
LABEL_KEYS = (
    "label.classes_per_user",
    "label.majority_share",
    *(f"{name}{kind}" for kind in ("", "_chance", "_adjusted") for name in _DISTANCES),
)
FEATURE_KEYS = ("feature.between_share",)
DOMAIN_KEYS = ("feature.domain_accuracy",)
GRADIENT_KEYS = ("gradient.dissimilarity",)
CONCEPT_KEYS = (*PAIRED, "concept.oracle_accuracy")
CLUSTER_KEYS = ("clusters.sizes",)

ALL_BY_CHANCE = "chance alone makes users as far apart as can be"
NOT_FINITE = "it is no finite number"


@dataclass(frozen=True)
class Measures:
    """What was measured. values: by key; left_out: of each skipped measure, why it does not apply.

    labels: what was counted of them, None if they are no classes; truth: that of the users, where there is one;
    num_features: None if x has not the same everywhere, or was not asked for.
    """

    values: dict[str, Any]
    left_out: dict[str, str]
    labels: LabelTable | None
    truth: Truth | None
    num_features: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the measures as JSON values, and the skipped ones with their reasons under `left_out`."""
        return {**self.values, "left_out": self.left_out}


class Meter:
    """Take in users one by one, each named by their position in `num_samples`, and return the measures.

    truth: that of these users, in the same order; without it, no_truth says why. features: whether x is wanted at all.
    names: the users' own, so that what is drawn does not depend on their order; their positions without.
    Memory does not grow with x: one user's matrix, their numbers of labels, five numbers a feature, and the samples
    that concepts, pairs of users and gradients are compared on.
    """

    def __init__(
        self,
        num_samples: Counts,
        truth: Truth | None,
        *,
        no_truth: str = "",
        features: bool = True,
        names: Sequence[str] | NDArray[Any] | None = None,
    ) -> None:
        self._num_samples = np.asarray(num_samples, np.int64)
        self._truth = truth
        self._no_truth = no_truth
        self._why_not = NO_SAMPLES if features else NOT_ASKED
        names = [str(user) for user in range(len(num_samples))] if names is None else names
        wanted = features and bool(self._num_samples.any())
        with_models = truth if truth is not None and truth.has_models else None
        self._tally = Tally.draw(names, self._num_samples, with_models, SEED) if wanted else Tally()

    @property
    def truth(self) -> Truth | None:
        """That of the users, where there is one."""
        return self._truth

    @property
    def wants_x(self) -> bool:
        """Whether x of the next user makes a difference."""
        return self._tally.wants_x

    def add(self, user: int, x: Sequence[Any], y: Sequence[Any]) -> None:
        """Take a user, x and y as JSON has them; x counts only while it is wanted."""
        self._tally.add(user, x, y)

    def part(self, users: range) -> Tally:
        """Return what takes the users at these consecutive positions, in whatever process."""
        return self._tally.part(users)

    def merge(self, part: Tally) -> None:
        """Take all that a part has taken. Sums depend on the order of parts, in the last digits."""
        self._tally.merge(part)

    @cached_property
    def labels(self) -> LabelTable | None:
        """What was counted of the labels of all users, None if they are no classes; after it no user can be taken."""
        counted = self._tally.labels
        if counted.reason or not self._num_samples.any():
            return None
        self._tally = replace(self._tally, labels=LabelCounter())  # the table holds them all
        return counted.table()

    def measures(self, chance: Callable[[], Mapping[str, float]] | None = None) -> Measures:
        """Return the measures of all users taken.

        chance: gives what `chance_of` gives of the labels' margins, and is called last of all; None: it is found here.
        """
        values: dict[str, Any] = dict(quantity_measures(self._num_samples))
        skipped: dict[str, str] = {}
        others = [
            self._of_features(),
            self._of_domains(),
            self._of_gradients(),
            self._of_concepts(self.labels),
            self._of_clusters(),
        ]
        for keys, found, why in (self._of_labels(self.labels, chance), *others):
            values.update({key: value for key, value in found.items() if is_finite(value)})
            skipped.update({key: why.get(key, NOT_FINITE) for key in keys if key not in values})
        moments = self._tally.moments
        return Measures(values, skipped, self.labels, self._truth, None if moments is None else moments.num_features)

    def _of_labels(self, table: LabelTable | None, chance: Callable[[], Mapping[str, float]] | None) -> _Part:
        if table is None:
            return LABEL_KEYS, {}, dict.fromkeys(LABEL_KEYS, self._tally.labels.reason or NO_SAMPLES)
        levels = chance_of(margins(table)) if chance is None else chance()
        return LABEL_KEYS, dict(beside_chance(table, levels)), dict.fromkeys(LABEL_KEYS, ALL_BY_CHANCE)

    def _of_features(self) -> _Part:
        moments = self._tally.moments
        found = {} if moments is None or moments.reason else moments.measures()
        return FEATURE_KEYS, found, dict.fromkeys(FEATURE_KEYS, self._why_no_features())

    def _of_domains(self) -> _Part:
        value, why = None, self._why_no_features()
        if self._tally.domains is not None and not why:
            value, why = self._tally.domains.measure()
        return DOMAIN_KEYS, {} if value is None else {DOMAIN_KEYS[0]: value}, dict.fromkeys(DOMAIN_KEYS, why)

    def _of_gradients(self) -> _Part:
        found: dict[str, Any] = {}
        why = self._why_no_features() or self._tally.labels.reason
        if self._tally.gradients is not None and not why:
            found, why = self._tally.gradients.measure(self._num_samples)
        if not found:
            return GRADIENT_KEYS, {}, dict.fromkeys(GRADIENT_KEYS, why)
        optimum = f"{GRADIENT_KEYS[0]}.optimum"
        return [optimum] if why else [], {GRADIENT_KEYS[0]: found}, {optimum: why}

    def _of_concepts(self, labels: LabelTable | None) -> _Part:
        if self._truth is not None and not self._truth.has_models:
            return CONCEPT_KEYS, *concepts_without_models(self._truth, labels)
        if self._tally.concepts is None:
            reason = self._no_truth if self._truth is None else self._why_not
            return CONCEPT_KEYS, {}, dict.fromkeys(CONCEPT_KEYS, reason)
        values, skipped = self._tally.concepts.measures()
        return CONCEPT_KEYS, dict(values), skipped

    def _of_clusters(self) -> _Part:
        if self._truth is None or self._truth.cluster is None:
            reason = self._no_truth if self._truth is None else "the users were not drawn from clusters"
            return CLUSTER_KEYS, {}, dict.fromkeys(CLUSTER_KEYS, reason)
        sizes = np.bincount(self._truth.cluster, minlength=self._truth.num_clusters)
        return CLUSTER_KEYS, {"clusters.sizes": sizes.tolist()}, {}

    def _why_no_features(self) -> str:
        return self._why_not if self._tally.moments is None else self._tally.moments.reason


def chance_of(found: Margins) -> dict[str, float]:
    """Return what label measures show by chance, with the draws that `Meter` takes."""
    return chance_levels(found, default_rng(SEED))


_Part = tuple[Sequence[str], dict[str, Any], dict[str, str]]
"""A group of measures: its keys, those that apply, and why others don't."""


def is_finite(value: Any) -> bool:
    """Return whether all parts of a measure are finite: JSON has no other numbers."""
    if isinstance(value, dict):
        return all(map(is_finite, value.values()))
    return not isinstance(value, float) or math.isfinite(value)
