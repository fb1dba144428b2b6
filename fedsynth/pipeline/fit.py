"""A size-and-label twin: parameters of `shifts` that give users of the same sizes, labels and means as a folder's.

It claims nothing about concepts: nobody knows the true models of real data, so all of the twin's users share one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import DataError, UsageError, named
from fedsynth.pipeline.levels import FeatureLevels, count_labels, label_levels, quantity_levels
from fedsynth.pipeline.run import Bar, no_bar
from fedsynth.pipeline.stats import Description, describe
from fedsynth.processes.dataset import Dataset, open_stream
from fedsynth.processes.registry import arguments
from fedsynth.processes.shifts.ingredients import Ingredients
from fedsynth.processes.shifts.labels import pooled_shares
from fedsynth.processes.shifts.parameters import LEAST_ALPHA, MOST_ALPHA, MOST_IMBALANCE, MOST_SIGMA, ShiftsParameters
from fedsynth.processes.shifts.sizes import SizeLaw
from fedsynth.stats.heterogeneity import Measures, Meter
from fedsynth.stats.table import flat, side_by_side
from fedsynth.targets import find_knob

Floats = NDArray[np.float64]

FITTED = (
    "quantity.mean",
    "quantity.min",
    "quantity.max",
    "quantity.gini",
    "label.jensen_shannon",
    "feature.between_share",
)
MOST_SEEDS = 3
TOLERANCE = 0.005
"""Difference from the level beyond which a fitted one is reported as out of reach."""

NO_CONCEPTS = "a twin's concepts mean nothing, all users share one"
MAY_IDENTIFY = "exact sizes may identify users: share command and sizes only with people who may know them"
_ROUNDS = 3
_MOST_SHIFT = 1 - 1e-6


@dataclass(frozen=True, repr=False)
class Fit:
    """A twin. parameters: with the first seed; real, twins: measures by key, of the folder and of each seed's twin.

    fitted: the measures that were fitted; notes: what the twin does not have, and why.
    """

    parameters: ShiftsParameters
    real: Mapping[str, Any]
    twins: Sequence[Mapping[str, Any]]
    fitted: Sequence[str]
    notes: Sequence[str]
    origin: str = ""
    """What a user should know of where the folder's data is from."""

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    @property
    def arguments(self) -> dict[str, Any]:
        """What to pass to `fedsynth.generate` to have the first twin."""
        return {"model": self.parameters.model, **arguments(self.parameters)}

    def lines(self) -> list[str]:
        """Return the table real | twin, the means over seeds, with a star at what was fitted; then the notes."""
        real = {key: value for key, value in flat(self.real).items() if not key.startswith("concept.")}
        twins = [flat(twin) for twin in self.twins]
        twin = {key: _mean([one[key] for one in twins]) for key in real if all(key in one for one in twins)}
        name = "twin" if len(twins) == 1 else f"twin, mean of {len(twins)} seeds"
        return [*side_by_side({"real": real, name: twin}, self.fitted), "* fitted", *self.notes]

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "parameters": Dataset(self.parameters).recorded,
            "fitted": list(self.fitted),
            "notes": list(self.notes),
            "real": dict(self.real),
            "twins": [dict(twin) for twin in self.twins],
        }


