"""Each command: its options, the call that does the work, and what is printed of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from fedsynth.cli.compare import compare, fit
from fedsynth.cli.console import progress_bar, show_differences, show_result, warn
from fedsynth.cli.export import export
from fedsynth.cli.generate import generate
from fedsynth.cli.output import say
from fedsynth.cli.parsing import DATASET_NAME, LeafCommand, as_typed, bare, dataset_name, option
from fedsynth.cli.parsing import data_dir as data_dir_option
from fedsynth.cli.parsing import overwrite as overwrite_option
from fedsynth.cli.parsing import scheduler as scheduler_option
from fedsynth.cli.parsing import workers as workers_option
from fedsynth.cli.partition import partition
from fedsynth.cli.stats import stats
from fedsynth.engine import open_engine
from fedsynth.pipeline.checksums import verify as verify_folder
from fedsynth.pipeline.choose import (
    FRACTION,
    MIN_SAMPLES,
    NEW_USERS,
    TRAIN_FRACTION,
    USER_FRACTION,
    VAL_FRACTION,
    choose_sample,
    choose_split,
    choose_stages,
)
from fedsynth.pipeline.options import Stage, remove_stage
from fedsynth.pipeline.preprocess import clean as clean_folder
from fedsynth.pipeline.preprocess import preprocess as run_stages
from fedsynth.records.layout import STAGE_FOLDERS
from fedsynth.version import __version__

_method = bare(
    "-s", "sample", value="niid", metavar="[iid|niid]", help="Sample users, or pool all samples and redistribute them."
)
_fraction = bare("--sf", "fraction", value=str(FRACTION), type=float, help="Fraction of all samples to take (0.1).")
_user_fraction = bare(
    "--iu", "user_fraction", value=str(USER_FRACTION), type=float, help="With -s iid: new users per old user (0.01)."
)
_min_samples = bare(
    "-k", "min_samples", value=str(MIN_SAMPLES), type=int, help="Keep users with at least this many samples (10)."
)
_split = bare("-t", "split", value="sample", metavar="[user|sample]", help="Split the users, or each user's samples.")
_train_fraction = bare(
    "--tf", "train_fraction", value=str(TRAIN_FRACTION), type=float, help="Fraction for training (0.9)."
)
_val_fraction = bare(
    "--vf",
    "val_fraction",
    value=str(VAL_FRACTION),
    type=float,
    help="Fraction for validation, into val (absent: none; without a value: 0.1); less than 1 with --tf.",
)
_new_users = bare(
    "--new-users",
    "new_users",
    value=str(NEW_USERS),
    type=float,
    help="With -t sample: fraction of the users to keep whole, in new_users (absent: none; without a value: 0.1).",
)
_sample_seed = option(
    "--smplseed", "sample_seed", type=int, help="Seed of sampling; absent or negative: one is chosen."
)
_split_seed = option("--spltseed", "split_seed", type=int, help="Seed of the split; absent or negative: one is chosen.")
_no_checksum = option("--nochecksum", is_flag=True, help="Don't write meta/dir-checksum.md5.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def fedsynth() -> None:
    """Synthetic federated datasets: LEAF's generator, preprocessing and statistics."""


fedsynth.add_command(generate)
fedsynth.add_command(partition)
fedsynth.add_command(stats)
fedsynth.add_command(compare)
fedsynth.add_command(fit)
fedsynth.add_command(export)


@fedsynth.command(cls=LeafCommand)
@_method
@_user_fraction
@_fraction
@_min_samples
@_split
@_train_fraction
@_val_fraction
@_new_users
@_sample_seed
@_split_seed
@_no_checksum
@option("--verify", "checksums", type=click.Path(path_type=Path), help="Run nothing, compare the data with this file.")
@overwrite_option
@dataset_name
@workers_option
@scheduler_option
@data_dir_option
def preprocess(
    data_dir: Path,
    checksums: Path | None,
    overwrite: bool,
    nochecksum: bool,
    workers: int,
    scheduler: str | None,
    **options: Any,
) -> int:
    """Sample, remove users, split: the stages whose options are given."""
    if checksums is not None:
        return _verify(data_dir, checksums)
    stages = _stages(**options)
    _point_out_idle(options)
    replaced = STAGE_FOLDERS if overwrite else ()
    _run(data_dir, stages, workers=workers, scheduler=scheduler, overwrite=replaced, checksums=not nochecksum)
    if not stages:
        say("preprocess: no stage is asked for: name one or more with -s, -k, -t")
    return 0


