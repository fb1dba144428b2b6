"""Statistics and pictures of any stage's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fedsynth.errors import StageError
from fedsynth.leaf.head import read_head
from fedsynth.leaf.layout import ALL_DATA, in_use, json_files, meta_dir
from fedsynth.leaf.reader import read_index
from fedsynth.pipeline.manifest import Manifest
from fedsynth.stats.figures import save_histograms
from fedsynth.stats.summary import Summary, summarize


def describe(data_dir: Path, folder: str) -> Summary:
    """Return LEAF's statistics of `data/FOLDER`, holding one user's text at a time.

    Of files that the manifest knows, and nobody changed, the heads are enough; others are read and checked to the end.
    Raises StageError if the folder is missing or has no users, DataError if a file is damaged.
    """
    path = data_dir / folder
    if not in_use(path):
        raise StageError(f"{path}: missing or empty, expected LEAF data; run `python main.py -num-tasks T` first")
    manifest = Manifest(meta_dir(data_dir))
    counts = [count for file in json_files(path) for count in _num_samples(file, manifest)]
    if not counts:
        raise StageError(f"{path}: no users, expected at least one; generate the data again")
    return summarize(counts)


def _num_samples(file: Path, manifest: Manifest) -> Sequence[int]:
    if manifest.find(file) is not None:
        return list(read_head(file)["num_samples"])
    return read_index(file).counts.num_samples


def draw(data_dir: Path, folder: str, name: str, summary: Summary) -> list[Path]:
    """Write the histograms into the data folder and return their paths: `NAME_hist.png` for all_data, as in LEAF.

    Other folders' names are part of the file's, so that no picture replaces another folder's.
    """
    label = name if folder == ALL_DATA else f"{name}_{Path(folder).name}"
    return save_histograms(data_dir, label, summary)
