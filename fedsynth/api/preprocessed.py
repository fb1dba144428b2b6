"""`fedsynth.preprocess`."""

from __future__ import annotations

import os

from fedsynth.api.arguments import folder_path, number, whole
from fedsynth.api.results import Preprocessed, StageDone
from fedsynth.api.running import choose_bar
from fedsynth.engine import open_engine
from fedsynth.errors import UsageError
from fedsynth.pipeline.choose import choose_stages
from fedsynth.pipeline.preprocess import preprocess as run_stages
from fedsynth.records.layout import CHECKSUMS, STAGE_FOLDERS, meta_dir


def preprocess(
    data_dir: str | os.PathLike[str] = "data",
    *,
    sample: str | None = "niid",
    fraction: float = 0.1,
    user_fraction: float | None = None,
    min_samples: int | None = None,
    split: str | None = None,
    train_fraction: float = 0.9,
    val_fraction: float = 0.0,
    new_users: float = 0.0,
    sample_seed: int | None = None,
    split_seed: int | None = None,
    name: str = "synthetic",
    overwrite: bool = False,
    checksums: bool = True,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = False,
) -> Preprocessed:
    """Sample, remove users, split: as `fedsynth preprocess` does, the same bytes, each stage whole or not at all.

    Each stage works on the latest folder there is. A stage that an earlier run did with the same parameters, seed and
    input is kept.

    Args:
        data_dir: The folder of the stages' folders, with `all_data` in it.
        sample: niid takes users, iid pools all samples for new users; None leaves this stage out.
        fraction: Fraction of all samples to take, in (0, 1].
        user_fraction: With iid: number of new users as a fraction of the users there are (0.01).
        min_samples: Keep users with at least this many samples; None leaves this stage out.
        split: sample splits each user's samples, user splits the users; None leaves this stage out.
        train_fraction: Fraction for training, in (0, 1).
        val_fraction: Fraction for validation, in `val`, 0 for none; less than 1 with train_fraction.
        new_users: With sample: fraction of the users who are kept whole, in `new_users`, 0 for none.
        sample_seed: Seed of sampling; None or negative: one is chosen.
        split_seed: Seed of the split; None or negative: one is chosen.
        name: The dataset's name; shakespeare is split in order, with LEAF's gap.
        overwrite: Replace the stages' folders, in one step, when all of the new is there; never `all_data`.
        checksums: Write `meta/dir-checksum.md5`.
        workers: Processes on this machine; more than one need several files.
        scheduler: The address of a Dask scheduler to run on instead.
        progress: Show a bar for each stage, in a notebook or on standard error.

    Returns:
        Preprocessed: what each stage did, with counts and seeds.

    Raises:
        UsageError: For values out of bounds, and if no stage is asked for.
        StageError: If folders are in the way, or the data is missing, stale or too little.
        DataError: If a file is not in LEAF's format.
        BusyError: If another run is at work in the folder.
        EngineError: If workers or the cluster can't do the work.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> done = fedsynth.preprocess(fraction=1.0, min_samples=5, split="sample", sample_seed=1, split_seed=2)
        >>> done
        <Preprocessed
          sample: data/sampled_data: 20 users, 2,144 samples (seed 1)
          remove_users: data/rem_user_data: 20 users, 2,144 samples
          split: data/train: 20 users, 1,922 samples; data/test: 20 users, 222 samples (seed 2)>
        >>> done.folders["train"].users
        20
    """
    stages = choose_stages(
        sample=sample,
        fraction=number("fraction", fraction),
        user_fraction=None if user_fraction is None else number("user_fraction", user_fraction),
        min_samples=None if min_samples is None else whole("min_samples", min_samples),
        split=split,
        train_fraction=number("train_fraction", train_fraction),
        val_fraction=number("val_fraction", val_fraction),
        new_users=number("new_users", new_users),
        sample_seed=None if sample_seed is None else whole("sample_seed", sample_seed),
        split_seed=None if split_seed is None else whole("split_seed", split_seed),
        name=name,
    )
    if not stages:
        raise UsageError("no stage is asked for; name one or more by sample, min_samples, split")
    folder = folder_path("data_dir", data_dir)
    with open_engine(workers, scheduler) as engine:
        results = run_stages(
            folder if engine.local else folder.absolute(),
            stages,
            overwrite=STAGE_FOLDERS if overwrite else (),
            checksums=checksums,
            engine=engine,
            bar=choose_bar(progress),
        )
    sums = meta_dir(folder) / CHECKSUMS if checksums else None
    return Preprocessed(tuple(StageDone.of(folder, result) for result in results), sums)
