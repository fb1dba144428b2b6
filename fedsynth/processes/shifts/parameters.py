"""What can be chosen about `shifts`, and the checks on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from fedsynth.errors import UsageError, named
from fedsynth.processes.parameters import check_clusters, check_common, check_model_size, check_sizes
from fedsynth.processes.shifts.expectation import expected_above
from fedsynth.words import counted

LEAST_ALPHA, MOST_ALPHA = 1e-9, 1e9
MOST_SIGMA = 20.0
MOST_IMBALANCE = 1e4
_LEAFS_MEAN, _LEAFS_SIGMA = 3.0, 2.0
"""Of the logarithm of the number of samples."""
_SIZE_DEFAULTS = {"sigma_samples": 2.0, "min_samples": 5, "max_samples": 1000}
"""What chooses sizes that are not given."""


@dataclass(frozen=True)
class ShiftsParameters:
    """The parameters of `shifts`; with the defaults users are alike but for their sizes.

    num_tasks, num_classes, num_dim, seed, prob_clusters: as in Parameters.

    Sizes: mean_size, the expected number of samples, min_samples to max_samples, None: that of LEAF's
    distribution within these bounds, 101.7 with LEAF's; sigma_samples, the standard deviation of its logarithm before
    the bounds, 0 to 20, 0: all users have the same.
    sizes, [num_tasks] the exact numbers of samples, each 1 or more, instead of all of these; (): they are drawn.
    Labels: label_alpha, the concentration of the users' class shares around the pooled ones, 1e-9 to 1e9, or inf: all
    users alike; imbalance, how many times more frequent the first class is than the last, 1 to 10,000.
    Concepts: concept_dims, how many dimensions decide the class, 2 to num_dim, None: a third, at least 2;
    concept_within and concept_between, the expected disagreement of two users of one cluster and of two clusters, 0 to
    1 - 1/C; between is at least within, 0: clusters make no difference. label_noise, the probability that a label is
    another one, 0 to 1.
    Features: feature_shift, the between-users share of the variance of the dimensions that don't decide, in [0, 1).

    Raises UsageError for anything else.
    """

    model: ClassVar[str] = "shifts"

    num_tasks: int
    num_classes: int = 5
    num_dim: int = 60
    seed: int = 931231
    prob_clusters: tuple[float, ...] = (1.0,)
    mean_size: float | None = None
    sigma_samples: float = 2.0
    min_samples: int = 5
    max_samples: int = 1000
    label_alpha: float = math.inf
    imbalance: float = 1.0
    concept_dims: int | None = None
    concept_within: float = 0.0
    concept_between: float = 0.0
    label_noise: float = 0.0
    feature_shift: float = 0.0
    sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check_common(self)
        check_clusters(self.prob_clusters)
        if self.concept_dims is None:
            object.__setattr__(self, "concept_dims", max(2, self.num_dim // 3))  # frozen, but for this
        self._check_dims()
        check_model_size(self, len(self.prob_clusters) + 1)
        check_sizes(self.min_samples, self.max_samples)
        if self.sizes:
            self._check_given_sizes()
        elif self.mean_size is None:
            above = expected_above(_LEAFS_MEAN, _LEAFS_SIGMA, self.max_samples - self.min_samples)
            object.__setattr__(self, "mean_size", round(self.min_samples + above, 1))
        self._check_ranges()
        self._check_concepts()

    @property
    def deciding(self) -> int:
        """How many dimensions decide the class."""
        assert self.concept_dims is not None  # __post_init__ sets it
        return self.concept_dims

    @property
    def expected_size(self) -> float:
        """The expected number of samples."""
        assert self.mean_size is not None  # __post_init__ sets it
        return self.mean_size

    @property
    def most_disagreement(self) -> float:
        """Of users whose models have nothing in common."""
        return 1 - 1 / self.num_classes

    def _check_dims(self) -> None:
        if self.num_dim < 2:
            raise UsageError(f"{named('num_dim')} is {self.num_dim}, expected at least 2, which decide the class")
        if not 2 <= self.deciding <= self.num_dim:
            raise UsageError(
                f"{named('concept_dims')} is {self.deciding}, expected 2 to {named('num_dim')}, {self.num_dim}"
            )
        if self.feature_shift and self.deciding == self.num_dim:
            raise UsageError(
                f"{named('feature_shift')} is {self.feature_shift:g}, which moves dimensions that don't decide the "
                f"class, but {named('concept_dims')}, {self.deciding}, are all; use fewer of them"
            )

    def _check_given_sizes(self) -> None:
        """Check the sizes, which leave nothing to choose about sizes; their mean becomes mean_size."""
        if len(self.sizes) != self.num_tasks:
            raise UsageError(
                f"{named('sizes')} has {counted(len(self.sizes), 'number')}, expected {named('num_tasks')}, "
                f"{self.num_tasks:,}"
            )
        wrong = [size for size in self.sizes if not 1 <= size < 2**31]
        if wrong:
            raise UsageError(f"{named('sizes')} has {wrong[0]}, expected numbers of samples, 1 to {2**31 - 1}")
        mean = sum(self.sizes) / len(self.sizes)
        for name, usual in {**_SIZE_DEFAULTS, "mean_size": mean}.items():
            if getattr(self, name) not in (None, usual):
                raise UsageError(
                    f"{named('sizes')} is given, and {named(name)}, which would choose others; leave one out"
                )
        object.__setattr__(self, "mean_size", mean)

    def _check_ranges(self) -> None:
        if not self.sizes:
            bounds = f"{named('min_samples')} to {named('max_samples')}, "
            self._check_range("mean_size", self.min_samples, self.max_samples, bounds)
        self._check_range("sigma_samples", 0, MOST_SIGMA)
        self._check_range("imbalance", 1, MOST_IMBALANCE)
        self._check_range("label_noise", 0, 1)
        if not (LEAST_ALPHA <= self.label_alpha <= MOST_ALPHA or self.label_alpha == math.inf):
            found = f"{named('label_alpha')} is {self.label_alpha:g}"
            raise UsageError(f"{found}, expected {LEAST_ALPHA:g} to {MOST_ALPHA:g}, or inf for users alike")
        if not 0 <= self.feature_shift < 1:
            found = f"{named('feature_shift')} is {self.feature_shift:g}"
            raise UsageError(f"{found}, expected a share of the variance, 0 to below 1")
        if self.label_noise and self.num_classes == 1:
            raise UsageError(
                f"{named('label_noise')} is {self.label_noise:g}, which takes two classes or more; leave it out"
            )

    def _check_range(self, name: str, low: float, high: float, words: str = "") -> None:
        value = getattr(self, name)
        if not low <= value <= high:
            raise UsageError(f"{named(name)} is {value:g}, expected {words}{low:g} to {high:g}")

    def _check_concepts(self) -> None:
        for name in ("concept_within", "concept_between"):
            value = getattr(self, name)
            if not 0 <= value <= self.most_disagreement:
                most = f"1 - 1/{self.num_classes}, {self.most_disagreement:g}"
                raise UsageError(f"{named(name)} is {value:g}, expected a disagreement from 0 to {most}")
        if self.concept_between and len(self.prob_clusters) == 1:
            raise UsageError(
                f"{named('concept_between')} is {self.concept_between:g}, which takes two clusters or more, but "
                f"{named('prob_clusters')} has one; use {named('prob_clusters')} such as 0.5,0.5, or leave it out"
            )
        if 0 < self.concept_between < self.concept_within:
            raise UsageError(
                f"{named('concept_between')} is {self.concept_between:g}, expected at least {named('concept_within')}, "
                f"{self.concept_within:g}: users of two clusters don't agree more than users of one"
            )
