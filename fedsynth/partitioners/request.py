"""What is asked of a partition, checked as far as it can be without any data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fedsynth.errors import UsageError, named

DEFAULT_SEED = 931231
"""The generator's."""

SCHEMES: Mapping[str, tuple[str, ...]] = {
    "iid": (),
    "quantity": ("sigma", "sizes"),
    "dirichlet": ("alpha",),
    "inner-dirichlet": ("alpha", "sigma", "sizes"),
    "classes": ("classes",),
    "shards": ("shards",),
    "natural": (),
}
"""The schemes, and the parameters that each takes beside those that all take."""

_OWN = ("alpha", "sigma", "sizes", "classes", "shards")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A scheme and its parameters; those of other schemes must be absent.

    users: how many, None where sizes says so and for natural; min_samples: of the smallest user; clusters: of users;
    swap_labels: how many classes exchange their labels in a cycle, in each cluster but the first. Raises UsageError for
    what makes no sense whatever the data.
    """

    scheme: str
    users: int | None = None
    alpha: float | None = None
    sigma: float | None = None
    sizes: Sequence[int] | None = None
    classes: int | None = None
    shards: int | None = None
    min_samples: int = 1
    clusters: int = 1
    swap_labels: int = 0
    seed: int = DEFAULT_SEED

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UsageError(f"{named('scheme')} is {self.scheme!r}, expected one of {', '.join(SCHEMES)}")
        self._check_own()
        self._check_numbers()
        self._check_users()
        if (self.clusters > 1) != (self.swap_labels > 0):
            raise UsageError(
                f"{named('clusters')} is {self.clusters} and {named('swap_labels')} {self.swap_labels}, expected two "
                "clusters or more and "
                "two labels or more to exchange in them, or neither; give both"
            )

    @property
    def recorded(self) -> dict[str, Any]:
        """What was asked, as JSON values, without what was not."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        values |= {"alpha": "inf"} if self.alpha == math.inf else {}  # which JSON has no number for
        return {name: list(value) if name == "sizes" else value for name, value in values.items()}

    def _check_own(self) -> None:
        allowed = SCHEMES[self.scheme]
        given = [name for name in _OWN if getattr(self, name) is not None]
        for name in given:
            if name not in allowed:
                takes = f"takes {' and '.join(map(named, allowed))}" if allowed else "takes none of its own"
                raise UsageError(f"{named(name)} makes no sense with scheme {self.scheme}, which {takes}; leave it out")
        if "sigma" in given and "sizes" in given:
            raise UsageError(
                f"{named('sigma')} and {named('sizes')} are both given, expected one of them: sizes are drawn, or "
                "listed"
            )
        needed = {"quantity": ("sigma", "sizes"), "dirichlet": ("alpha",), "inner-dirichlet": ("alpha",)}
        needed |= {"classes": ("classes",), "shards": ("shards",)}
        names = needed.get(self.scheme, ())
        if names and not set(names) & set(given):
            raise UsageError(f"scheme {self.scheme} needs {' or '.join(map(named, names))}; none is given")

    def _check_numbers(self) -> None:
        if self.alpha is not None and not self.alpha > 0:
            raise UsageError(
                f"{named('alpha')} is {self.alpha}, expected a positive number, or inf for users who are all alike"
            )
        if self.sigma is not None and not (math.isfinite(self.sigma) and 0 <= self.sigma <= 100):
            raise UsageError(f"{named('sigma')} is {self.sigma}, expected 0 (all users equally large) to 100")
        for name in ("users", "classes", "shards", "min_samples", "clusters", "swap_labels", "seed"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
                raise UsageError(f"{named(name)} is {value!r}, expected a whole number")
        for name in ("users", "classes", "shards", "min_samples", "clusters"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{named(name)} is {value}, expected at least 1")
        if self.swap_labels < 0 or self.swap_labels == 1:
            raise UsageError(
                f"{named('swap_labels')} is {self.swap_labels}, expected at least 2 classes that exchange their labels"
            )
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"{named('seed')} is {self.seed}, expected 0 to 2**64 - 1")

    def _check_users(self) -> None:
        if self.scheme == "natural":
            if self.users is not None:
                raise UsageError(
                    f"{named('users')} makes no sense with scheme natural, whose users are there; leave it out"
                )
            if self.min_samples > 1:
                raise UsageError(
                    f"{named('min_samples')} makes no sense with scheme natural, whose users are as they are; leave "
                    "it out, and "
                    "remove small users afterwards"
                )
        elif self.users is None and self.sizes is None:
            raise UsageError(f"scheme {self.scheme} needs {named('users')}, how many there are to be; none is given")
        elif self.sizes is not None:
            if self.users not in (None, len(self.sizes)):
                raise UsageError(
                    f"{named('users')} is {self.users}, but {named('sizes')} lists {len(self.sizes)}; leave "
                    f"{named('users')} out"
                )
            if not self.sizes or min(self.sizes) < self.min_samples:
                least = min(self.sizes) if self.sizes else "nothing"
                raise UsageError(
                    f"{named('sizes')} holds {least}, expected at least {named('min_samples')}, {self.min_samples}, "
                    "for each user"
                )
