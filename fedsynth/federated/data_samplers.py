"""Which samples are next: samplers of sample indices.

All draw from NumPy's global state, which the federated datasets seed for each draw; the draws are pfl-research's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import AssertedError, unknown_name, whole_number

DataSampler = Callable[[int], Sequence[int] | NDArray[np.int64]]

_EVEN = 1e100
"""An alpha beyond it is scaled down to it: its proportions don't vary any more, and their sum would overflow."""


class RandomDataSampler:
    """Draws indices uniformly, with replacement.

    Args:
        max_bound: The number of samples: indices are in [0, max_bound).

    Raises:
        UsageError: max_bound is below 1.
    """

    def __init__(self, max_bound: int) -> None:
        self._max_bound = _at_least_1(max_bound)

    def __call__(self, n: int) -> NDArray[np.int64]:
        """Return [n] indices."""
        return np.random.randint(0, self._max_bound, size=n)


class MinimizeReuseDataSampler:
    """Returns the next indices of an endless cycle through the samples.

    Args:
        max_bound: The number of samples: indices are in [0, max_bound).

    Raises:
        UsageError: max_bound is below 1.

    Examples:
        >>> from fedsynth import MinimizeReuseDataSampler
        >>> sampler = MinimizeReuseDataSampler(5)
        >>> sampler(3), sampler(4)
        ([0, 1, 2], [3, 4, 0, 1])
    """

    def __init__(self, max_bound: int) -> None:
        self._max_bound = _at_least_1(max_bound)
        self._next = 0

    def __call__(self, n: int) -> list[int]:
        """Return the next n indices."""
        indices = [number % self._max_bound for number in range(self._next, self._next + n)]
        self._next = (self._next + n) % self._max_bound
        return indices


class DirichletDataSampler:
    """Draws class proportions from Dirichlet(alpha), then samples of those classes with replacement.

    Args:
        alpha: [classes], positive, or one number for all classes.
        labels: [samples]; the classes are its sorted unique values.

    Raises:
        UsageError: alpha is not positive or has another length, or labels are empty or can't be sorted.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import DirichletDataSampler
        >>> labels = np.array([0, 0, 0, 1, 1, 1])
        >>> np.random.seed(0)
        >>> indices = DirichletDataSampler(0.1, labels)(4)
        >>> [int(labels[index]) for index in indices]
        [0, 1, 1, 1]
    """

    def __init__(self, alpha: Sequence[float] | NDArray[np.floating] | float, labels: NDArray[Any]) -> None:
        labels = np.asarray(labels)
        classes = _classes(labels)
        if len(classes) == 0:
            raise UsageError("labels are empty, expected at least one")
        self._alpha = _numbers("alpha", alpha)
        if self._alpha.ndim == 0:
            self._alpha = np.full(len(classes), self._alpha)
        if self._alpha.shape != (len(classes),):
            raise AssertedError(
                f"alpha has shape {self._alpha.shape}, expected one number for each of {len(classes)} classes in labels"
            )
        if not (np.isfinite(self._alpha).all() and (self._alpha > 0).all()):
            raise UsageError(f"alpha is {self._alpha.tolist()}, expected positive numbers")
        if self._alpha.max() > _EVEN:
            self._alpha *= _EVEN / self._alpha.max()
        self._samples = [np.flatnonzero(labels == label) for label in classes]

    def __call__(self, n: int) -> list[int]:
        """Return n indices, by class. NumPy's functions get the arguments that pfl-research gives them."""
        counts = np.random.multinomial(n, pvals=self._proportions())
        drawn = [np.random.choice(samples, size=count) for samples, count in zip(self._samples, counts, strict=True)]
        indices: list[int] = np.concatenate(drawn).tolist()
        return indices

    def _proportions(self) -> NDArray[np.float64]:
        proportions = np.random.dirichlet(alpha=self._alpha)
        if np.isfinite(proportions).all():
            return proportions
        # All gamma variables underflowed: a tiny alpha leaves one class, drawn by its share of alpha.
        chosen = np.random.choice(len(self._alpha), p=self._alpha / self._alpha.sum())
        proportions[:] = np.arange(len(proportions)) == chosen
        return proportions


def get_data_sampler(
    sample_type: str,
    max_bound: int | None = None,
    alpha: Sequence[float] | NDArray[np.floating] | float | None = None,
    labels: NDArray[Any] | None = None,
) -> DataSampler:
    """Return a sampler of sample indices by its name.

    Args:
        sample_type: 'random' or 'minimize_reuse', which need max_bound, or 'dirichlet', which needs alpha and labels.
        max_bound: The number of samples.
        alpha: See `DirichletDataSampler`.
        labels: See `DirichletDataSampler`.

    Returns:
        A function of n that returns n indices.

    Raises:
        UsageError: The name is unknown, or an argument is missing.

    Examples:
        >>> from fedsynth import get_data_sampler
        >>> get_data_sampler("minimize_reuse", max_bound=3)(5)
        [0, 1, 2, 0, 1]
    """
    if sample_type not in _DATA_SAMPLERS:
        raise unknown_name("data sampler", sample_type, _DATA_SAMPLERS)
    make, needed = _DATA_SAMPLERS[sample_type]
    given = {"max_bound": max_bound, "alpha": alpha, "labels": labels}
    for name in needed:
        if given[name] is None:
            raise UsageError(f"the {sample_type!r} data sampler got no {name}, expected one; pass {name}=")
    return make(*(given[name] for name in needed))


_DATA_SAMPLERS: dict[str, tuple[Callable[..., DataSampler], tuple[str, ...]]] = {
    "random": (RandomDataSampler, ("max_bound",)),
    "minimize_reuse": (MinimizeReuseDataSampler, ("max_bound",)),
    "dirichlet": (DirichletDataSampler, ("alpha", "labels")),
}


def _classes(labels: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.unique(labels)
    except TypeError as error:
        raise UsageError(f"labels can't be sorted ({error}), expected values of one kind") from error


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r:.80}, expected numbers") from None


def _at_least_1(max_bound: int) -> int:
    if whole_number("max_bound", max_bound) < 1:
        raise UsageError(f"max_bound is {max_bound}, expected at least 1: the number of samples to draw from")
    return max_bound
