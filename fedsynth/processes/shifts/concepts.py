"""The users' true models: what is common to all, to a cluster, and a user's own, mixed to a correlation.

Every class has a direction of unit length in the R deciding dimensions, and says the class whose direction a sample
lies along most. A user's are W_k = sqrt(r_b) A_0 + sqrt(r_w - r_b) A_g + sqrt(1 - r_w) U_k, [R, C], where for each
class the directions in A_0, A_g and U_k are at right angles. So for u ~ N(0, I) all logits are standard normals, and
those of two users for one class are correlated by r_w in a cluster and by r_b across.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.processes.shifts.disagreement import correlation
from fedsynth.processes.shifts.parameters import ShiftsParameters

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RAREST = 100_000
"""Draws of which a class must be said at least once."""
_BATCH = 4_096


class Concepts:
    """The mix of models that parameters ask for. common: matrices [G + 1, R, C] of independent standard normals.

    Holds an orthonormal basis of the common directions of each class. Where R is less than about twice the number of
    clusters there is no room for right angles: then a user's own directions, and below that the common ones too, are
    taken as they are drawn, and only made as long as the others.
    """

    def __init__(self, parameters: ShiftsParameters, common: Floats) -> None:
        classes, clusters = parameters.num_classes, len(parameters.prob_clusters)
        within = correlation(classes, parameters.concept_within)
        between = correlation(classes, parameters.concept_between) if parameters.concept_between else within
        self._cluster_weights = math.sqrt(between), math.sqrt(within - between)
        self._own_weight = math.sqrt(1 - within)
        self._own = within < 1
        directions = np.moveaxis(common if clusters > 1 else common[:1], 0, 2)  # [R, C, matrices]
        stacked = np.moveaxis(directions, 1, 0)  # [C, R, matrices]
        room = parameters.deciding - stacked.shape[2]
        self._basis = _orthonormal(stacked) if room >= 0 else _unit(stacked)
        self._room = room >= stacked.shape[2]

    @property
    def own(self) -> bool:
        """Whether users have directions of their own."""
        return self._own

    def model(self, cluster: int, own: Floats | None) -> Floats:
        """Return a user's model [R, C]. own: standard normals [R, C], None where users have none of their own."""
        first, second = self._cluster_weights
        model: Floats = first * self._basis[:, :, 0]
        if second:
            model = model + second * self._basis[:, :, 1 + cluster]
        if own is not None:
            model = model + self._own_weight * self._apart(own.T)
        return np.ascontiguousarray(_unit(model[:, :, None])[:, :, 0].T)

    def _apart(self, own: Floats) -> Floats:
        """Return directions [C, R] of unit length, at right angles to the common ones where there is room."""
        if self._room:
            shared = np.einsum("crm,cr->cm", self._basis, own)
            own = own - np.einsum("crm,cm->cr", self._basis, shared)
        return _unit(own[:, :, None])[:, :, 0]


def draw_deciding(rng: RandomState, labels: Ints, model: Floats, user: int) -> Floats:
    """Draw u ~ N(0, I) given the classes that a model [R, C] says of them: [n, R], by rejection, in batches.

    Draws go in their order to the first sample that waits for their class. Raises UsageError if a class that is wanted
    is said of fewer than one in 100,000.
    """
    num_classes = model.shape[1]
    places = np.argsort(labels, kind="stable")
    wanted = np.bincount(labels, minlength=num_classes)
    starts = np.cumsum(wanted) - wanted
    u = np.empty((len(labels), len(model)))
    said, drawn = np.zeros(num_classes, np.int64), 0
    rows = len(labels) + len(labels) // 4 + 16
    while (said < wanted).any():
        batch = rng.standard_normal((min(rows, _BATCH), len(model)))
        classes = np.argmax(batch @ model, axis=1)
        for label in np.flatnonzero(said < wanted).tolist():
            fitting = np.flatnonzero(classes == label)[: wanted[label] - said[label]]
            first = starts[label] + said[label]
            u[places[first : first + len(fitting)]] = batch[fitting]
        said += np.bincount(classes, minlength=num_classes)
        drawn += len(batch)
        rows = _still_needed(wanted, said, drawn, user)
    return u


def _still_needed(wanted: Ints, said: Ints, drawn: int, user: int) -> int:
    """Return how many more draws are likely to be enough; how many are made at once makes no difference to data."""
    waiting = np.flatnonzero(said < wanted)
    rare = waiting[drawn >= RAREST * (said[waiting] + 1)]
    if rare.size:
        raise UsageError(
            f"class {rare[0]} is what the model of user {user} says of fewer than one in {RAREST:,} samples; "
            "use more concept_dims or fewer num_classes"
        )
    if not waiting.size:
        return 0
    return int(np.max((wanted[waiting] - said[waiting]) * drawn / np.maximum(said[waiting], 0.5)) * 1.1) + 16


def _orthonormal(stacked: Floats) -> Floats:
    """Return directions of unit length at right angles, each on its own side: of matrices [C, R, matrices]."""
    basis, triangle = np.linalg.qr(stacked)
    signs = np.sign(np.einsum("cmm->cm", triangle))
    oriented: Floats = basis * signs[:, None, :]
    return oriented


def _unit(stacked: Floats) -> Floats:
    """Return directions of unit length: of matrices [C, R, matrices]."""
    unit: Floats = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
    return unit
