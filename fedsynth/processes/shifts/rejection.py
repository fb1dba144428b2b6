"""Draw x given y: standard normals, kept if the user's own model says the label that is wanted."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fedsynth.errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RAREST = 100_000
"""Draws of which a class must be said at least once."""
_BATCH = 4_096
_MARGIN = 1.15


class Rejection:
    """Draw for one user after another, in batches.

    Remembers how often classes were said, [C], so as to draw about as many at once as it takes, and not twice; how many
    are drawn at once makes no difference to what is drawn.
    """

    def __init__(self, num_classes: int) -> None:
        self._said = np.ones(num_classes)

    def draw(self, rng: RandomState, labels: Ints, model: Floats, user: int) -> Floats:
        """Draw u ~ N(0, I) given the classes that a model [R, C] says of them, labels [n]: [n, R].

        Draws go in their order to the first sample that waits for their class. Raises UsageError if a class that is
        wanted is said of fewer than one in 100,000.
        """
        num_classes = model.shape[1]
        places = labels.argsort(kind="stable")
        wanted = np.bincount(labels, minlength=num_classes)
        starts = wanted.cumsum() - wanted
        u = np.empty((len(labels), len(model)))
        said, drawn = np.zeros(num_classes, np.int64), 0
        rows = int((wanted / self._said).max() * self._said.sum() * _MARGIN) + 4 * num_classes
        while rows:
            batch = rng.standard_normal((min(rows, _BATCH), len(model)))
            classes = (batch @ model).argmax(axis=1)
            order = classes.argsort(kind="stable")
            found = np.bincount(classes, minlength=num_classes)
            ranks = np.arange(len(order)) + (said - found.cumsum() + found).repeat(found)  # each in its class, from 0
            by_class = classes[order]
            taken = ranks < wanted[by_class]
            u[places[(starts[by_class] + ranks)[taken]]] = batch[order[taken]]
            said += found
            drawn += len(batch)
            rows = _still_needed(wanted, said, drawn, user)
        self._said += said
        return u


def _still_needed(wanted: Ints, said: Ints, drawn: int, user: int) -> int:
    """Return how many more draws are likely to be enough."""
    waiting = (said < wanted).nonzero()[0]
    if not waiting.size:
        return 0
    rare = waiting[drawn >= RAREST * (said[waiting] + 1)]
    if rare.size:
        raise UsageError(
            f"class {rare[0]} is what the model of user {user} says of fewer than one in {RAREST:,} samples; "
            "use more concept_dims or fewer num_classes"
        )
    return int(((wanted[waiting] - said[waiting]) * drawn / np.maximum(said[waiting], 0.5)).max() * _MARGIN) + 16
