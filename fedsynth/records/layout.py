"""Names: folders, files and the steps that a file's name records. The only place that knows them."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

from fedsynth.errors import StageError

ALL_DATA = "all_data"
SAMPLED = "sampled_data"
REM_USERS = "rem_user_data"
TRAIN = "train"
TEST = "test"
STAGE_FOLDERS = (SAMPLED, REM_USERS, TRAIN, TEST)
"""What preprocessing makes, and what may be cleared; all_data never is."""


def meta_dir(data_dir: Path) -> Path:
    """Return the folder beside `data` where LEAF keeps seeds and checksums."""
    return data_dir.absolute().parent / "meta"


def json_files(folder: Path) -> list[Path]:
    """Return the folder's data files in sorted order, numbers by value: `all_data_2` before `all_data_10`.

    Raises StageError if there is none.
    """
    files = sorted(
        (path for path in folder.glob("*.json") if not path.name.startswith(".") and path.is_file()), key=_natural_key
    )
    if not files:
        raise StageError(f"{folder}: found no .json file, expected LEAF data; run `python main.py` or point elsewhere")
    return files


def _natural_key(path: Path) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", path.name)
    return [(int(part) if part.isdigit() else -1, part) for part in parts]


def in_use(folder: Path) -> bool:
    """Whether a folder exists and holds anything but hidden files; LEAF skips empty folders as well."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def latest(data_dir: Path, *names: str) -> Path:
    """Return the first of these folders that is in use. Raises StageError if none is."""
    for name in names:
        if in_use(data_dir / name):
            return data_dir / name
    raise StageError(
        f"{data_dir / names[-1]}: missing or empty, expected data; run `python main.py -num-tasks T` first"
    )


def fraction_label(fraction: float) -> str:
    """Return a fraction's shortest decimal text without the leading `0.`; `0` for 1.0, as in LEAF."""
    if fraction == 1:
        return "0"
    text = format(Decimal(repr(fraction)), "f")
    return text.removeprefix("0.")


def shard_names(num_shards: int) -> list[str]:
    """Return the names of all_data's files: LEAF's one, or `all_data_0.json`, `all_data_1.json`, ..."""
    return [f"{ALL_DATA}.json"] if num_shards == 1 else [f"{ALL_DATA}_{shard}.json" for shard in range(num_shards)]


def stepped_name(path: Path, *labels: str) -> str:
    """Return a file's name with the labels of a step added: `all_data.json` + niid, 1 -> `all_data_niid_1.json`."""
    return "_".join([path.stem, *labels]) + ".json"
