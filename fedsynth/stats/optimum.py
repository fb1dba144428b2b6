"""The multinomial logistic regression that fits all users' samples best, and the users' gradients there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = 100


@dataclass(frozen=True)
class Sample:
    """Some samples of some users. x: [n, D]; classes: [n, C], a 1 in each row; owners: [n], in order.

    weights: [users], 1 in all, what each stands for.
    """

    x: Floats
    classes: Floats
    owners: Ints
    weights: Floats

    @property
    def row_weights(self) -> Floats:
        """What each sample stands for: [n]."""
        kept = np.bincount(self.owners, minlength=len(self.weights))
        return np.asarray((self.weights / np.maximum(kept, 1))[self.owners])

    def halves(self) -> tuple[Sample, Sample]:
        """Return every second sample of each user, and the rest, which begins each user and has both samples of two."""
        starts = np.searchsorted(self.owners, np.arange(len(self.weights)))
        rank = np.arange(len(self.owners)) - starts[self.owners]
        kept = np.bincount(self.owners, minlength=len(self.weights))
        first = (rank % 2 == 1) & (kept > 2)[self.owners]
        parts = [replace(self, x=self.x[p], classes=self.classes[p], owners=self.owners[p]) for p in (first, ~first)]
        return parts[0], parts[1]

    def gradients(self, model: Floats, sizes: Ints) -> tuple[float, float]:
        """Return E|grad f_k|^2 and |grad f|^2 at a model, [D+1, C], both unbiased where these samples did not fit it.

        sizes: [users], how many samples each has, of which these are drawn. The square of a mean over m of n is too
        large by (1 - m/n) / m times the samples' variance on average, which is taken off.
        """
        rows = np.concatenate([np.ones((len(self.x), 1)), self.x], axis=1)
        residuals = _residuals(rows @ model, self.classes)
        norms = np.einsum("ij,ij->i", rows, rows) * np.einsum("ij,ij->i", residuals, residuals)
        starts = np.searchsorted(self.owners, np.arange(len(self.weights) + 1))
        own = excess = 0.0
        pooled = np.zeros(model.shape)
        for user, (start, end) in enumerate(pairwise(starts.tolist())):
            kept, weight = end - start, self.weights[user]
            mean = rows[start:end].T @ residuals[start:end] / kept
            length = float(np.vdot(mean, mean))
            spread = (float(norms[start:end].mean()) - length) / max(kept - 1, 1) * (1 - kept / sizes[user])
            own += weight * (length - spread)
            excess += weight**2 * spread
            pooled += weight * mean
        return float(own), float(np.vdot(pooled, pooled) - excess)


def fit_pooled(sample: Sample) -> Floats:
    """Return the model, [D+1, C], after 100 steps from zero towards the optimum of all users' samples.

    Nesterov's accelerated gradient descent on whitened features, where a step of 2 never overshoots (the Hessian is at
    most half the identity: Boehning, "Multinomial logistic regression algorithm", 1992). Classes that features
    separate have their optimum at infinity; then this is a model on the way.
    """
    weights = sample.row_weights / sample.row_weights.sum()
    middle = weights @ sample.x
    directions = _whitening(sample.x - middle, weights)
    rows = np.concatenate([np.ones((len(sample.x), 1)), (sample.x - middle) @ directions], axis=1)
    model = before = np.zeros((rows.shape[1], sample.classes.shape[1]))
    for step in range(STEPS):
        ahead = model + (model - before) * (step / (step + 3))
        slope = rows.T @ (weights[:, np.newaxis] * _residuals(rows @ ahead, sample.classes))
        before, model = model, ahead - 2 * slope
    raw = directions @ model[1:]
    return np.concatenate([model[:1] - middle @ raw, raw])


def _whitening(rest: Floats, weights: Floats) -> Floats:
    """Return what turns centred features, [n, D], into uncorrelated ones of variance 1: [D, at most D].

    Directions without variance are dropped.
    """
    values, vectors = np.linalg.eigh((rest * weights[:, np.newaxis]).T @ rest)
    kept = values > 1e-10 * max(values[-1], 1e-300)
    return np.asarray(vectors[:, kept] / np.sqrt(values[kept]))


def _residuals(logits: Floats, classes: Floats) -> Floats:
    logits -= logits.max(axis=1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    logits -= classes
    return logits
