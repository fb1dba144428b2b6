"""What is asked of the generator by names and levels: its parameters, the knobs that reach these, then all_data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import UsageError, named
from fedsynth.pipeline.generate import check_not_in_the_way, generate
from fedsynth.pipeline.run import Bar, StageResult, no_bar
from fedsynth.pipeline.target import Target, choose_knobs
from fedsynth.processes.dataset import Dataset
from fedsynth.processes.registry import PROCESSES, AnyParameters, choose_process

if TYPE_CHECKING:
    from fedsynth.pipeline.solve import Level, Tell

NO_EFFECT = (
    "has no effect on the data: it adds the same to the logits of all classes, so that the largest stays the largest; "
    "as in the published program"
)
"""Of fedprox's alpha."""
_CHOOSE_SIZES = ("mean_size", "sigma_samples", "min_samples", "max_samples")


@dataclass(frozen=True)
class GeneratorResult:
    """What became of it. dataset: with the knobs that were found; levels: those asked for, in that order."""

    stage: StageResult
    dataset: Dataset
    levels: Sequence[Level] = ()


def choose_parameters(model: str, given: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> AnyParameters:
    """Return a process's parameters. given: set by hand; defaults: other than the process's own, where it has them.

    Raises UsageError for a process that is not there, values out of bounds, and what is given of another process.
    """
    process = choose_process(model)
    for name in given:
        if name not in process.options:
            allowed = ", ".join(map(named, process.options))
            found = f"{named(name)} makes no sense with {named('model')} {model}"
            takers = (f"{named('model')} {other}" for other, process in PROCESSES.items() if name in process.options)
            raise UsageError(f"{found}, which takes {allowed}; leave it out, or use {' or '.join(takers)}")
    if given.get("sizes") is not None:
        for name in _CHOOSE_SIZES:
            if name in given:
                found = f"{named('sizes')} is given, and {named(name)}, which would choose others"
                raise UsageError(f"{found}; leave one of the two out")
    known = {**(defaults or {}), **given}
    return process.parameters(**{name: known[name] for name in process.options if name in known})


def _silently() -> AbstractContextManager[Tell]:
    return nullcontext(lambda text: None)


def generate_levels(
    data_dir: Path,
    dataset: Dataset,
    targets: Sequence[Target] = (),
    *,
    given: Mapping[str, Any],
    command: Callable[[Dataset], str],
    overwrite: bool = False,
    engine: Engine = INLINE,
    bar: Bar = no_bar,
    solving: Callable[[], AbstractContextManager[Tell]] = _silently,
) -> GeneratorResult:
    """Turn the knobs until all levels are as asked, then generate; without targets just generate, see there.

    given: parameters set by hand, which stay; command: what makes the same without solving, for the manifest; solving:
    opened meanwhile, gives what to call with its progress. Raises UsageError for levels that can't be reached, and
    StageError for data in the way, before all else that takes time.
    """
    if not targets:
        stage = generate(data_dir, dataset, overwrite=overwrite, engine=engine, bar=bar)
        return GeneratorResult(stage, dataset)
    from fedsynth.pipeline.solve import solve  # and with it all that measures, which only levels need

    if not overwrite:
        clusters = len(getattr(dataset.parameters, "prob_clusters", ()))
        unsolved = choose_knobs(targets, dataset.parameters.model, clusters=clusters, given=given)
        check_not_in_the_way(data_dir, dataset, unsolved=unsolved)
    with solving() as tell:
        solution = solve(dataset.parameters, targets, given=given, tell=tell)
    solved = replace(dataset, parameters=solution.parameters)
    levels = {level.target.measure: level.as_json() for level in solution.levels}
    found = {"targets": levels, "command": command(solved)}
    stage = generate(data_dir, solved, overwrite=overwrite, engine=engine, bar=bar, found=found)
    return GeneratorResult(stage, solved, solution.levels)
