"""Draw x of one class, a few numbers a candidate: a candidate is given up as soon as another class is said of it.

What decides are the logits, u's components along the classes' directions. In a basis whose first two directions take in
those of the class wanted and of one other, and the next those of the others one after another, the first k logits hang
on the first k numbers alone. So these are drawn until one is larger than that of the class wanted; of C classes alike
that is so after about log C numbers, and only of what is kept the rest of u is drawn.

Nothing here is computed by BLAS or LAPACK, whose last digits depend on the processor and its threads: the digits of x
are those of the draws and of `numpy.einsum`'s own loops.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_LEAST_LENGTH = 1e-9
"""Of what a direction adds to those before it, below which it adds nothing."""
_SHORT = 1e-2
"""Below which what is left of a direction isn't at right angles to the others to the last digits."""


class OneClass:
    """Draws u ~ N(0, I_R) of which a model says one class.

    model: [R, C], of two classes or more. Holds the basis [r, R], r at most C and R, and the directions in it.
    """

    def __init__(self, model: Floats, label: int) -> None:
        num_classes = model.shape[1]
        others = np.delete(model.T, label, axis=0)
        mine = model[:, label]
        self._basis, self._known = _orthonormal(np.vstack([mine - others[0], mine, others[1:]]))
        self._mine = _rows(mine[None], self._basis[: self._known[1]])
        self._others = _rows(others[1:], self._basis)
        steps = [2**power - 1 for power in range(num_classes.bit_length()) if 2**power < num_classes]
        self._steps = list(zip(steps, [*steps[1:], num_classes - 1], strict=True))[1:]

    def candidates(self, rng: RandomState, number: int) -> Floats:
        """Draw `number` candidates, and return those of the class, as coordinates in the basis: [r, kept].

        All are on the side of the first direction where the wanted class is more likely than one other: the normal
        distribution is the same on both.
        """
        along = rng.standard_normal((self._known[1], number))
        if self._known[0]:
            np.abs(along[0], out=along[0])
        for start, end in self._steps:
            have, need = len(along), self._known[end]
            if need > have:
                along = np.concatenate([along, rng.standard_normal((need - have, along.shape[1]))])
            logits = _columns(self._others[start - 1 : end - 1, :need], along)
            most = _columns(self._mine, along[: self._known[1]])
            along = along.compress((logits <= most).all(axis=0), axis=1)
        return along

    def whole(self, rng: RandomState, along: Floats) -> Floats:
        """Return u [n, R] with these numbers along the basis [r, n]; what is at right angles to it is drawn."""
        if len(self._basis) == self._basis.shape[1]:
            return _columns(np.ascontiguousarray(along.T), self._basis)
        u = rng.standard_normal((along.shape[1], self._basis.shape[1]))
        u += _columns(along.T - _rows(u, self._basis), self._basis)
        return u


def _orthonormal(directions: Floats) -> tuple[Floats, list[int]]:
    """Return directions at right angles [r, R] that span those given, and how many span the first 1, 2, ... of them.

    Gram and Schmidt's way; where a direction is nearly one of those before, once more.
    """
    basis = np.empty((min(directions.shape), directions.shape[1]))
    rest, known, found = directions.copy(), [], 0
    for number in range(len(rest)):
        if found < len(basis):
            direction = rest[number]
            length = math.sqrt((direction * direction).sum())
            if length < _SHORT:
                direction = direction - _columns(_rows(direction[None], basis[:found]), basis[:found])[0]
                length = math.sqrt((direction * direction).sum())
            if length > _LEAST_LENGTH:
                basis[found] = unit = direction / length
                later = rest[number + 1 :]
                later -= (later * unit).sum(axis=1, keepdims=True) * unit
                found += 1
        known.append(found)
    return basis[:found], known


def _rows(one: Floats, other: Floats) -> Floats:
    """Return all products of the rows of two matrices, without BLAS."""
    products: Floats = np.einsum("nk,jk->nj", one, other)
    return products


def _columns(one: Floats, other: Floats) -> Floats:
    """Return the product of two matrices, without BLAS."""
    product: Floats = np.einsum("nk,kr->nr", one, other)
    return product
