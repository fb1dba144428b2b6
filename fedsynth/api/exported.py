"""`fedsynth.export`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from fedsynth.api.arguments import check_kinds, folder_names, folder_path
from fedsynth.api.running import choose_bar
from fedsynth.cli.history import command_lines
from fedsynth.engine import open_engine
from fedsynth.pipeline.export import Exported, ExportWish, export_folders


def export(
    out: str | os.PathLike[str],
    *,
    to: str = "huggingface",
    folders: Sequence[str | os.PathLike[str]] | None = None,
    data_dir: str | os.PathLike[str] = "data",
    dtype: str = "float64",
    features: bool = True,
    overwrite: bool = False,
    workers: int = 1,
    scheduler: str | None = None,
    progress: bool = False,
) -> Exported:
    """Write folders of LEAF's files for other programs: Hugging Face, Flower, SQL, pandas, PFLlib.

    The new folder appears whole or not at all, and the same data gives the same bytes. Reads each file twice. Holds one
    user's text and values for each worker, and a megabyte of rows.

    Args:
        out: The folder to write.
        to: huggingface, Parquet files with a dataset card; parquet, these alone; arrow, streams with one batch a user;
            pfllib, a file of NumPy's for each user and side.
        folders: Names of folders in data_dir, or paths. None: train, val and test as far as they are there, else
            all_data. Each becomes a split of its name.
        data_dir: The folder of the stages' folders.
        dtype: float32 or float64, what fractions in x become; whole numbers stay 64 bits.
        features: Whether the card has the measures that need x, which take time.
        overwrite: Replace what an earlier export wrote there, if it is still as that left it.
        workers: Processes on this machine, for folders of several files.
        scheduler: The address of a Dask scheduler to run on instead.
        progress: Show a bar, in a notebook or on standard error.

    Returns:
        What was written: path, to, folders (path, split, users, samples of each), files, size in bytes, and notes.

    Raises:
        StageError: If a folder is missing or stale, or something is in the way.
        DataError: If a file is damaged, or has samples that the format can't hold.
        UsageError: For a format or type that is not known.
        EngineError: If pyarrow is not installed; pfllib needs NumPy alone.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> done = fedsynth.preprocess(fraction=1.0, split="sample", sample_seed=1, split_seed=2)
        >>> exported = fedsynth.export("out", to="pfllib")
        >>> [(folder.split, folder.users) for folder in exported.folders]
        [('train', 20), ('test', 20)]
    """
    check_kinds(locals())
    names = None if folders is None else folder_names("folders", folders)
    wish = ExportWish(to=to, folders=names, dtype=dtype, features=features)
    paths = folder_path("data_dir", data_dir), folder_path("out", out)
    with open_engine(workers, scheduler) as engine:
        source, target = paths if engine.local else (path.absolute() for path in paths)
        return export_folders(
            source,
            target,
            wish,
            overwrite=overwrite,
            engine=engine,
            bar=choose_bar(progress),
            commands=command_lines,
        )
