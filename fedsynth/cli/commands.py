"""Each command: its options, the call that does the work, and what is printed of the result."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from fedsynth import __version__
from fedsynth.cli.console import progress_bar, show_differences, show_result, warn
from fedsynth.cli.parsing import LeafCommand, parse_probabilities
from fedsynth.errors import UsageError
from fedsynth.leaf.layout import STAGE_FOLDERS
from fedsynth.pipeline.checksums import verify as verify_folder
from fedsynth.pipeline.options import Stage, remove_stage, sample_stage, split_stage
from fedsynth.pipeline.preprocess import clean as clean_folder
from fedsynth.pipeline.preprocess import preprocess as run_stages

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]

FRACTION, USER_FRACTION, MIN_SAMPLES, TRAIN_FRACTION = 0.1, 0.01, 10, 0.9
"""LEAF's defaults."""


def _option(*names: str, **attributes: Any) -> Decorator[Any]:
    return click.option(*names, **attributes)


def _bare(*names: str, value: str, **attributes: Any) -> Decorator[Any]:
    """An option that may be given without a value."""
    return click.option(*names, is_flag=False, flag_value=value, default=None, **attributes)


_data_dir = _option(
    "-data-dir",
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    help="The folder of the stages' folders (default: data); meta/ lies beside it.",
)
_name = _option(
    "--name", default="synthetic", help="The dataset's name (default: synthetic); shakespeare splits in order."
)
_overwrite = _option("--overwrite", is_flag=True, help="Replace what is there.")
_method = _bare(
    "-s", "method", value="niid", metavar="[iid|niid]", help="Sample users, or pool all samples and deal them."
)
_fraction = _bare("--sf", "fraction", value=str(FRACTION), type=float, help="Fraction of all samples to take (0.1).")
_user_fraction = _bare(
    "--iu", "user_fraction", value=str(USER_FRACTION), type=float, help="With -s iid: new users per old user (0.01)."
)
_min_samples = _bare(
    "-k", "min_samples", value=str(MIN_SAMPLES), type=int, help="Keep users with at least so many samples (10)."
)
_split = _bare("-t", "split", value="sample", metavar="[user|sample]", help="Split the users, or each user's samples.")
_train_fraction = _bare(
    "--tf", "train_fraction", value=str(TRAIN_FRACTION), type=float, help="Fraction for training (0.9)."
)
_sample_seed = _option(
    "--smplseed", "sample_seed", type=int, help="Seed of sampling; absent or negative: one is chosen."
)
_split_seed = _option(
    "--spltseed", "split_seed", type=int, help="Seed of the split; absent or negative: one is chosen."
)
_no_checksum = _option("--nochecksum", is_flag=True, help="Don't write meta/dir-checksum.md5.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def fedsynth() -> None:
    """Synthetic federated datasets: LEAF's generator, preprocessing and statistics."""


@fedsynth.command(cls=LeafCommand)
@_option("-num-tasks", "--num-tasks", type=int, required=True, help="Number of tasks; each becomes a user.")
@_option("-num-classes", "--num-classes", type=int, default=5, help="Number of classes (5).")
@_option("-num-dim", "--num-dim", type=int, default=60, help="Dimensions of x (60).")
@_option("-seed", "--seed", type=int, default=931231, help="0 to 2**32 - 1 (931231).")
@_option(
    "-prob-clusters",
    "--prob-clusters",
    type=click.UNPROCESSED,
    callback=parse_probabilities,
    metavar="P,P,...",
    default=(1.0,),
    help="Probability of each cluster of models, such as 0.5,0.5 (1.0).",
)
@_overwrite
@_data_dir
def generate(data_dir: Path, overwrite: bool, **parameters: Any) -> None:
    """Generate all_data/all_data.json and the ground truth."""
    from fedsynth.generate.parameters import Parameters  # NumPy: 100 ms that only this command pays
    from fedsynth.pipeline.generate import generate as run_generator

    result = run_generator(data_dir, Parameters(**parameters), overwrite=overwrite, bar=progress_bar)
    show_result(result)


@fedsynth.command(cls=LeafCommand)
@_method
@_user_fraction
@_fraction
@_min_samples
@_split
@_train_fraction
@_sample_seed
@_split_seed
@_no_checksum
@_option("--verify", "checksums", type=click.Path(path_type=Path), help="Run nothing, compare the data with this file.")
@_overwrite
@_name
@_data_dir
def preprocess(data_dir: Path, checksums: Path | None, overwrite: bool, nochecksum: bool, **options: Any) -> int:
    """Sample, remove users, split: the stages whose options are given."""
    if checksums is not None:
        return _verify(data_dir, checksums)
    stages = _stages(**options)
    _run(data_dir, stages, clear=STAGE_FOLDERS if overwrite else (), checksums=not nochecksum)
    return 0


@fedsynth.command(cls=LeafCommand)
@_method
@_user_fraction
@_fraction
@_sample_seed
@_overwrite
@_data_dir
def sample(data_dir: Path, overwrite: bool, method: str | None, **options: Any) -> None:
    """Sample all_data into sampled_data."""
    _run_one(data_dir, _sample_stage(method or "niid", **options), overwrite)


@fedsynth.command(cls=LeafCommand, name="remove-users")
@_min_samples
@_overwrite
@_data_dir
def remove_users(data_dir: Path, overwrite: bool, min_samples: int | None) -> None:
    """Remove users with few samples into rem_user_data."""
    _run_one(data_dir, remove_stage(MIN_SAMPLES if min_samples is None else min_samples), overwrite)


@fedsynth.command(cls=LeafCommand)
@_split
@_train_fraction
@_split_seed
@_overwrite
@_name
@_data_dir
def split(data_dir: Path, overwrite: bool, split: str | None, **options: Any) -> None:
    """Split the latest data into train and test."""
    _run_one(data_dir, _split_stage(split or "sample", **options), overwrite)


@fedsynth.command(cls=LeafCommand)
@click.argument("folder", default="all_data")
@_option("--json", "as_json", is_flag=True, help="Print JSON and nothing else.")
@_name
@_data_dir
def stats(data_dir: Path, folder: str, name: str, as_json: bool) -> None:
    """Print LEAF's statistics of a folder (all_data) and draw its histogram."""
    from fedsynth.pipeline.stats import describe, draw  # Pillow

    summary = describe(data_dir, folder)
    if as_json:
        click.echo(json.dumps(summary.as_json(), indent=1))
    else:
        click.echo("\n".join(summary.lines(name)))
    draw(data_dir, folder, name, summary)


@fedsynth.command(cls=LeafCommand)
@click.argument("checksums", type=click.Path(path_type=Path))
@_data_dir
def verify(data_dir: Path, checksums: Path) -> int:
    """Compare all data files with a checksum file."""
    return _verify(data_dir, checksums)


@fedsynth.command(cls=LeafCommand)
@_data_dir
def clean(data_dir: Path) -> None:
    """Remove the four stage folders; all_data stays."""
    removed = clean_folder(data_dir)
    click.echo(f"removed {', '.join(removed)}" if removed else "nothing to remove")


def _stages(
    *,
    method: str | None,
    user_fraction: float | None,
    fraction: float | None,
    min_samples: int | None,
    split: str | None,
    train_fraction: float | None,
    sample_seed: int | None,
    split_seed: int | None,
    name: str,
) -> list[Stage]:
    """Return the stages that are asked for, in their order."""
    stages = []
    if method is not None:
        stages.append(_sample_stage(method, user_fraction, fraction, sample_seed))
    if min_samples is not None:
        stages.append(remove_stage(min_samples))
    if split is not None:
        stages.append(_split_stage(split, train_fraction, split_seed, name))
    if user_fraction is not None and method is None:
        raise UsageError(f"--iu is {user_fraction:g}, which needs sampling by -s iid; add that, or leave --iu out")
    for option, value, needed in (("--sf", fraction, ("-s", method)), ("--tf", train_fraction, ("-t", split))):
        if value is not None and needed[1] is None:
            warn(f"{option} {value:g} has no effect without {needed[0]}")
    return stages


def _sample_stage(method: str, user_fraction: float | None, fraction: float | None, sample_seed: int | None) -> Stage:
    if user_fraction is not None and method != "iid":
        raise UsageError(
            f"--iu is {user_fraction:g}, which makes no sense with -s {method}; use -s iid, or leave --iu out"
        )
    return sample_stage(
        method,
        fraction=FRACTION if fraction is None else fraction,
        user_fraction=USER_FRACTION if user_fraction is None else user_fraction,
        seed=sample_seed,
    )


def _split_stage(method: str, train_fraction: float | None, split_seed: int | None, name: str) -> Stage:
    fraction = TRAIN_FRACTION if train_fraction is None else train_fraction
    return split_stage(method, fraction=fraction, seed=split_seed, dataset=name)


def _run_one(data_dir: Path, stage: Stage, overwrite: bool) -> None:
    _run(data_dir, [stage], clear=stage.folders if overwrite else (), checksums=False)


def _run(data_dir: Path, stages: Sequence[Stage], *, clear: Sequence[str], checksums: bool) -> None:
    for result in run_stages(data_dir, stages, clear=clear, checksums=checksums, bar=progress_bar):
        show_result(result)


def _verify(data_dir: Path, checksums: Path) -> int:
    differences = verify_folder(data_dir, checksums)
    show_differences(differences)
    return 1 if differences else 0
