"""`compare` and `fit`: folders side by side, and a synthetic twin beside the folder that it is fitted to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from fedsynth.cli.console import progress_bar, warn
from fedsynth.cli.output import say
from fedsynth.cli.parsing import LeafCommand, data_dir, option, scheduler, workers
from fedsynth.engine import open_engine
from fedsynth.errors import UsageError
from fedsynth.system import write_text

_LISTED = 20
"""Sizes that a command lists; more are in a file."""


@click.command(cls=LeafCommand)
@click.argument("folders", nargs=-1, required=True)
@option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@option("--no-features", is_flag=True, help="Skip the measures that need x, which take most of the time.")
@workers
@scheduler
@data_dir
def compare(
    data_dir: Path,
    folders: tuple[str, ...],
    as_json: bool,
    no_features: bool,
    workers: int,
    scheduler: str | None,
) -> None:
    """Print the measures of folders side by side."""
    from fedsynth.pipeline.compare import compare as compare_folders  # NumPy
    from fedsynth.pipeline.stats import find_folder

    paths = [find_folder(data_dir, folder) for folder in folders]
    with open_engine(workers, scheduler) as engine:
        shared = [path if engine.local else path.absolute() for path in paths]
        compared = compare_folders(shared, features=not no_features, engine=engine, bar=progress_bar)
    for note in compared.notes:
        warn(note)
    _show(compared.as_json() if as_json else compared.lines())


@click.command(cls=LeafCommand)
@click.argument("folder", default="all_data")
@option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@option("--seeds", type=int, default=1, help="Twins to measure, 1 to 3, each with a seed of its own (1).")
@option("-seed", "--seed", type=int, default=931231, help="The first twin's seed (931231).")
@option("--exact-sizes", is_flag=True, help="Take the exact sizes of the users, which may identify them.")
@option(
    "--sizes-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("twin_sizes.txt"),
    help="With --exact-sizes of more than 20 users: the file that is written for the command (twin_sizes.txt).",
)
@workers
@scheduler
@data_dir
def fit(
    data_dir: Path,
    folder: str,
    as_json: bool,
    seeds: int,
    seed: int,
    exact_sizes: bool,
    sizes_file: Path,
    workers: int,
    scheduler: str | None,
) -> None:
    """Print the command that makes a size-and-label twin of a folder (all_data), and how alike they are."""
    from fedsynth.cli.command_line import shortest_command
    from fedsynth.pipeline.fit import fit as fit_folder  # NumPy
    from fedsynth.pipeline.stats import find_folder
    from fedsynth.processes.dataset import Dataset

    path = find_folder(data_dir, folder)
    with open_engine(workers, scheduler) as engine:
        shared = path if engine.local else path.absolute()
        fitted = fit_folder(shared, seed=seed, seeds=seeds, exact_sizes=exact_sizes, engine=engine, bar=progress_bar)
    if fitted.origin:
        warn(fitted.origin)
    sizes = _keep_sizes(fitted.parameters.sizes, sizes_file)
    command = shortest_command(Dataset(fitted.parameters), Path("data"), sizes)
    _show({"command": command, **fitted.as_json()} if as_json else [command, "", *fitted.lines()])


def _keep_sizes(sizes: Sequence[int], file: Path) -> str | None:
    """Write sizes into a file if there are many, and return its name. Raises UsageError if something else is there."""
    if len(sizes) <= _LISTED:
        return None
    text = "".join(f"{size}\n" for size in sizes)
    if file.exists() and file.read_bytes() != text.encode():
        raise UsageError(f"{file}: is there, and holds something else; name another file with --sizes-file")
    write_text(file, text)
    return str(file)


def _show(result: object) -> None:
    say("\n".join(result) if isinstance(result, list) else json.dumps(result, indent=1, allow_nan=False))
