"""The users of `shifts` put together from their ingredients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from fedsynth.processes.blocks import Block, Floats, cut_blocks, gather
from fedsynth.processes.shifts.ingredients import Ingredients
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.processes.tasks import Task


class ShiftsStream:
    """Independent streams, one for each ingredient of each user; users may be asked for in any order."""

    def __init__(self, parameters: ShiftsParameters) -> None:
        self._parameters = parameters
        self._ingredients = Ingredients(parameters)
        self._asked: tuple[range, list[int]] = range(0), []

    @property
    def shared_truth(self) -> dict[str, Any]:
        """Nothing: each user's model stands for itself."""
        return {}

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these users; keeps those that were asked for last."""
        if self._asked[0] != tasks:
            self._asked = tasks, self._ingredients.sizes(tasks).tolist()
        return list(self._asked[1])

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw these users one after another; holds one."""
        for user, size in zip(tasks, self.sizes_of(tasks), strict=True):
            yield self._user(user, size)

    def blocks_of(self, tasks: range, sizes: Sequence[int]) -> Iterator[Block]:
        """Draw these users in blocks of the small ones; holds a block, or one large user."""
        shape = self._parameters.num_dim, self._parameters.num_classes
        for users, block_sizes in cut_blocks(tasks, sizes, *shape):
            yield gather([self._user(user, size) for user, size in zip(users, block_sizes, strict=True)])

    def _user(self, user: int, size: int) -> Task:
        draw, deciding = self._ingredients, self._parameters.deciding
        shares, model = draw.shares(user), draw.model(user)
        true_labels = draw.true_labels(user, size, shares)
        x = np.empty((size, self._parameters.num_dim))
        x[:, :deciding] = draw.deciding(user, true_labels, model)
        x[:, deciding:] = self._others(user, size)
        whole_model = np.zeros((self._parameters.num_dim + 1, self._parameters.num_classes))
        whole_model[1 : deciding + 1] = model
        truth = {"cluster": draw.cluster(user), "models": whole_model, "class_shares": shares}
        return Task(x, draw.labels(user, true_labels), truth)

    def _others(self, user: int, size: int) -> Floats:
        """Return sqrt(1 - f) z + sqrt(f) m: [n, D - R], of total variance 1."""
        shift, z = self._parameters.feature_shift, self._ingredients.others(user, size)
        if shift:
            z *= math.sqrt(1 - shift)
            z += math.sqrt(shift) * self._ingredients.offset(user)
        return z
