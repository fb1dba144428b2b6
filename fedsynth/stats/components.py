"""Principal components of the users' true models."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedsynth.truth import Truth, true_models

Floats = NDArray[np.float64]

MOST_FITTED = 1_000
"""Models without a common basis that the components are fitted to; all are shown on them."""


def principal_components(truth: Truth) -> tuple[Floats, Floats]:
    """Return all models' coordinates on their first two principal components, [users, 2], and their variances' shares.

    The models are taken as vectors of (D+1) * C numbers. Of more than 1,000 models without a common basis, evenly
    picked ones give the components. A component without variance is 0 for all, and so is its share.
    """
    vectors = _vectors(truth)
    vectors = vectors - vectors.mean(axis=0)
    picked = vectors[:: -(-len(vectors) // MOST_FITTED)]
    directions = _directions(picked)
    coordinates = vectors @ directions
    total = float(np.sum(vectors**2))
    if total <= 1e-20 * max(1.0, float(np.abs(vectors).max(initial=0.0))):
        return np.zeros((len(vectors), 2)), np.zeros(2)
    shares = np.sum(coordinates**2, axis=0) / total
    kept = shares > 1e-12
    return coordinates * kept, shares * kept


def _vectors(truth: Truth) -> Floats:
    """Return vectors as far apart as the models are: with a common basis, their K coordinates on an orthonormal one."""
    if truth.basis is not None and truth.model_info is not None:
        triangle = np.linalg.qr(truth.basis.reshape(-1, truth.basis.shape[2])).R
        return np.asarray(truth.model_info @ triangle.T)
    return true_models(truth, range(len(truth.user_ids))).reshape(len(truth.user_ids), -1)


def _directions(vectors: Floats) -> Floats:
    """Return the two orthonormal directions of the largest variance, [length, 2], zeros where there are fewer."""
    users, length = vectors.shape
    if length <= users:
        found = np.linalg.eigh(vectors.T @ vectors)[1][:, ::-1][:, :2]
    else:
        found = vectors.T @ np.linalg.eigh(vectors @ vectors.T)[1][:, ::-1][:, :2]
        norms = np.linalg.norm(found, axis=0)
        found = np.divide(found, norms, out=np.zeros_like(found), where=norms > 1e-12)
    directions = np.zeros((length, 2))
    directions[:, : found.shape[1]] = found
    return directions
