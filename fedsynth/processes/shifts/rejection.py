"""Draw x given y: standard normals, kept if the user's own model says the label that is wanted."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.processes.shifts.one_class import OneClass

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

RAREST = 100_000
"""Draws of which a class must be said at least once."""
_BATCH = 4_096
_MARGIN = 1.15
_SETUP = 12_000
"""What it takes to begin with one class alone, in normals."""


class Rejection:
    """Draw for one user after another, in batches.

    Remembers how often classes were said, [C], so as to draw about as many at once as it takes, and not twice; how many
    are drawn at once makes no difference to what is drawn. Keeps what it takes to draw single classes for as long as
    users have the same model.
    """

    def __init__(self, num_classes: int) -> None:
        self._said = np.ones(num_classes)
        self._model: Floats | None = None
        self._single: dict[int, OneClass] = {}

    def draw(self, rng: RandomState, labels: Ints, model: Floats, user: int) -> Floats:
        """Draw u ~ N(0, I) given the classes that a model [R, C] says of them, labels [n]: [n, R].

        Of a class that a user has much more of than of others, what is more is drawn by itself. Raises UsageError if a
        class that is wanted is said of fewer than one in 100,000.
        """
        by_label = labels.argsort(kind="stable")
        wanted = np.bincount(labels, minlength=model.shape[1])
        starts = wanted.cumsum() - wanted
        alone = _alone(wanted, len(model))
        u = np.empty((len(labels), len(model)))
        for label in alone.nonzero()[0].tolist():
            end = starts[label] + wanted[label]
            u[by_label[end - alone[label] : end]] = self._draw_alone(rng, int(alone[label]), model, label, user)
        self._draw_together(rng, model, user, u, by_label, starts, wanted - alone)
        return u

    def _draw_alone(self, rng: RandomState, number: int, model: Floats, label: int, user: int) -> Floats:
        """Draw u of one class: [number, R]. How many candidates are drawn depends on no other user."""
        if self._model is None or not np.array_equal(self._model, model):
            self._model, self._single = model, {}
        if label not in self._single:
            self._single[label] = OneClass(model, label)
        one_class = self._single[label]
        found: list[Floats] = []
        kept, drawn, rows = 0, 0, number * model.shape[1] // 2
        while kept < number:
            rows = min(int(rows * _MARGIN) + 16, _BATCH)
            found.append(one_class.candidates(rng, rows))
            kept += found[-1].shape[1]
            drawn += rows
            if drawn >= RAREST * (kept + 1) / 2:  # each stands for two, see `candidates`
                raise _too_rare(label, user)
            rows = int((number - kept) * drawn / max(kept, 0.5))
        return one_class.whole(rng, np.concatenate(found, axis=1)[:, :number])

    def _draw_together(
        self, rng: RandomState, model: Floats, user: int, u: Floats, by_label: Ints, starts: Ints, wanted: Ints
    ) -> None:
        """Fill in the rows of u [n, R]. by_label: [n], the rows sorted by class; starts: [C], where each class begins.

        Draws go to the rows of their class in order.
        """
        num_classes = model.shape[1]
        said, drawn = np.zeros(num_classes, np.int64), 0
        rows = int((wanted / self._said).max() * self._said.sum() * _MARGIN) + num_classes
        while rows:
            batch = rng.standard_normal((min(rows, _BATCH), len(model)))
            classes = (batch @ model).argmax(axis=1)
            order = classes.argsort(kind="stable")
            found = np.bincount(classes, minlength=num_classes)
            ranks = np.arange(len(order)) + (said - found.cumsum() + found).repeat(found)  # each in its class, from 0
            by_class = classes[order]
            taken = ranks < wanted[by_class]
            u[by_label[(starts[by_class] + ranks)[taken]]] = batch[order[taken]]
            said += found
            drawn += len(batch)
            rows = _still_needed(wanted, said, drawn, user)
        self._said += said


def _alone(wanted: Ints, dims: int) -> Ints:
    """Return of how many samples of each class, [C], it is worth to draw them by themselves; from nothing but counts.

    Costs are in normals. A candidate of all classes takes R of them, and C candidates give one of each class. For one
    of one class alone C log2 C are enough, or less, and R more when it is kept. So candidates of all classes are worth
    it while more than a few classes wait.
    """
    classes = len(wanted)
    cost = classes * (classes - 1).bit_length() + dims
    few = classes * dims // cost
    saved = classes * dims - cost
    if saved <= 0 or few >= classes:
        return np.zeros_like(wanted)
    least = (_SETUP + classes * dims * min(classes, dims) // 16) // saved
    excess = wanted - np.sort(wanted)[classes - 1 - few]
    return np.where(excess > least, excess, 0)


def _still_needed(wanted: Ints, said: Ints, drawn: int, user: int) -> int:
    """Return how many more draws are likely to be enough."""
    waiting = (said < wanted).nonzero()[0]
    if not waiting.size:
        return 0
    rare = waiting[drawn >= RAREST * (said[waiting] + 1)]
    if rare.size:
        raise _too_rare(int(rare[0]), user)
    return int(((wanted[waiting] - said[waiting]) * drawn / np.maximum(said[waiting], 0.5)).max() * _MARGIN) + 16


def _too_rare(label: int, user: int) -> UsageError:
    return UsageError(
        f"class {label} is what the model of user {user} says of fewer than one in {RAREST:,} samples; "
        f"use more {named('concept_dims')} or fewer {named('num_classes')}"
    )
