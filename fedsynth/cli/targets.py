"""`-target`: solve before generating, and say what was reached and how to have the same without solving."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from fedsynth.pipeline.generate import check_not_in_the_way
from fedsynth.pipeline.solve import Level, solve
from fedsynth.pipeline.target import choose_knobs, parse_target
from fedsynth.processes.dataset import Dataset

_DERIVED = ("mean_size", "concept_dims")
"""Parameters whose defaults hang on others: said in any case."""


class Solved(NamedTuple):
    """A dataset whose levels are solved. found: for the manifest; lines: for people."""

    dataset: Dataset
    found: Mapping[str, Any]
    lines: Sequence[str]


def solve_targets(
    dataset: Dataset, texts: Sequence[str], given: Mapping[str, Any], data_dir: Path, *, overwrite: bool
) -> Solved:
    """Solve the targets of the command line. given: the options on it. Raises UsageError, and StageError for data that
    is in the way, before all else that takes time."""
    targets = [parse_target(text) for text in texts]
    if not overwrite:
        clusters = len(getattr(dataset.parameters, "prob_clusters", ()))
        unsolved = choose_knobs(targets, dataset.parameters.model, clusters=clusters, given=given)
        check_not_in_the_way(data_dir, dataset, unsolved=unsolved)
    with _progress_line() as tell:
        solution = solve(dataset.parameters, targets, given=given, tell=tell)
    solved = replace(dataset, parameters=solution.parameters)
    command = command_line(solved, data_dir, sizes=given.get("sizes"))
    levels = {level.target.measure: level.as_json() for level in solution.levels}
    lines = [*_table(solution.levels), f"the same without solving: {command}"]
    return Solved(solved, {"targets": levels, "command": command}, lines)


def command_line(dataset: Dataset, data_dir: Path, sizes: str | None = None) -> str:
    """Return the shortest command that makes a dataset; numbers as `repr` has them, which give the same bits.

    sizes: how to say sizes that are given, absent: as a list.
    """
    parameters = dataset.parameters
    plain = type(parameters)(parameters.num_tasks)
    words = ["fedsynth", "generate", "-num-tasks", str(parameters.num_tasks), "-model", parameters.model]
    for name in (entry.name for entry in fields(parameters)):
        value = getattr(parameters, name)
        if name == "mean_size" and getattr(parameters, "sizes", None):
            continue
        if name == "sizes" and value and sizes is not None:
            value = sizes
        if name in _DERIVED or value != getattr(plain, name):
            words += [f"-{name.replace('_', '-')}", _text(value)]
    if dataset.num_shards > 1:
        words += ["-num-shards", str(dataset.num_shards)]
    if data_dir != Path("data"):
        words += ["-data-dir", str(data_dir)]
    return shlex.join(words)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return ",".join(map(repr, value)) if isinstance(value, tuple) else repr(value)


def _table(levels: Sequence[Level]) -> Iterator[str]:
    yield f"{'target':<25} {'asked':>9} {'reached':>9} {'chance':>9}"
    for level in levels:
        numbers = (level.target.level, level.reached, level.chance)
        yield f"{level.target.measure:<25} " + " ".join(f"{_number(number):>9}" for number in numbers)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if value >= 100 else f"{value:.3f}"


@contextlib.contextmanager
def _progress_line() -> Iterator[Callable[[str], None]]:
    """Show on one line of standard error what is being tried, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return

    def tell(text: str) -> None:
        click.echo(f"\r\033[Ksolving {text}", nl=False, err=True)

    try:
        yield tell
    finally:
        click.echo("\r\033[K", nl=False, err=True)
