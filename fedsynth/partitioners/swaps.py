"""Concept shift on real data: clusters of users, in each of which but the first some classes exchange their labels."""

from __future__ import annotations

import math
import random

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.draws import CLUSTERS, stream
from fedsynth.partitioners.request import Request

Ints = NDArray[np.int64]


def draw_clusters(num_users: int, request: Request) -> Ints:
    """Return the cluster of each user, [users]: all clusters equally large, or one user larger, and drawn at random."""
    clusters = np.arange(num_users) % request.clusters
    stream(request.seed, CLUSTERS).shuffle(clusters)
    return clusters


def draw_swaps(num_classes: int, request: Request) -> Ints:
    """Return what label each class has in each cluster: [clusters, classes], the first row 0, 1, ....

    In each other cluster `swap_labels` classes exchange their labels in a cycle, as in Sattler et al., "Clustered
    federated learning" (2020); no two clusters exchange the same. Raises UsageError where there are too few classes
    for that.
    """
    size = request.swap_labels
    if size > num_classes:
        raise UsageError(
            f"{named('swap_labels')} is {size}, expected at most {num_classes}, the number of classes that there are"
        )
    possible = math.comb(num_classes, size) * math.factorial(size - 1)
    if request.clusters - 1 > possible:
        raise UsageError(
            f"{named('clusters')} is {request.clusters}, expected at most {possible + 1}: {size} of {num_classes} "
            "labels can be "
            f"exchanged in {possible} ways"
        )
    swaps = np.tile(np.arange(num_classes), (request.clusters, 1))
    draw = random.Random(request.seed)
    for row, number in zip(swaps[1:], draw.sample(range(possible), request.clusters - 1), strict=True):
        cycle = _cycle(number, num_classes, size)
        row[cycle] = np.roll(cycle, -1)
    return swaps


def _cycle(number: int, num_classes: int, size: int) -> list[int]:
    """Return the cycle of this number among all of `size` classes: the least class first, so that each comes once."""
    number, arrangement = divmod(number, math.factorial(size - 1))
    chosen: list[int] = []
    for candidate in range(num_classes):
        with_it = math.comb(num_classes - candidate - 1, size - len(chosen) - 1) if len(chosen) < size else 0
        if number < with_it:
            chosen.append(candidate)
        else:
            number -= with_it
    cycle, rest = chosen[:1], chosen[1:]
    while rest:
        position, arrangement = divmod(arrangement, math.factorial(len(rest) - 1))
        cycle.append(rest.pop(position))
    return cycle
