"""The users' true models: what is common to all, to a cluster, and a user's own, mixed to a correlation.

Every class has a direction of unit length in the R deciding dimensions, and says the class whose direction a sample
lies along most. A user's are W_k = sqrt(r_b) A_0 + sqrt(r_w - r_b) A_g + sqrt(1 - r_w) U_k, [R, C], where for each
class the directions in A_0, A_g and U_k are at right angles. So for u ~ N(0, I) all logits are standard normals, and
those of two users for one class are correlated by r_w in a cluster and by r_b across.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from fedsynth.processes.shifts.disagreement import correlation
from fedsynth.processes.shifts.parameters import ShiftsParameters

Floats = NDArray[np.float64]


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
        self._cluster_weights = math.sqrt(between), math.sqrt(max(within - between, 0.0))
        self._own_weight = math.sqrt(1 - within)
        self._own = within < 1
        stacked = (common if clusters > 1 else common[:1]).transpose(2, 1, 0)  # [C, R, matrices]
        room = parameters.deciding - stacked.shape[2]
        self._basis = _orthonormal(stacked) if room >= 0 else _unit(stacked)
        self._apart = room >= stacked.shape[2]
        self._common_parts = [self._common_part(cluster) for cluster in range(clusters)]

    @property
    def own(self) -> bool:
        """Whether users have directions of their own."""
        return self._own

    def model(self, cluster: int, own: Floats | None) -> Floats:
        """Return a user's model [R, C]. own: standard normals [R, C], None where users have none of their own."""
        common = self._common_parts[cluster]
        directions = common if own is None else _unit(common + self._own_weight * self._own_part(own.T))
        return np.ascontiguousarray(directions.T)

    def _common_part(self, cluster: int) -> Floats:
        """Return what users of a cluster have in common: [C, R]; of unit length if it is all they have."""
        first, second = self._cluster_weights
        common: Floats = first * self._basis[:, :, 0]
        if second:
            common = common + second * self._basis[:, :, 1 + cluster]
        return common if self._own else _unit(common)

    def _own_part(self, own: Floats) -> Floats:
        """Return directions [C, R] of unit length, at right angles to the common ones where there is room."""
        if self._apart:
            own = own - np.einsum("crm,cm->cr", self._basis, np.einsum("cr,crm->cm", own, self._basis))
        return _unit(own)


def _orthonormal(stacked: Floats) -> Floats:
    """Return directions of unit length at right angles, each on its own side: of matrices [C, R, matrices].

    Gram and Schmidt's way, twice; not LAPACK's, whose last digits, and so those of x, depend on the processor.
    """
    basis = np.empty_like(stacked)
    for number in range(stacked.shape[2]):
        before, rest = basis[:, :, :number], stacked[:, :, number]
        for _ in range(2):
            rest = rest - np.einsum("crm,cm->cr", before, np.einsum("cr,crm->cm", rest, before))
        basis[:, :, number] = _unit(rest)
    return basis


def _unit(directions: Floats) -> Floats:
    """Return directions, [C, R] or [C, R, matrices], with unit length along R."""
    unit: Floats = directions / np.sqrt((directions * directions).sum(axis=1, keepdims=True))
    return unit