@fedsynth.command(cls=LeafCommand)
@_method
@_user_fraction
@_fraction
@_sample_seed
@overwrite_option
@workers_option
@scheduler_option
@data_dir_option
def sample(
    sample: str | None,
    user_fraction: float | None,
    fraction: float | None,
    sample_seed: int | None,
    **options: Any,
) -> None:
    """Sample all_data into sampled_data."""
    _run_one(choose_sample(sample or "niid", fraction, user_fraction, sample_seed), **options)


@fedsynth.command(cls=LeafCommand, name="remove-users")
@_min_samples
@overwrite_option
@workers_option
@scheduler_option
@data_dir_option
def remove_users(min_samples: int | None, **options: Any) -> None:
    """Remove users with few samples into rem_user_data."""
    _run_one(remove_stage(MIN_SAMPLES if min_samples is None else min_samples), **options)


@fedsynth.command(cls=LeafCommand)
@_split
@_train_fraction
@_val_fraction
@_new_users
@_split_seed
@overwrite_option
@dataset_name
@workers_option
@scheduler_option
@data_dir_option
def split(
    split: str | None,
    train_fraction: float | None,
    val_fraction: float | None,
    new_users: float | None,
    name: str,
    **options: Any,
) -> None:
    """Split the latest data into train and test, and where asked for val and new_users."""
    seed = options.pop("split_seed")
    _run_one(choose_split(split or "sample", train_fraction, val_fraction, new_users, seed, name), **options)


@fedsynth.command(cls=LeafCommand)
@click.argument("checksums", type=click.Path(path_type=Path))
@data_dir_option
def verify(data_dir: Path, checksums: Path) -> int:
    """Compare all data files with a checksum file."""
    return _verify(data_dir, checksums)


@fedsynth.command(cls=LeafCommand)
@data_dir_option
def clean(data_dir: Path) -> None:
    """Remove the stages' folders; all_data stays."""
    cleaned = clean_folder(data_dir)
    say(f"removed {', '.join(cleaned.removed)}" if cleaned.removed else "nothing to remove")
    for note in cleaned.notes:
        warn(note)


def _stages(**options: Any) -> list[Stage]:
    """Return the stages that are asked for, in their order; warn of options whose stage is not asked for."""
    stages = choose_stages(**options)
    for flag, value, needed, stage in (
        ("--sf", options["fraction"], "-s", options["sample"]),
        ("--tf", options["train_fraction"], "-t", options["split"]),
        ("--vf", options["val_fraction"], "-t", options["split"]),
        ("--new-users", options["new_users"], "-t", options["split"]),
    ):
        if value is not None and stage is None:
            warn(f"{flag} {value:g} has no effect without {needed}")
    return stages


def _point_out_idle(options: Mapping[str, Any]) -> None:
    """Warn of seeds and names that no stage takes."""
    for flag, name, needed, stage in (
        ("--smplseed", "sample_seed", "-s", "sample"),
        ("--spltseed", "split_seed", "-t", "split"),
        ("--name", "name", "-t", "split"),
    ):
        value = options[name]
        if value not in (None, DATASET_NAME) and options[stage] is None:
            warn(f"{flag} {value} has no effect without {needed}")


def _run(
    data_dir: Path,
    stages: Sequence[Stage],
    *,
    workers: int,
    scheduler: str | None,
    overwrite: Sequence[str],
    checksums: bool = False,
) -> None:
    with open_engine(workers, scheduler) as engine:
        folder = data_dir if engine.local else data_dir.absolute()
        results = run_stages(
            folder,
            stages,
            overwrite=overwrite,
            checksums=checksums,
            engine=engine,
            bar=progress_bar,
            report=show_result,
        )
    if workers > 1 and results and all(len(result.record.inputs) == 1 for result in results):
        warn(
            f"{as_typed('workers')} {workers} has no effect on data in one file; generate with -num-shards to have more"
        )


def _run_one(stage: Stage, *, overwrite: bool, data_dir: Path, workers: int, scheduler: str | None) -> None:
    replaced = stage.folders if overwrite else ()
    _run(data_dir, [stage], workers=workers, scheduler=scheduler, overwrite=replaced)


def _verify(data_dir: Path, checksums: Path) -> int:
    differences = verify_folder(data_dir, checksums)
    show_differences(differences)
    return 1 if differences else 0
