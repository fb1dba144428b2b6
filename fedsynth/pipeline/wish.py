"""What is asked of `fedsynth partition`, and the columns that it needs of a source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.engine import Progress
from fedsynth.errors import DataError, UsageError, named
from fedsynth.partitioners.column import Column, Gatherer
from fedsynth.partitioners.request import Request
from fedsynth.pipeline.partition_levels import choose_knobs
from fedsynth.pipeline.target import Target
from fedsynth.sources.samples import SampleColumns, choose_samples, require_values
from fedsynth.sources.source import Source, listed

_LABELS = ("label", "y")


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A partition of a source. label, by, user: names of columns; x: those that make a sample, see `choose_samples`.

    label: absent, it is a column that is called label or y, or else `by`; by: the column that the scheme assigns users
    by, absent, it is the label.
    bins: as many classes are made of the numbers in `by`. targets: levels that the request's knobs are to reach.
    """

    source: Path
    request: Request
    label: str | None = None
    by: str | None = None
    user: str | None = None
    x: Sequence[str] | None = None
    bins: int | None = None
    targets: Sequence[Target] = ()
    num_shards: int = 1
    assignment_only: bool = False

    def __post_init__(self) -> None:
        natural = self.request.scheme == "natural"
        if natural and self.user is None:
            raise UsageError(f"scheme natural needs {named('user')}, the column that names users; none is given")
        if natural and (self.by is not None or self.bins is not None):
            raise UsageError(f"{named('by')} and {named('bins')} make no sense with scheme natural; leave them out")
        if not natural and self.user is not None:
            raise UsageError(f"{named('user')} makes no sense with scheme {self.request.scheme}; leave it out")

    @property
    def knobs(self) -> Sequence[str]:
        """The request's parameters that the targets choose."""
        return list(choose_knobs(self.targets, self.request.scheme))

    @property
    def recorded(self) -> dict[str, Any]:
        """What was asked, as JSON values: the same wish of the same source gives the same data."""
        columns = {name: getattr(self, name) for name in ("label", "by", "user", "bins")}
        given = {name: value for name, value in columns.items() if value is not None}
        levels = {target.measure: [target.level, target.tolerance] for target in self.targets}
        return {
            "source": str(self.source.resolve()),
            **given,
            **({} if self.x is None else {"x": list(self.x)}),
            **{name: value for name, value in self.request.recorded.items() if name not in self.knobs},
            **({"targets": levels} if levels else {}),
            "num_shards": self.num_shards,
        }


@dataclass(frozen=True)
class Columns:
    """What was read of a source but for the samples themselves. names: users, for scheme natural alone.

    by: what users are assigned by; classes: the labels as classes, None where they are none, and numbers [rows] are
    the labels; label_names: what labels stand for, [] if for themselves; samples: which columns make a sample.
    """

    by: Column
    classes: Column | None
    names: Column | None
    numbers: NDArray[np.float64] | None
    label_names: Sequence[str] = field(default_factory=list)
    samples: SampleColumns | None = None


def read_columns(source: Source, wish: Wish, progress: Progress) -> Columns:
    """Read the columns that decide, in one pass. Holds 8 bytes a number and 4 a text of each.

    progress: told of rows. Raises UsageError for columns that are not there, or not of use, DataError for damage.
    """
    label = _label_column(source, wish)
    by = label if wish.by is None else wish.by
    wanted = {"label": label, "by": by, **({} if wish.user is None else {"user": wish.user})}
    for parameter, name in wanted.items():
        require_values(source, name, "by" if wish.label is None and name == wish.by else parameter)
    taken = list(dict.fromkeys(wanted.values()))
    samples = None if wish.assignment_only else choose_samples(source, wish.x, taken)
    gathered = {name: Gatherer(f"{source.path}: the values of column {name!r}") for name in taken}
    for batch in source.batches(taken):
        for name, values in batch.items():
            gathered[name].add(values)
        progress(len(batch[label]))
    if not gathered[label].samples:
        raise DataError(f"{source.path}: no rows, expected some samples; name another source")
    classes = _classes(gathered[label], needed=(by == label and wish.bins is None) or wish.request.clusters > 1)
    assigned_by = classes if by == label and wish.bins is None and classes else gathered[by].column(wish.bins)
    names = None if wish.user is None else gathered[wish.user].column()
    numbers = gathered[label].values().astype(np.float64) if classes is None else None
    return Columns(assigned_by, classes, names, numbers, _label_names(source, label, classes), samples)


def _label_column(source: Source, wish: Wish) -> str:
    usual = [name for name in _LABELS if name in source.columns]
    found = wish.label or next(iter(usual), None) or wish.by
    if found is None:
        raise UsageError(
            f"{source.path}: no column is called label or y; name the labels' with {named('label')}: "
            f"{listed(list(source.columns))}"
        )
    return found


def _classes(gathered: Gatherer, *, needed: bool) -> Column | None:
    try:
        return gathered.column()
    except DataError:
        if needed:
            raise
        return None


def _label_names(source: Source, label: str, classes: Column | None) -> Sequence[str]:
    """Return what labels 0, 1, ... stand for: texts are numbered in their order, numbers stay."""
    if classes is not None and isinstance(classes.values[0], str):
        return list(classes.values)
    return list(source.columns[label].label_names)


def class_labels(classes: Column) -> NDArray[np.int64]:
    """Return the number that is written for each class: [classes]. Raises DataError for one beyond 64 bits."""
    if isinstance(classes.values[0], str):
        return np.arange(len(classes.values))
    if classes.values[-1] >= 2**63:
        raise DataError(f"labels hold {classes.values[-1]}, expected whole numbers of 64 bits; name another column")
    return np.array(classes.values).astype(np.int64)