def fit(
    folder: Path,
    *,
    seed: int = 931231,
    seeds: int = 1,
    exact_sizes: bool = False,
    engine: Engine = INLINE,
    bar: Bar = no_bar,
) -> Fit:
    """Fit a twin to a folder of LEAF files whose labels are classes, and measure it with `seeds` seeds, 1 to 3.

    Sizes: the lognormal distribution of `shifts` in the folder's bounds, of its mean and its Gini coefficient; or,
    with exact_sizes, the sizes of the folder's users themselves, sorted. Labels: as many
    classes, falling geometrically in frequency to the same entropy, and the concentration that gives the same
    `label.jensen_shannon`. Features: as many, of the same mean share of variance between users. Nothing is written;
    holds what `describe` does, and one user of the twin.
    Raises DataError if labels are no classes, UsageError for what `shifts` has no parameters for.
    """
    if not 1 <= seeds <= MOST_SEEDS:
        raise UsageError(f"{named('seeds')} is {seeds}, expected 1 to {MOST_SEEDS}")
    real = describe(folder, engine=engine, bar=bar)
    measures = real.measures
    if measures is None or measures.labels is None:
        why = "there are none" if measures is None else measures.left_out["label.jensen_shannon"]
        raise DataError(f"{folder}: its labels can't be fitted, {why}; name a folder with classes")
    fitter = _Fitter.of(real, measures, seed)
    if exact_sizes:
        fitter.take_sizes(np.asarray(real.summary.num_samples).tolist())
    else:
        fitter.fit_sizes()
    fitter.fit_labels()
    fitter.fit_features()
    parameters = fitter.parameters
    with bar("twin", parameters.num_tasks * seeds) as progress:
        twins = [_measure(replace(parameters, seed=(seed + more) % 2**32), progress) for more in range(seeds)]
    fitted = [key for key in FITTED if key in measures.values]
    notes = [*fitter.notes, *_misses(measures.values, twins[0], fitted)]
    return Fit(parameters, measures.as_json(), twins, fitted, notes, real.note)


class _Fitter:
    """The parameters as far as they are fitted. notes: what can't be."""

    def __init__(self, parameters: ShiftsParameters, real: Mapping[str, Any], notes: list[str]) -> None:
        self.parameters = parameters
        self.notes = notes
        self._real = real

    @classmethod
    def of(cls, real: Description, measures: Measures, seed: int) -> _Fitter:
        """Take what needs no search: users, classes, features and bounds of sizes."""
        assert measures.labels is not None  # fit has looked
        notes = [f"note: {NO_CONCEPTS}"]
        sizes = [size for size in np.asarray(real.summary.num_samples).tolist() if size]
        if len(sizes) < real.summary.users:
            notes.append(f"note: users without samples have no twins, {real.summary.users - len(sizes):,} of them")
        classes, dims = len(measures.labels.names), measures.num_features
        if dims is None:
            why = measures.left_out.get("feature.between_share", "there are none")
            notes.append(f"note: {why}; the twin's are made up")
        dims = ShiftsParameters.num_dim if dims is None else dims
        if dims < max(2, classes):
            notes.append(f"note: the twin has {max(2, classes)} features: {dims} can't tell {classes} classes apart")
            dims = max(2, classes)
        share = measures.values.get("feature.between_share", {"mean": 0.0})["mean"]
        parameters = ShiftsParameters(
            num_tasks=len(sizes),
            num_classes=classes,
            num_dim=dims,
            seed=seed,
            mean_size=float(np.mean(sizes)),
            min_samples=min(sizes),
            max_samples=max(sizes),
            imbalance=_imbalance(measures.labels.totals),
            concept_dims=_deciding(dims, classes, share),
        )
        return cls(parameters, {**measures.values, **quantity_levels(np.array(sizes))}, notes)

    def take_sizes(self, num_samples: Sequence[int]) -> None:
        """Take sizes as they are, but for their order, which may be that of users' names."""
        sizes = tuple(sorted(size for size in num_samples if size))
        plain = ShiftsParameters(len(sizes), sizes=sizes, num_dim=self.parameters.num_dim)
        chosen = ("mean_size", "sigma_samples", "min_samples", "max_samples", "sizes")
        self.parameters = replace(self.parameters, **{name: getattr(plain, name) for name in chosen})
        self.notes.append(f"note: {MAY_IDENTIFY}")

    def fit_sizes(self) -> None:
        """Turn mean_size and sigma_samples until the sizes drawn have the mean and the Gini coefficient."""
        normals = Ingredients(self.parameters).size_normals(range(self.parameters.num_tasks))
        bounds = float(self.parameters.min_samples), float(self.parameters.max_samples)

        def level(measure: str, **changed: float) -> float:
            sizes = SizeLaw(replace(self.parameters, **changed)).sizes(normals)  # type: ignore[arg-type]
            return quantity_levels(sizes)[measure]

        for _ in range(_ROUNDS if bounds[0] < bounds[1] else 0):
            gini, mean = self._real["quantity.gini"], self._real["quantity.mean"]
            found = find_knob(
                lambda sigma: level("quantity.gini", sigma_samples=sigma), gini, low=0, high=MOST_SIGMA, close=1e-4
            )
            self._set(sigma_samples=found.knob)
            found = find_knob(
                lambda size: level("quantity.mean", mean_size=size),
                mean,
                low=bounds[0],
                high=bounds[1],
                close=mean / 1e4,
            )
            self._set(mean_size=found.knob)

    def fit_labels(self) -> None:
        """Turn label_alpha until the labels drawn say as much of their users; inf where chance alone says more."""
        sizes = Ingredients(self.parameters).sizes(range(self.parameters.num_tasks))

        def level(point: float) -> float:
            changed = replace(self.parameters, label_alpha=_alpha(point))
            return label_levels(count_labels(changed, sizes))["label.jensen_shannon"]

        asked = self._real["label.jensen_shannon"]
        found = find_knob(level, asked, low=0, high=1, close=2e-4, start=0.5, width=0.1)
        self._set(label_alpha=_alpha(found.knob))

    def fit_features(self) -> None:
        """Turn feature_shift until the features drawn have the share of variance between users."""
        asked = self._real.get("feature.between_share")
        if asked is None or self.parameters.deciding == self.parameters.num_dim:
            return
        features = FeatureLevels(self.parameters, Ingredients(self.parameters).sizes(range(self.parameters.num_tasks)))
        found = find_knob(features.level, asked["mean"], low=0, high=_MOST_SHIFT, close=1e-4)
        self._set(feature_shift=found.knob)

    def _set(self, **found: float) -> None:
        short = {name: float(f"{value:.6g}") for name, value in found.items()}
        self.parameters = replace(self.parameters, **short)  # type: ignore[arg-type]


