"""`partition`: somebody's own data, redistributed to users."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedsynth.cli.console import progress_bar, show_result
from fedsynth.cli.output import say
from fedsynth.cli.parsing import LeafCommand, data_dir, option, option_name, overwrite, scheduler, workers
from fedsynth.engine import Progress, open_engine
from fedsynth.errors import UsageError
from fedsynth.words import counted

if TYPE_CHECKING:
    from fedsynth.pipeline.partition import PartitionResult
    from fedsynth.pipeline.partition_levels import Reached

_REQUEST = ("users", "alpha", "sigma", "sizes", "classes", "shards", "min_samples", "clusters", "swap_labels", "seed")


def _parse_sizes(ctx: click.Context, param: click.Parameter, value: str | None) -> list[int] | None:
    try:
        return None if value is None else [int(part) for part in value.split(",")]
    except ValueError as error:
        raise UsageError(f"{option_name(param, ctx)} is {value!r}, expected whole numbers such as 10,20,30") from error


def _parse_columns(ctx: click.Context, param: click.Parameter, value: str | None) -> list[str] | None:
    return None if value is None else value.split(",")


@click.command(cls=LeafCommand)
@click.argument("source", type=click.Path(path_type=Path))
@option(
    "--scheme",
    default="dirichlet",
    metavar="[iid|quantity|dirichlet|inner-dirichlet|classes|shards|natural]",
    help="How users differ (dirichlet).",
)
@option("--users", type=int, help="Number of users.")
@option("--by", metavar="COLUMN", help="Assign samples by this column (the label's).")
@option("--bins", type=int, help="How many classes of nearly equal counts to cut the numbers of --by into.")
@option("--label", metavar="COLUMN", help="What becomes y (one called label or y, or the column of --by).")
@option(
    "--x",
    metavar="COLUMN,...",
    callback=_parse_columns,
    help="What becomes x (one called x of lists or texts, or all others).",
)
@option("--user", metavar="COLUMN", help="With natural: the column that names users.")
@option("--alpha", type=float, help="With dirichlet and inner-dirichlet: small for users who are far apart.")
@option("--sigma", type=float, help="With quantity and inner-dirichlet: standard deviation of the sizes' logarithm.")
@option("--sizes", metavar="N,N,...", callback=_parse_sizes, help="The users' sizes, instead of --sigma.")
@option("--classes", type=int, help="With classes: number of classes of each user.")
@option("--shards", type=int, help="With shards: number of shards of each user.")
@option("--min-samples", type=int, default=1, help="Samples of the smallest user, at least (1).")
@option("--clusters", type=int, default=1, help="Clusters of users, which exchange labels (1).")
@option(
    "--swap-labels",
    type=int,
    default=0,
    help="Classes that exchange labels in each cluster but the first (0).",
)
@option(
    "-target",
    "--target",
    "targets",
    multiple=True,
    metavar="MEASURE=LEVEL",
    help="Choose alpha, sigma, classes or shards so that a measure is as asked, such as label.hellinger=0.5.",
)
@option("-seed", "--seed", type=int, default=931231, help="0 to 2**64 - 1 (931231).")
@option("-num-shards", "--num-shards", type=int, default=1, help="Number of files (1).")
@option("--assignment-only", is_flag=True, help="Write meta/assignment.npz, which row is whose, and no data.")
@overwrite
@workers
@scheduler
@data_dir
def partition(
    source: Path,
    data_dir: Path,
    overwrite: bool,
    workers: int,
    scheduler: str | None,
    scheme: str,
    targets: Sequence[str],
    **options: Any,
) -> None:
    """Redistribute the samples of SOURCE (Parquet, Arrow, CSV, npz, LEAF's or Hugging Face's folders) to users."""
    from fedsynth.partitioners.request import Request
    from fedsynth.pipeline.partition import partition_source  # NumPy, which only this command pays
    from fedsynth.pipeline.partition_levels import with_knobs
    from fedsynth.pipeline.target import parse_target
    from fedsynth.pipeline.wish import Wish

    levels = [parse_target(text) for text in targets]
    given = {name: options.pop(name) for name in _REQUEST}
    request = Request(scheme=scheme, **with_knobs(scheme, levels, given))
    wish = Wish(source=source, request=request, targets=levels, **options)
    with open_engine(workers, scheduler) as engine:
        folder = data_dir if engine.local else data_dir.absolute()
        result = partition_source(folder, wish, overwrite=overwrite, engine=engine, bar=_bar, tell=_show_step)
    _show(result)


def _bar(what: str, number: int) -> AbstractContextManager[Progress]:
    return progress_bar(what, number, unit="sample" if what.startswith("read") else "user")


def _show_step(text: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{text}\r", nl=False, err=True)


def _show(result: PartitionResult) -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", nl=False, err=True)
    if result.reached:
        for line in _table(result.reached):
            say(line)
    if result.stage is not None:
        show_result(result.stage)
    else:
        say(f"partition: {result.path}: {counted(result.users, 'user')}, {counted(result.samples, 'sample')}: done")


def _table(reached: Sequence[Reached]) -> list[str]:
    lines = [f"{'target':<25} {'asked':>9} {'reached':>9} {'chance':>9}  by"]
    for level in reached:
        chance = "" if level.chance is None else f"{level.chance:.3f}"
        knob = f"--{level.knob} {level.value!r}"
        lines.append(f"{level.target.measure:<25} {level.target.level:>9.3f} {level.level:>9.3f} {chance:>9}  {knob}")
    return lines
