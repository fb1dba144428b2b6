"""What is counted and kept of users as they come by: all of them, or those of one file in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray

from fedsynth.stats.blocks import Floats, Ints, make_block
from fedsynth.stats.concepts import ConceptMeter
from fedsynth.stats.domains import DomainMeter
from fedsynth.stats.features import FeatureMoments, to_matrix
from fedsynth.stats.gradients import GradientMeter
from fedsynth.stats.labels import LabelCounter
from fedsynth.stats.picks import InOrder
from fedsynth.truth import Truth


@dataclass(frozen=True)
class Tally:
    """One meter for each kind of measure; all but that of labels need x, and are None where it is not wanted.

    concepts: None without ground truth too.
    """

    labels: LabelCounter = field(default_factory=LabelCounter)
    moments: FeatureMoments | None = None
    domains: DomainMeter | None = None
    gradients: GradientMeter | None = None
    concepts: ConceptMeter | None = None

    @classmethod
    def draw(cls, names: Sequence[str] | NDArray[Any], num_samples: Ints, truth: Truth | None, seed: int) -> Tally:
        """Draw the samples that are to be kept. names, num_samples: of all users; truth: that of these, or None."""
        users = InOrder(names, num_samples)
        return cls(
            LabelCounter(),
            FeatureMoments(),
            DomainMeter.draw_from(users, default_rng([seed, 1])),
            GradientMeter.draw_from(users, default_rng([seed, 2])),
            None if truth is None else ConceptMeter.draw_from(users, truth, default_rng(seed)),
        )

    @property
    def wants_x(self) -> bool:
        """Whether x of the next user makes a difference."""
        return self.moments is not None and (not self.moments.reason or self.concepts is not None)

    @property
    def _has_classes(self) -> bool:
        """Whether x and y so far are features of one shape and classes."""
        return self.moments is not None and not self.moments.reason and not self.labels.reason

    def add(self, user: int, x: Sequence[Any], y: Sequence[Any]) -> None:
        """Take the user at this position, x and y as JSON has them; x counts only while it is wanted."""
        self.labels.add(user, y)
        if not y or not self.wants_x or self.moments is None:
            return
        matrix = to_matrix(x)
        self.moments.add(matrix)
        if matrix is not None and not self.moments.reason:
            if self.domains is not None:
                self.domains.add(user, matrix)
            if self.gradients is not None and self._has_classes:
                self.gradients.add(user, matrix, y)
        if self.concepts is not None:
            self.concepts.add(user, np.zeros((len(y), 0)) if matrix is None else matrix, y)

    def add_block(self, users: range, sizes: Ints, x: Floats, y: Ints) -> None:
        """Take the users at these positions, as `add` does one by one, but for the last digits.

        sizes: [users]; x: [sum of sizes, D], finite; y: likewise, whole numbers.
        """
        block = make_block(users, sizes, x, y)
        self.labels.add_block(users, block)
        if not len(block.users) or not self.wants_x or self.moments is None:
            return
        self.moments.add_block(block)
        if not self.moments.reason:
            if self.domains is not None:
                self.domains.add_block(block)
            if self.gradients is not None and self._has_classes:
                self.gradients.add_block(block)
        if self.concepts is not None:
            self.concepts.add_block(block)

    def part(self, users: range) -> Tally:
        """Return an empty one for the users at these consecutive positions, which is all that it knows about."""
        return Tally(
            LabelCounter(),
            None if self.moments is None else FeatureMoments(),
            None if self.domains is None else self.domains.part(users),
            None if self.gradients is None else self.gradients.part(users),
            None if self.concepts is None else self.concepts.part(users),
        )

    def found(self) -> Tally:
        """Return what `merge` asks for: what was found, without what it was told of the users."""
        return self if self.concepts is None else replace(self, concepts=self.concepts.found())

    def merge(self, part: Tally) -> None:
        """Take all that a part has taken."""
        self.labels.merge(part.labels)
        if self.moments is not None and part.moments is not None:
            self.moments.merge(part.moments)
        if self.domains is not None and part.domains is not None:
            self.domains.merge(part.domains)
        if self.gradients is not None and part.gradients is not None and self._has_classes:
            self.gradients.merge(part.gradients)
        if self.concepts is not None and part.concepts is not None:
            self.concepts.merge(part.concepts)
