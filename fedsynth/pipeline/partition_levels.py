"""Reach levels that are asked of a partition: each knob of its scheme is moved until the measure is as asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.random import default_rng

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.assign import assign_sorted, in_order, with_clusters
from fedsynth.partitioners.column import Column
from fedsynth.partitioners.draws import UserOf
from fedsynth.partitioners.request import Request
from fedsynth.pipeline.partition_measures import label_table
from fedsynth.pipeline.target import Target
from fedsynth.stats.heterogeneity import SEED
from fedsynth.stats.labels import LabelTable, distances, label_measures
from fedsynth.stats.quantity import quantity_measures
from fedsynth.targets import find_knob

KNOBS: Mapping[str, Mapping[str, str]] = {
    "quantity": {"quantity": "sigma"},
    "dirichlet": {"label": "alpha", "quantity": "alpha"},
    "inner-dirichlet": {"label": "alpha", "quantity": "sigma"},
    "classes": {"label": "classes"},
    "shards": {"label": "shards"},
}
"""Which parameter of a scheme moves which kind of measure."""

_MEASURES = (
    "quantity.gini",
    "quantity.cv",
    "label.jensen_shannon",
    "label.hellinger",
    "label.total_variation",
    "label.majority_share",
    "label.classes_per_user",
)
_FALLING = ("label.classes_per_user",)
_ALPHAS = math.log(1e-4), math.log(1e6)
_MOST_SIGMA = 8.0
_START: Mapping[str, Any] = {"sigma": 0.0, "alpha": 1.0, "classes": 1, "shards": 1}
_SMALL_STEP = 0.02
"""Distance from the level at which the search stops, as a share of the tolerance."""


@dataclass(frozen=True)
class Reached:
    """A target, the level that the partition has, and what chance alone would give, None where there is no such."""

    target: Target
    level: float
    chance: float | None
    knob: str
    value: Any


def solve_levels(by: Column, labels: Column | None, request: Request, targets: Sequence[Target]) -> list[Reached]:
    """Return the levels that knobs were found for, and the knobs. Holds what a partition does.

    Every target has a knob of its own; those that the request has are only where the others start. Raises UsageError
    for a measure that no knob of the scheme moves, for two targets of one knob, and for levels that can't be
    reached, naming those that can.
    """
    knobs = choose_knobs(targets, request.scheme)
    if not knobs:
        return []
    ordered = None if labels is None else Column(labels.codes[in_order(by, request.seed)], labels.values)
    totals = by.totals

    def measure(asked: Request, name: str) -> float:
        user_of = assign_sorted(totals, asked)
        if name.startswith("quantity."):
            return float(quantity_measures(np.bincount(user_of, minlength=_num_users(asked)).tolist())[name])
        table = _table(user_of, ordered, asked)
        if name in ("label.classes_per_user", "label.majority_share"):
            return _per_user(table, name)
        return distances(table)[name]

    reached: list[Reached] = []
    for knob in sorted(knobs, key=["sigma", "alpha", "classes", "shards"].index):
        target = knobs[knob]
        value, level = _search(knob, target, request, measure, by)
        request = with_levels(request, [Reached(target, level, None, knob, value)])
        chance = None
        if target.measure.startswith("label."):
            measured = label_measures(_table(assign_sorted(totals, request), ordered, request), default_rng(SEED))
            chance = measured.get(f"{target.measure}_chance")
        reached.append(Reached(target, level, chance, knob, value))
    return reached


def with_levels(request: Request, reached: Sequence[Reached]) -> Request:
    """Return a request with the knobs that were found."""
    knobs: dict[str, Any] = {level.knob: level.value for level in reached}
    return replace(request, **knobs)


def with_knobs(scheme: str, targets: Sequence[Target], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given parameters, and a start for each that targets will choose. Raises UsageError if one is given."""
    chosen = choose_knobs(targets, scheme)
    for knob, target in chosen.items():
        if given.get(knob) is not None:
            raise UsageError(f"{named(knob)} is given, and {target.measure} would choose it; leave one of the two out")
    return {**given, **{knob: _START[knob] for knob in chosen}}


