"""`export`: LEAF's files written for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedsynth.cli.console import progress_bar, warn
from fedsynth.cli.output import say
from fedsynth.cli.parsing import LeafCommand, data_dir, option, overwrite, scheduler, workers
from fedsynth.engine import open_engine
from fedsynth.words import counted

if TYPE_CHECKING:
    from fedsynth.pipeline.export import Exported


@click.command(cls=LeafCommand)
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.argument("out", type=click.Path(path_type=Path))
@option(
    "-to",
    "--to",
    default="huggingface",
    metavar="[huggingface|parquet|arrow|pfllib]",
    help="The format (huggingface: Parquet with a dataset card).",
)
@option("--dtype", default="float64", metavar="[float32|float64]", help="What fractions in x become (float64).")
@option("--no-features", is_flag=True, help="Skip the card's measures that need x, which take most of the time.")
@overwrite
@workers
@scheduler
@data_dir
def export(
    data_dir: Path,
    folders: tuple[str, ...],
    out: Path,
    to: str,
    dtype: str,
    no_features: bool,
    overwrite: bool,
    workers: int,
    scheduler: str | None,
) -> None:
    """Write folders (train, val, test, as far as they are there) into OUT, for Hugging Face, Flower, SQL, PFLlib."""
    from fedsynth.cli.history import command_lines  # NumPy
    from fedsynth.pipeline.export import ExportWish, export_folders

    wish = ExportWish(to=to, folders=folders or None, dtype=dtype, features=not no_features)
    with open_engine(workers, scheduler) as engine:
        exported = export_folders(
            data_dir if engine.local else data_dir.absolute(),
            out if engine.local else out.absolute(),
            wish,
            overwrite=overwrite,
            engine=engine,
            bar=progress_bar,
            commands=command_lines,
        )
    _show(exported)


def _show(exported: Exported) -> None:
    for folder in exported.folders:
        say(f"export: {folder.split}: {counted(folder.users, 'user')}, {counted(folder.samples, 'sample')}")
    files = counted(len(exported.files), "file")
    say(f"export: {exported.path}: {exported.to}, {files}, {exported.size / 1e6:,.1f} MB: done")
    for note in exported.notes:
        warn(note)