def _alpha(point: float) -> float:
    """Return the concentration at a point in [0, 1], from inf down to the least, evenly in logarithms."""
    return float("inf") if point == 0 else MOST_ALPHA * (LEAST_ALPHA / MOST_ALPHA) ** point


def _imbalance(totals: NDArray[np.int64]) -> float:
    """Return the ratio of the most to the least frequent class of a geometric fall of the entropy of these totals."""
    if len(totals) < 2:
        return 1.0
    shares = totals / totals.sum()
    entropy = -float(np.sum(shares * np.log(shares)))

    def falling(power: float) -> float:
        pooled = pooled_shares(len(totals), 10**power)
        return float(np.sum(pooled * np.log(pooled)))

    found = find_knob(falling, -entropy, low=0, high=float(np.log10(MOST_IMBALANCE)), close=1e-6)
    return max(1.0, float(f"{10**found.knob:.6g}"))


def _deciding(dims: int, classes: int, share: float) -> int:
    """Return how many dimensions decide the class: a third, fewer where the others can't bear the share alone.

    At least as many as there are classes, so that each class is that of some samples.
    """
    return max(2, classes, min(dims // 3, int(dims * (1 - share))))


def _measure(parameters: ShiftsParameters, progress: Any) -> dict[str, Any]:
    """Return the measures of a twin that is drawn and never written; those of concepts are skipped."""
    stream, users = open_stream(Dataset(parameters)), range(parameters.num_tasks)
    sizes = stream.sizes_of(users)
    meter = Meter(sizes, None, no_truth=NO_CONCEPTS, names=[str(user) for user in users])
    for user, task in zip(users, stream.tasks_of(users), strict=True):
        meter.add(user, task.x.tolist(), task.y.tolist())
        progress(1)
    return meter.measures().as_json()


def _misses(real: Mapping[str, Any], twin: Mapping[str, Any], fitted: Sequence[str]) -> list[str]:
    """Return a note for each fitted level that no parameters reach."""
    shares = [key for key in fitted if key.startswith(("quantity.gini", "label.", "feature."))]
    found = [(key, flat(real)[key], flat(twin)[key]) for key in shares]
    return [
        f"note: {key} {one:.3f} is out of reach, {other:.3f} is the nearest"
        for key, one, other in found
        if abs(one - other) > TOLERANCE
    ]


def _mean(values: Sequence[Any]) -> Any:
    """Return the mean, in whole numbers where all are one."""
    return values[0] if not isinstance(values[0], int | float) or len(set(values)) == 1 else float(np.mean(values))