def choose_knobs(targets: Sequence[Target], scheme: str) -> dict[str, Target]:
    """Return the targets by the parameter that reaches each. Raises UsageError where there is none, or not one each."""
    chosen: dict[str, Target] = {}
    for target in targets:
        kinds = KNOBS.get(scheme, {})
        possible = [name for name in _MEASURES if name.partition(".")[0] in kinds]
        if target.measure not in possible:
            listed = ", ".join(possible) or "none"
            raise UsageError(f"scheme {scheme} has no knob that moves {target.measure!r}; it has for {listed}")
        knob = kinds[target.measure.partition(".")[0]]
        if knob in chosen:
            raise UsageError(
                f"{chosen[knob].measure} and {target.measure} are both asked for, but one knob, {named(knob)}, moves "
                "both; ask for one"
            )
        chosen[knob] = target
    return chosen


def _search(
    knob: str, target: Target, request: Request, measure: Callable[[Request, str], float], by: Column
) -> tuple[Any, float]:
    """Return a knob's value and the level there, near enough to the target."""
    sign = -1.0 if target.measure in _FALLING else 1.0
    make, low, high = _scale(knob, request, by)
    asked: dict[float, float] = {}

    def rising(point: float) -> float:
        value = make(point)
        if value not in asked:
            asked[value] = measure(replace(request, **{knob: value}), target.measure)
        return sign * asked[value]

    found = find_knob(rising, sign * target.level, low=low, high=high, close=target.tolerance * _SMALL_STEP)
    level = sign * found.level
    if abs(level - target.level) > target.tolerance:
        levels = sorted(asked.values())
        nearest = f"{level:.3f} with {named(knob)} {make(found.knob):g} is the nearest"
        raise UsageError(
            f"{target.measure} {target.level:g} can't be reached with scheme {request.scheme} and "
            f"{_num_users(request):,} users of {len(by.codes):,} samples: {levels[0]:.3f} to {levels[-1]:.3f} can, and "
            f"{nearest}; ask for that, or a larger tolerance"
        )
    return make(found.knob), level


def _scale(knob: str, request: Request, by: Column) -> tuple[Callable[[float], Any], float, float]:
    """Return how a point on a line gives the knob, and the line's ends: from users who are alike to others."""
    if knob == "sigma":
        return float, 0.0, _MOST_SIGMA
    if knob == "alpha":
        return lambda point: math.exp(-point), -_ALPHAS[1], -_ALPHAS[0]
    if knob == "classes":
        least = -(-len(by.values) // _num_users(request))
        most = int(by.totals.min()) * len(by.values) // _num_users(request)
        return lambda point: -round(point), -float(max(1, min(len(by.values), most))), -float(max(1, least))
    most = max(1, min(200, len(by.codes) // _num_users(request)))
    return lambda point: max(1, round(math.exp(-point))), -math.log(most), 0.0


def _per_user(table: LabelTable, name: str) -> float:
    nonempty = table.sizes > 0
    if name == "label.classes_per_user":
        return float(len(table.users) / nonempty.sum())
    largest = np.zeros(len(table.sizes))
    np.maximum.at(largest, table.users, table.counts)
    return float((largest[nonempty] / table.sizes[nonempty]).mean())


def _table(user_of: UserOf, ordered: Column | None, request: Request) -> LabelTable:
    """Return the labels that users have, after exchanges. ordered: the samples' labels, in the order of `user_of`."""
    if ordered is None:
        raise UsageError("labels that are no classes have no measures to ask for; ask for a quantity")
    return label_table(with_clusters([""] * _num_users(request), user_of, ordered, request), ordered)


def _num_users(request: Request) -> int:
    if request.sizes is not None:
        return len(request.sizes)
    assert request.users is not None  # natural has no knobs
    return request.users
