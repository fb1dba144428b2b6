"""Partition labelled samples into users whose class proportions are drawn from a Dirichlet distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import check_positive, must_return, whole_number
from fedsynth.federated.class_draws import Ints, Spread, draw_classes


def partition_by_dirichlet_class_distribution(
    labels: Sequence[Any] | NDArray[Any],
    alpha: float,
    user_dataset_len_sampler: Callable[[], int],
    spread_distribution_after_num_fails: int = 20,
    spread_distribution_after_fails_percentage: float = 0.02,
) -> list[list[int]]:
    """Partition labelled samples into users as pfl-research does.

    One user after another: draw the user's length n, and stop when fewer than n samples are left in all. Draw class
    proportions from Dirichlet(alpha, ..., alpha), then classes from these: a draw whose class still has samples takes
    the class's last remaining one, another is wasted. Whenever this user's draws reach a multiple of
    n * spread_distribution_after_num_fails, add the percentage to all proportions and scale them to add up to 1.

    Memory is linear in the samples, plus 8 MiB. Lengths are drawn in the users' order before all else; everything else
    comes from one generator, seeded from NumPy's global state. `fedsynth.partition` has this and other schemes without
    dropping samples.

    Args:
        labels: [samples] or [samples, 1], any values that sort.
        alpha: The concentration: small for users of few classes.
        user_dataset_len_sampler: Draws a user's number of samples.
        spread_distribution_after_num_fails: See above.
        spread_distribution_after_fails_percentage: See above.

    Returns:
        The users' sample indices, each index at most once; what is left for no whole user is dropped.

    Raises:
        UsageError: There are no labels, alpha is not positive, a length is below 1, or the spread never happens.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import partition_by_dirichlet_class_distribution
        >>> labels = np.arange(100) % 4
        >>> np.random.seed(1)
        >>> users = partition_by_dirichlet_class_distribution(labels, 0.5, lambda: 10)
        >>> len(users), sorted(index for user in users for index in user) == list(range(100))
        (10, True)
    """
    classes = _Classes.of(labels)
    check_positive("alpha", alpha)
    spread = Spread(spread_distribution_after_num_fails, spread_distribution_after_fails_percentage)
    lengths = _draw_lengths(user_dataset_len_sampler, classes.num_samples)
    rng = np.random.default_rng(np.random.randint(0, 2**32, size=4, dtype=np.uint32))
    indices = classes.take(draw_classes(lengths, classes.sizes, alpha, spread, rng))
    ends = np.cumsum(lengths)
    return [indices[end - length : end].tolist() for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)]


@dataclass(frozen=True)
class _Classes:
    """The labels by class. codes: [samples] class numbers, as narrow as can be; sizes: [classes] samples of each."""

    codes: NDArray[np.integer]
    sizes: Ints

    @classmethod
    def of(cls, labels: Sequence[Any] | NDArray[Any]) -> _Classes:
        array = np.asarray(labels)
        if array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != 1 or array.size == 0:
            raise UsageError(f"labels have shape {array.shape}, expected a flat list of at least one label")
        codes, sizes = _compact(array) or _unique(array)
        return cls(codes.astype(np.min_scalar_type(len(sizes) - 1)), sizes)

    @property
    def num_samples(self) -> int:
        return len(self.codes)

    def take(self, sequence: NDArray[np.integer]) -> Ints:
        """Return [m] indices: for each class number in the sequence, that class's last sample not yet taken."""
        by_class = np.argsort(self.codes, kind="stable")
        taken = np.bincount(sequence, minlength=len(self.sizes))
        ends = np.cumsum(self.sizes)
        last_first = [by_class[end - count : end][::-1] for end, count in zip(ends, taken, strict=True)]
        indices = np.empty(len(sequence), np.int64)
        indices[np.argsort(sequence, kind="stable")] = np.concatenate(last_first)
        return indices


def _compact(labels: NDArray[Any]) -> tuple[NDArray[np.integer], Ints] | None:
    """Number whole labels that lie close together, without sorting; None for others."""
    if labels.dtype.kind not in "iu":
        return None
    low, high = int(labels.min()), int(labels.max())
    if high - low > max(1 << 16, len(labels)):
        return None
    if labels.dtype.kind == "i":  # a narrow type may not hold the distance of its smallest to its largest value
        codes: NDArray[np.integer] = labels.astype(np.int64, copy=False) - low
    else:
        codes = labels - labels.dtype.type(low)
    sizes = np.bincount(codes.astype(np.int64, copy=False))
    if sizes.all():
        return codes, sizes
    numbers = np.cumsum(sizes > 0) - 1
    return numbers[codes], sizes[sizes > 0]


def _unique(labels: NDArray[Any]) -> tuple[NDArray[np.integer], Ints]:
    try:
        _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    except TypeError as error:
        raise UsageError(f"labels can't be sorted ({error}), expected values of one kind") from error
    return codes, counts


def _draw_lengths(sample_length: Callable[[], int], num_samples: int) -> Ints:
    """Draw users' lengths until one is more than what is left, which is dropped."""
    lengths: list[int] = []
    left = num_samples
    while True:
        drawn = must_return("user_dataset_len_sampler", sample_length)
        length = whole_number("the length that user_dataset_len_sampler returned", drawn)
        if length < 1:
            raise UsageError(f"user_dataset_len_sampler returned {length}, expected at least 1 sample for a user")
        if length > left:
            return np.array(lengths, np.int64)
        lengths.append(length)
        left -= length
