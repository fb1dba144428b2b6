"""What each user of `shifts` is made of. Every ingredient of every user has a stream of draws of its own.

So a user is the same whatever shards and workers, and no knob changes a draw of an ingredient that it isn't for.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fedsynth.processes.seeding import StreamSets, own_stream
from fedsynth.processes.shifts.concepts import Concepts
from fedsynth.processes.shifts.labels import change_labels, draw_labels, draw_shares, pooled_shares
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.processes.shifts.rejection import Rejection
from fedsynth.processes.shifts.sizes import SizeLaw

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


_COMMON, _USER = 2, 3
"""First numbers of the streams' keys; the second is the matrix', or the user's. 0 and 1 are other processes'."""


class Ingredient(IntEnum):
    """The numbers of a user's streams. Never change one: seeds would give other data."""

    SIZE = 0
    CLUSTER = 1
    SHARES = 2
    LABELS = 3
    NOISE = 4
    OWN_MODEL = 5
    DECIDING = 6
    OTHERS = 7
    OFFSET = 8


class Ingredients:
    """Draw any ingredient of any user, whenever asked for. Holds the matrices that users share."""

    def __init__(self, parameters: ShiftsParameters) -> None:
        self.parameters = parameters
        self.pooled = pooled_shares(parameters.num_classes, parameters.imbalance)
        self._thresholds = np.cumsum(parameters.prob_clusters)[:-1]
        self._rejections = [Rejection(parameters.num_classes) for _ in parameters.prob_clusters]
        self._streams = StreamSets(len(Ingredient), parameters.seed, _USER)

    @cached_property
    def _sizes(self) -> SizeLaw:
        return SizeLaw(self.parameters)

    @cached_property
    def _concepts(self) -> Concepts:
        shape = self.parameters.deciding, self.parameters.num_classes
        matrices = range(len(self.parameters.prob_clusters) + 1)
        common = [own_stream(self.parameters.seed, _COMMON, number).standard_normal(shape) for number in matrices]
        return Concepts(self.parameters, np.stack(common))

    def sizes(self, users: range) -> Ints:
        """Return the numbers of samples of users: [users]."""
        if self.parameters.sizes:
            return np.array(self.parameters.sizes[users.start : users.stop], np.int64)
        return self._sizes.sizes(self.size_normals(users))

    def size_normals(self, users: range) -> Floats:
        """Return the standard normals that sizes come from: [users]."""
        return np.array([self._stream(Ingredient.SIZE, user).standard_normal() for user in users])

    def cluster(self, user: int) -> int:
        """Return the number of a user's cluster."""
        if not len(self._thresholds):
            return 0
        draw = self._stream(Ingredient.CLUSTER, user).random_sample()
        return int(np.searchsorted(self._thresholds, draw, side="right"))

    def shares(self, user: int) -> Floats:
        """Return a user's class shares: [C]."""
        return draw_shares(self._stream(Ingredient.SHARES, user), self.pooled, self.parameters.label_alpha)

    def true_labels(self, user: int, size: int, shares: Floats) -> Ints:
        """Return what the user's true model says of its samples: [n]."""
        return draw_labels(self._stream(Ingredient.LABELS, user), size, shares)

    def labels(self, user: int, true_labels: Ints) -> Ints:
        """Return the labels that are written: the true ones, some of them changed."""
        if not self.parameters.label_noise:
            return true_labels
        rng = self._stream(Ingredient.NOISE, user)
        return change_labels(rng, true_labels, self.parameters.num_classes, self.parameters.label_noise)

    def model(self, user: int) -> Floats:
        """Return a user's true model on the dimensions that decide: [R, C]."""
        own = None
        if self._concepts.own:
            shape = self.parameters.deciding, self.parameters.num_classes
            own = self._stream(Ingredient.OWN_MODEL, user).standard_normal(shape)
        return self._concepts.model(self.cluster(user), own)

    def deciding(self, user: int, true_labels: Ints, model: Floats) -> Floats:
        """Return the dimensions of x that decide the class: [n, R]. Raises UsageError if a class is too rare."""
        rejection = self._rejections[self.cluster(user)]
        return rejection.draw(self._stream(Ingredient.DECIDING, user), true_labels, model, user)

    def others(self, user: int, size: int) -> Floats:
        """Return what the dimensions that don't decide vary by within the user: standard normals [n, D - R]."""
        width = self.parameters.num_dim - self.parameters.deciding
        return self._stream(Ingredient.OTHERS, user).standard_normal((size, width))

    def offset(self, user: int) -> Floats:
        """Return where the user lies in the dimensions that don't decide: standard normals [D - R]."""
        width = self.parameters.num_dim - self.parameters.deciding
        return self._stream(Ingredient.OFFSET, user).standard_normal(width)

    def _stream(self, ingredient: Ingredient, user: int) -> RandomState:
        """Return a stream from its start."""
        return self._streams.open(user, ingredient)
