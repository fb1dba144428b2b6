"""`generate`: LEAF's `main.py`, with the knobs of its generative process as options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from fedsynth.cli.console import progress_bar, show_result, warn
from fedsynth.cli.parsing import (
    LeafCommand,
    as_typed,
    data_dir,
    option,
    overwrite,
    parse_probabilities,
    parse_sizes,
    scheduler,
    workers,
)
from fedsynth.engine import open_engine


def _knob(name: str, kind: type, meaning: str) -> Callable[[Any], Any]:
    """An option with LEAF's single dash, or two; without it the parameter keeps its default."""
    return option(f"-{name}", f"--{name}", type=kind, help=meaning)


@click.command(cls=LeafCommand)
@option("-model", "--model", default="leaf", metavar="[leaf|fedprox|shifts]", help="The generative process (leaf).")
@option("-num-tasks", "--num-tasks", type=int, required=True, help="Number of tasks; each becomes a user.")
@_knob("num-classes", int, "Number of classes (5; fedprox 10).")
@_knob("num-dim", int, "Dimensions of x (60).")
@_knob("seed", int, "0 to 2**32 - 1 (931231).")
@option(
    "-prob-clusters",
    "--prob-clusters",
    type=click.UNPROCESSED,
    callback=parse_probabilities,
    metavar="P,P,...",
    help="Probability of each cluster of models, such as 0.5,0.5 (1.0).",
)
@_knob("cluster-spread", float, "Standard deviation of the clusters' centres around their location (1.0).")
@_knob("model-spread", float, "Standard deviation of the users' models around their cluster's centre (0.1).")
@_knob("noise", float, "Standard deviation of the noise on the logits (0.1).")
@_knob("mean-samples", float, "Mean of the logarithm of the number of samples (3).")
@_knob("sigma-samples", float, "Standard deviation of that logarithm (2).")
@_knob("min-samples", int, "Added to every user's number of samples (5).")
@_knob("max-samples", int, "The most samples a user gets (1000).")
@_knob("alpha", float, "With fedprox: standard deviation of the users' models (1.0); has no effect on the data.")
@_knob("beta", float, "With fedprox: standard deviation of the means of the users' samples (1.0).")
@option("-iid", "--iid", is_flag=True, default=None, help="With fedprox: one model and one mean for all users.")
@_knob("mean-size", float, "With shifts: expected number of samples (101.7); stays while -sigma-samples moves.")
@option(
    "-sizes",
    "--sizes",
    metavar="FILE|N,N,...",
    help="With shifts: the exact numbers of samples, one a task, instead of drawn ones; a file of them, or a list.",
)
@_knob("label-alpha", float, "With shifts: concentration of users' class shares, inf: all users alike (inf).")
@_knob("imbalance", float, "With shifts: how many times more frequent the first class is than the last (1).")
@_knob("concept-dims", int, "With shifts: dimensions that decide the class (a third of -num-dim, at least 2).")
@_knob("concept-within", float, "With shifts: expected disagreement of two users of one cluster (0).")
@_knob("concept-between", float, "With shifts: of two users of two clusters (0: as in one).")
@_knob("label-noise", float, "With shifts: probability that a label is another one (0).")
@_knob("feature-shift", float, "With shifts: share of variance between users in the other dimensions (0).")
@option(
    "-target",
    "--target",
    "targets",
    multiple=True,
    metavar="MEASURE=LEVEL[+-TOLERANCE]",
    help="With shifts, any number of times: turn the measure's knob until `stats` says this level.",
)
@option(
    "-stream",
    "--stream",
    default="",
    metavar="[sequential|independent]",
    help="One sequence of draws (or leaf, its old name), or one for each task; shifts has independent ones.",
)
@option("-num-shards", "--num-shards", type=int, default=1, help="Number of files (1).")
@overwrite
@workers
@scheduler
@data_dir
@click.pass_context
def generate(
    context: click.Context,
    /,
    data_dir: Path,
    overwrite: bool,
    model: str,
    stream: str,
    num_shards: int,
    targets: tuple[str, ...],
    workers: int,
    scheduler: str | None,
    **options: Any,
) -> None:
    """Generate all_data/all_data.json and the ground truth."""
    from fedsynth.cli.command_line import shortest_command
    from fedsynth.cli.targets import progress_line, target_lines
    from fedsynth.pipeline.generator import NO_EFFECT, choose_parameters, generate_levels
    from fedsynth.pipeline.target import parse_target
    from fedsynth.processes.dataset import Dataset  # NumPy: 100 ms that only this command pays

    said = {name: options[name] for name in _given(context, options)}
    sizes = options["sizes"]
    defaults = {name: value for name, value in options.items() if value is not None}
    given = dict(said) if sizes is None else {**said, "sizes": parse_sizes(sizes)}
    dataset = Dataset(choose_parameters(model, given, defaults), stream=stream, num_shards=num_shards)
    levels = [parse_target(text) for text in targets]
    if "alpha" in given:
        warn(f"{as_typed('alpha')} {NO_EFFECT}")
    with open_engine(workers, scheduler) as engine:
        made = generate_levels(
            data_dir if engine.local else data_dir.absolute(),
            dataset,
            levels,
            given=given,
            command=lambda solved: shortest_command(solved, data_dir, sizes),
            overwrite=overwrite,
            engine=engine,
            bar=progress_bar,
            solving=progress_line,
        )
    show_result(made.stage)
    if made.levels:
        for line in target_lines(made.levels):
            click.echo(line)
        click.echo(f"the same without solving: {shortest_command(made.dataset, data_dir, sizes)}")


def _given(context: click.Context, options: dict[str, Any]) -> list[str]:
    """Return the options that were typed; main.py's constant of clusters is only for processes that have clusters."""
    return [name for name in options if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
