"""Levels that are asked for by the measures' names, and the knobs that reach them."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from fedsynth.errors import UsageError, named

Asked = Mapping[str, float | tuple[float, float]]
"""Levels by measure, each with a tolerance where the usual one won't do."""

SHIFTS_KNOBS = {
    "quantity.mean": "mean_size",
    "quantity.gini": "sigma_samples",
    "quantity.cv": "sigma_samples",
    "label.jensen_shannon": "label_alpha",
    "label.hellinger": "label_alpha",
    "label.total_variation": "label_alpha",
    "label.majority_share": "label_alpha",
    "label.classes_per_user": "label_alpha",
    "concept.within": "concept_within",
    "concept.between": "concept_between",
    "concept.disagreement": "concept_between",
    "concept.oracle_accuracy": "label_noise",
    "feature.between_share": "feature_shift",
}
"""Which parameter of `shifts` reaches which measure; with one cluster, concept_within reaches the disagreement."""

_TOLERANCE = 0.005
_RELATIVE = {"quantity.mean": 0.01, "label.classes_per_user": 0.01}
"""Tolerances: 0.005, but of what isn't a share, one percent."""

_TEXT = re.compile(r"(?P<measure>[^=]+)=(?P<level>.+?)(?:(?:\+-|±)(?P<tolerance>.+))?")


@dataclass(frozen=True)
class Target:
    """A level of a measure, and how near the data must come. Raises UsageError for what is no level."""

    measure: str
    level: float
    tolerance: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.level):
            raise UsageError(f"{self.measure} is to be {self.level}, expected a number such as 0.3")
        if not 0 < self.tolerance < math.inf:
            raise UsageError(f"{self.measure}'s tolerance is {self.tolerance:g}, expected more than 0, such as 0.005")


def make_target(measure: str, level: float, tolerance: float | None = None) -> Target:
    """Return a target with the usual tolerance unless another is given. Raises UsageError."""
    usual = _RELATIVE[measure] * abs(level) if measure in _RELATIVE else _TOLERANCE
    return Target(measure, float(level), (usual or _TOLERANCE) if tolerance is None else float(tolerance))


def parse_target(text: str) -> Target:
    """Return the target of MEASURE=LEVEL or MEASURE=LEVEL+-TOLERANCE. Raises UsageError for other text."""
    parts = _TEXT.fullmatch(text)
    try:
        if parts is None:
            raise ValueError
        tolerance = parts["tolerance"]
        return make_target(
            parts["measure"].strip(), float(parts["level"]), None if tolerance is None else float(tolerance)
        )
    except UsageError:
        raise
    except ValueError as error:
        expected = "MEASURE=LEVEL such as label.jensen_shannon=0.3, or MEASURE=LEVEL+-TOLERANCE"
        raise UsageError(f"the target is {text!r}, expected {expected}") from error


def make_targets(asked: Asked) -> list[Target]:
    """Return the targets of levels by measure. Raises UsageError."""
    return [make_target(key, *(level if isinstance(level, tuple) else (level,))) for key, level in asked.items()]


def choose_knobs(targets: Sequence[Target], model: str, *, clusters: int, given: Collection[str]) -> dict[str, Target]:
    """Return the targets by the parameter that reaches each. given: parameters that were set by hand.

    Raises UsageError for a model without such knobs, measures that no knob reaches, or two wishes for one knob.
    """
    if model != "shifts":
        reached = ", ".join(SHIFTS_KNOBS)
        raise UsageError(
            f"{targets[0].measure} can't be asked of {named('model')} {model}, which has no knob that reaches a level; "
            f"use {named('model')} shifts, which reaches {reached}"
        )
    chosen: dict[str, Target] = {}
    for target in targets:
        knob = _knob_of(target.measure, clusters)
        if knob in given:
            found = f"{named(knob)} is given, and {target.measure} would choose it"
            raise UsageError(f"{found}; leave one of the two out")
        if knob in chosen:
            other = chosen[knob].measure
            twice = f"{other} is" if other == target.measure else f"{other} and {target.measure} are"
            raise UsageError(
                f"{twice} asked for by two targets, but one knob, {named(knob)}, reaches both; ask for one"
            )
        chosen[knob] = target
    _check_order(chosen)
    return chosen


def _knob_of(measure: str, clusters: int) -> str:
    if measure not in SHIFTS_KNOBS:
        near = difflib.get_close_matches(measure, SHIFTS_KNOBS, n=1)
        hint = f", did you mean {near[0]}?" if near else ";"
        raise UsageError(f"no knob reaches {measure!r}{hint} levels can be asked of {', '.join(SHIFTS_KNOBS)}")
    if measure == "concept.between" and clusters == 1:
        raise UsageError(
            f"concept.between takes two clusters or more, but {named('prob_clusters')} has one; "
            f"use {named('prob_clusters')} such as 0.5,0.5, or ask for concept.within"
        )
    if measure == "concept.disagreement" and clusters == 1:
        return "concept_within"
    return SHIFTS_KNOBS[measure]


def _check_order(chosen: Mapping[str, Target]) -> None:
    within, between = chosen.get("concept_within"), chosen.get("concept_between")
    if within and between and between.level < within.level:
        raise UsageError(
            f"{between.measure} is to be {between.level:g}, less than {within.measure}, {within.level:g}: "
            "users of two clusters don't agree more than users of one; ask for more, or less within"
        )
