"""Turn the knobs of `shifts` until the data has the levels asked for, before any of it is written.

In the order sizes, label noise, labels, concepts, features none depends on a later one, so each is solved once; only
the two knobs of the sizes, and the two of the concepts, are gone through again where one moved the other's level.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from fedsynth.errors import UsageError, named
from fedsynth.pipeline.levels import (
    ConceptLevels,
    FeatureLevels,
    Ints,
    Levels,
    accuracy,
    count_labels,
    label_chances,
    label_levels,
    quantity_levels,
)
from fedsynth.pipeline.search import Search, concentration
from fedsynth.pipeline.target import Target, choose_knobs
from fedsynth.processes.registry import AnyParameters
from fedsynth.processes.shifts.ingredients import Ingredients
from fedsynth.processes.shifts.parameters import MOST_SIGMA, ShiftsParameters
from fedsynth.processes.shifts.sizes import SizeLaw
from fedsynth.targets import Found

Tell = Callable[[str], None]
"""Called with a description of what is being tried."""
Measure = Callable[[ShiftsParameters], Levels]
Searches = Mapping[str, Search]
"""By knob."""

_ROUNDS = 4
_MOST_SHIFT = 1 - 1e-6
_LEAST_BETWEEN = 1e-6
"""Not 0, which says that clusters make no difference."""


@dataclass(frozen=True)
class Level:
    """What became of a target. chance: the level of users who are alike in this, None where that says nothing."""

    target: Target
    reached: float
    chance: float | None

    def as_json(self) -> dict[str, float | None]:
        """Return it as JSON values."""
        return {
            "asked": self.target.level,
            "tolerance": self.target.tolerance,
            "reached": self.reached,
            "chance": self.chance,
        }


@dataclass(frozen=True)
class Solution:
    """Parameters that give the levels asked for, and those levels in the order asked."""

    parameters: ShiftsParameters
    levels: Sequence[Level]


def solve(
    parameters: AnyParameters, targets: Sequence[Target], *, given: Collection[str] = (), tell: Tell = lambda text: None
) -> Solution:
    """Return the parameters that give all levels. given: names of parameters that were set by hand and stay.

    targets: at least one; make them with `make_targets` or `parse_target`. tell: called with what is being tried.

    Holds sizes and counts of labels, what `stats` holds of models, and one user's samples. Raises UsageError for
    targets that contradict each other or what is given, and for levels that can't be reached, with those that can.
    """
    clusters = len(getattr(parameters, "prob_clusters", ()))
    chosen = choose_knobs(targets, parameters.model, clusters=clusters, given=given)
    assert isinstance(parameters, ShiftsParameters)  # choose_knobs has looked
    for target in targets:
        if parameters.sizes and target.measure.startswith("quantity."):
            found = f"{named('sizes')} is given, and {target.measure} would choose others"
            raise UsageError(f"{found}; leave one of the two out")
    solver = _Solver(parameters, chosen, tell)
    solver.solve_sizes()
    solver.solve_noise()
    solver.solve_labels()
    solver.solve_concepts()
    solver.solve_features()
    return Solution(solver.parameters, [solver.levels[target.measure] for target in targets])


class _Solver:
    """The parameters as far as they are solved. levels: by measure."""

    def __init__(self, parameters: ShiftsParameters, chosen: Mapping[str, Target], tell: Tell) -> None:
        self.parameters = parameters
        self.levels: dict[str, Level] = {}
        self._chosen, self._tell = chosen, tell
        self._concepts: dict[tuple[float, float], Levels] = {}
        self._concept_levels: ConceptLevels | None = None
        self._normals = Ingredients(parameters).size_normals(range(parameters.num_tasks))

    def solve_sizes(self) -> None:
        """Turn mean_size and sigma_samples; while sigma is turned the mean is kept where it is asked for."""
        spread = Search(0, MOST_SIGMA, start=1.0, width=0.5)
        self._solve_together({"sigma_samples": spread}, lambda changed: self._measure_sizes(self._with_mean(changed)))
        turned = "sigma_samples" in self._chosen
        if turned:
            self.parameters = self._with_mean(self.parameters)
        self._solve_together({"mean_size": self._mean_search}, self._measure_sizes, turned=turned)

    def solve_noise(self) -> None:
        """Turn label_noise."""
        search = Search(0, 0 if self.parameters.num_classes == 1 else 1, rising=False)
        sizes = self._sizes
        self._solve_together(
            {"label_noise": search}, lambda changed: {"concept.oracle_accuracy": accuracy(changed, sizes)}
        )

    def solve_labels(self) -> None:
        """Turn label_alpha."""
        target = self._chosen.get("label_alpha")
        if target is None:
            return
        rising = target.measure != "label.classes_per_user"
        search = Search(0, 1, rising=rising, start=0.5, turn=concentration)
        sizes = self._sizes
        self._solve_together({"label_alpha": search}, lambda changed: label_levels(count_labels(changed, sizes)))
        chances = label_chances(count_labels(self.parameters, sizes))
        self._note_chance(target.measure, chances.get(target.measure))

    def solve_concepts(self) -> None:
        """Turn concept_within and concept_between."""
        asked = {knob: self._chosen[knob] for knob in ("concept_within", "concept_between") if knob in self._chosen}
        most = self.parameters.most_disagreement
        if "concept_between" in asked:  # a first guess, with room for concept_within below
            guess = min(asked["concept_between"].level + 0.05, most)
            self.parameters = replace(self.parameters, concept_between=max(guess, self.parameters.concept_within))
        searches = {}
        for knob, target in asked.items():
            near = min(max(target.level, 0.0), most)
            searches[knob] = Search(0, most, start=near, width=0.02 + near / 20, close=0.2)
        self._solve_together(searches, self._measure_concepts)

    def solve_features(self) -> None:
        """Turn feature_shift."""
        target = self._chosen.get("feature_shift")
        if target is None:
            return
        self._tell(f"{target.measure}: going through all users")
        features = FeatureLevels(self.parameters, self._sizes)
        most = 0 if self.parameters.deciding == self.parameters.num_dim else _MOST_SHIFT
        measure = target.measure
        self._solve_together(
            {"feature_shift": Search(0, most)}, lambda changed: {measure: features.level(changed.feature_shift)}
        )
        self._note_chance(measure, features.level(0.0))

    @property
    def _sizes(self) -> Ints:
        if self.parameters.sizes:
            return np.array(self.parameters.sizes)
        return SizeLaw(self.parameters).sizes(self._normals)

    @property
    def _mean_search(self) -> Search:
        return Search(self.parameters.min_samples, self.parameters.max_samples, start=self.parameters.expected_size)

    def _measure_sizes(self, changed: ShiftsParameters) -> Levels:
        return quantity_levels(SizeLaw(changed).sizes(self._normals))

    def _with_mean(self, changed: ShiftsParameters) -> ShiftsParameters:
        """Return parameters with the mean that is asked for, or the nearest; as they are if none is."""
        target, search = self._chosen.get("mean_size"), self._mean_search
        if target is None:
            return changed

        def with_size(point: float) -> ShiftsParameters:
            return replace(changed, mean_size=search.value(point))

        def mean(point: float) -> float:
            return float(SizeLaw(with_size(point)).sizes(self._normals).mean())

        return with_size(search.find(mean, target.level, target.tolerance / 10).knob)

    def _measure_concepts(self, changed: ShiftsParameters) -> Levels:
        knobs = changed.concept_within, changed.concept_between
        if self._concept_levels is None:
            self._concept_levels = ConceptLevels(changed, self._sizes)
        if knobs not in self._concepts:
            self._concepts[knobs] = self._concept_levels.levels(changed)
        return self._concepts[knobs]

    def _solve_together(self, searches: Searches, measure: Measure, *, turned: bool = False) -> None:
        """Turn knobs in turn, until all their levels hold at once. turned: they may hold already."""
        asked = {knob: self._chosen[knob] for knob in searches if knob in self._chosen}
        for number in range(_ROUNDS):
            if number or not turned:
                self._turn_each(asked, searches, measure, last=len(asked) == 1)  # else another may still give room
            if number == _ROUNDS - 1 and len(asked) > 1:
                self._turn_nested(searches, measure)
            reached = {knob: self._level(target, measure, self.parameters) for knob, target in asked.items()}
            if all(abs(reached[knob] - target.level) <= target.tolerance for knob, target in asked.items()):
                break
        else:
            self._turn_each(asked, searches, measure, last=True)
            self._fail_together(asked, reached)
        self.levels.update({target.measure: Level(target, reached[knob], None) for knob, target in asked.items()})

    def _turn_each(self, asked: Mapping[str, Target], searches: Searches, measure: Measure, *, last: bool) -> None:
        for knob, target in asked.items():
            level = partial(self._level, target, measure)
            self._turn(knob, target, self._bounded(knob, searches[knob]), level, last=last)

    def _turn_nested(self, searches: Searches, measure: Measure) -> None:
        """Turn concept_between, and concept_within again for each value of it: few users' levels move each other."""
        inner, outer = "concept_within", "concept_between"
        second = self._chosen[outer]

        def at(point: float) -> float:
            self.parameters = self._with(inner, searches[inner], searches[inner].low)
            self.parameters = self._with(outer, searches[outer], point)
            self._turn_each({inner: self._chosen[inner]}, searches, measure, last=False)
            return self._level(second, measure, self.parameters)

        search = replace(searches[outer], low=_LEAST_BETWEEN)
        at(search.find(at, second.level, second.tolerance * search.close).knob)

    def _level(self, target: Target, measure: Measure, changed: ShiftsParameters) -> float:
        levels = measure(changed)
        if target.measure not in levels:
            raise UsageError(f"{target.measure} can't be reached with {self._described()}: it does not apply to them")
        level = levels[target.measure]
        self._tell(f"{target.measure}: {level:.4g}, asked {target.level:g}")
        return level

    def _turn(
        self, knob: str, target: Target, search: Search, level: Callable[[ShiftsParameters], float], *, last: bool
    ) -> None:
        """Turn one knob to where its level is nearest. Raises UsageError if that is too far off, the last time."""
        sign = 1 if search.rising else -1

        def at(point: float) -> float:
            return sign * level(self._with(knob, search, point))

        close = target.tolerance * search.close
        found = search.find(at, sign * target.level, close)
        if abs(found.level - sign * target.level) > target.tolerance and search.start is not None:
            found = search.from_the_low_end.find(at, sign * target.level, close)
        if abs(found.level - sign * target.level) > target.tolerance and last:
            raise self._unreachable(target, search, found, at)
        self.parameters = self._with(knob, search, found.knob)

    def _with(self, knob: str, search: Search, point: float) -> ShiftsParameters:
        return replace(self.parameters, **{knob: search.value(point)})  # type: ignore[arg-type]

    def _bounded(self, knob: str, search: Search) -> Search:
        """Return a search that keeps users of two clusters at least as far apart as those of one."""
        if knob == "concept_between":
            return replace(search, low=self.parameters.concept_within)
        if knob == "concept_within" and self.parameters.concept_between:
            return replace(search, high=self.parameters.concept_between)
        return search

    def _note_chance(self, measure: str, chance: float | None) -> None:
        self.levels[measure] = replace(self.levels[measure], chance=chance)

    def _described(self) -> str:
        sizes = self._sizes
        users = "1 user" if len(sizes) == 1 else f"{len(sizes):,} users"
        classes = self.parameters.num_classes
        samples = " to ".join(dict.fromkeys((f"{sizes.min():,}", f"{sizes.max():,}")))
        one = sizes.max() == 1
        return f"{users} of {samples} sample{'s' * (not one)} and {classes} class{'es' * (classes > 1)}"

    def _unreachable(self, target: Target, search: Search, found: Found, at: Callable[[float], float]) -> UsageError:
        ends = [abs(at(search.low)), abs(at(search.high))]
        chance = " (chance)" if target.measure.startswith(("label.", "feature.")) else ""
        texts = [f"{ends[0]:.3f}{chance}", f"{ends[1]:.3f}"]
        between = " to ".join(texts if search.rising else reversed(texts))
        outside = not min(ends) <= target.level <= max(ends)
        nearest = "" if outside else f", nearest {abs(found.level):.4f}"
        text = f"{target.measure} {target.level:g} can't be reached with {self._described()}: {between}{nearest}"
        return UsageError(text)

    def _fail_together(self, asked: Mapping[str, Target], reached: Levels) -> None:
        wanted = " and ".join(f"{target.measure} {target.level:g}" for target in asked.values())
        found = " and ".join(f"{value:.3f}" for value in reached.values())
        raise UsageError(f"{wanted} can't be reached together with {self._described()}: nearest {found}")
