"""`stats`: LEAF's lines, the measures of heterogeneity, and pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedsynth.cli.console import progress_bar, warn
from fedsynth.cli.output import say
from fedsynth.cli.parsing import DATASET_NAME, LeafCommand, data_dir, dataset_name, option, scheduler, workers
from fedsynth.engine import open_engine
from fedsynth.errors import UsageError

if TYPE_CHECKING:
    from fedsynth.pipeline.stats import Description


@click.command(cls=LeafCommand)
@click.argument("folder", default="all_data")
@option("--json", "as_json", is_flag=True, help="Print JSON and nothing else, and draw no pictures.")
@option("--pictures", is_flag=True, help="Draw pictures with --json too.")
@option("--no-features", is_flag=True, help="Skip the measures that need x, which take most of the time.")
@option("--no-measures", is_flag=True, help="LEAF's lines and histogram alone.")
@dataset_name
@workers
@scheduler
@data_dir
def stats(
    data_dir: Path,
    folder: str,
    name: str,
    as_json: bool,
    pictures: bool,
    no_features: bool,
    no_measures: bool,
    workers: int,
    scheduler: str | None,
) -> None:
    """Print LEAF's statistics of a folder (all_data), how heterogeneous its users are, and draw pictures."""
    from fedsynth.pipeline.stats import count, find_folder, keep, paint, summarize_folder  # NumPy, Pillow

    if no_features and no_measures:
        raise UsageError("--no-features makes no sense with --no-measures, which skips all measures; choose one")
    path = find_folder(data_dir, folder)
    wanted = pictures or not as_json
    if no_measures:
        described = summarize_folder(path)
        name = _called(name, described)
        painted = paint(path, name, described) if wanted else {}
    else:
        with open_engine(workers, scheduler) as engine:
            path = path if engine.local else path.absolute()
            counted = count(path, features=not no_features, engine=engine, bar=progress_bar)
            name = _called(name, counted.without_values())
            painted = paint(path, name, counted.without_values()) if wanted else {}
            described = counted.described()
    if described.note:
        warn(described.note)
    if as_json:
        say(json.dumps(described.as_json(), indent=1, allow_nan=False))
    else:
        say("\n".join(described.lines(name)))
    if wanted:
        drawn = keep(painted)
        if not as_json and described.measures is not None:
            say(f"pictures: {_together(drawn)}")


def _called(name: str, described: Description) -> str:
    """Return the name that was asked for, or the data's own."""
    return described.called if name == DATASET_NAME and described.called else name


def _together(pictures: Sequence[Path]) -> str:
    """Return paths that differ in the end of their names as one, in a shell's braces; the first is the histogram's."""
    here = Path.cwd()
    names = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in pictures]
    start = names[0].removesuffix("hist.png")
    return f"{start}{{{','.join(name.removeprefix(start).removesuffix('.png') for name in names)}}}.png"
