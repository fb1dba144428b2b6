"""Statistics and pictures of any stage's folder."""

from __future__ import annotations

from pathlib import Path

from fedsynth.errors import StageError
from fedsynth.leaf.layout import ALL_DATA, in_use, json_files
from fedsynth.leaf.reader import read_index
from fedsynth.stats.figures import save_histograms
from fedsynth.stats.summary import Summary, summarize


def describe(data_dir: Path, folder: str) -> Summary:
    """Return LEAF's statistics of `data/FOLDER`; reads and checks every file, holding one user's text at a time.

    Raises StageError if the folder is missing or has no users, DataError if a file is damaged.
    """
    path = data_dir / folder
    if not in_use(path):
        raise StageError(f"{path}: missing or empty, expected LEAF data; run `python main.py -num-tasks T` first")
    counts = [count for file in json_files(path) for count in read_index(file).counts.num_samples]
    if not counts:
        raise StageError(f"{path}: no users, expected at least one; generate the data again")
    return summarize(counts)


def draw(data_dir: Path, folder: str, name: str, summary: Summary) -> list[Path]:
    """Write the histograms into the data folder and return their paths: `NAME_hist.png` for all_data, as in LEAF.

    Other folders' names are part of the file's, so that no picture replaces another folder's.
    """
    label = name if folder == ALL_DATA else f"{name}_{Path(folder).name}"
    return save_histograms(data_dir, label, summary)
