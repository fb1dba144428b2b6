"""The measures of a partition, from labels and users alone: before there is any file."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from fedsynth.partitioners.assign import Assignment
from fedsynth.partitioners.column import Column
from fedsynth.stats.heterogeneity import SEED
from fedsynth.stats.labels import LabelTable, label_measures
from fedsynth.stats.quantity import quantity_measures
from fedsynth.stats.swaps import class_shares, swap_measures


def measure_assignment(assignment: Assignment, labels: Column | None) -> dict[str, Any]:
    """Return the measures that need no features, as `measure` has them. labels: None if they are no classes."""
    values: dict[str, Any] = dict(quantity_measures(assignment.num_samples.tolist()))
    if labels is not None:
        values |= label_measures(label_table(assignment, labels), default_rng(SEED))
    if assignment.clusters is not None and assignment.swaps is not None and labels is not None:
        shares = class_shares(assignment.user_of, labels.codes, assignment.num_samples, len(labels.values))
        values |= swap_measures(shares, assignment.clusters, assignment.swaps)
        values["clusters.sizes"] = np.bincount(assignment.clusters, minlength=len(assignment.swaps)).tolist()
    return values


def label_table(assignment: Assignment, labels: Column) -> LabelTable:
    """Return users x classes, with the labels that the users' clusters give."""
    num_users, num_classes = len(assignment.users), len(labels.values)
    codes = swapped(assignment, labels.codes)
    cells = assignment.user_of.astype(np.int64) * num_classes + codes
    if num_users * num_classes <= 4 * len(cells) + 1_000_000:
        counts = np.bincount(cells, minlength=num_users * num_classes)
        found = np.flatnonzero(counts)
        counts = counts[found]
    else:
        found, counts = np.unique(cells, return_counts=True)
    return LabelTable(found // num_classes, found % num_classes, counts, assignment.num_samples, labels.values)


def swapped(assignment: Assignment, codes: NDArray[np.int32]) -> NDArray[np.integer[Any]]:
    """Return what the samples' labels are, [samples], after the clusters' exchanges."""
    if assignment.clusters is None or assignment.swaps is None:
        return codes
    return assignment.swaps[assignment.clusters[assignment.user_of], codes]
