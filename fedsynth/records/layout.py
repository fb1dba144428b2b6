"""Names of folders and files, and the steps that a file's name records. No other module knows them."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path

from fedsynth.errors import StageError, named

ALL_DATA = "all_data"
SAMPLED = "sampled_data"
REM_USERS = "rem_user_data"
TRAIN = "train"
VAL = "val"
TEST = "test"
NEW_USERS = "new_users"
STAGE_FOLDERS = (SAMPLED, REM_USERS, TRAIN, TEST)
"""What preprocessing makes, and what may be cleared; all_data never is.

VAL and NEW_USERS are not LEAF's names, so such a folder may be somebody's own: it goes with the split that made it.
"""

FOLDERS = (ALL_DATA, *STAGE_FOLDERS, VAL, NEW_USERS)
"""All that fedsynth makes in a data folder."""

DATA, META = "data", "meta"
"""LEAF's names of the data folder and of the one for records beside it."""
CHECKSUMS = "dir-checksum.md5"
"""LEAF's name, in the folder for records, of the file with the MD5 sums of all data files."""


def settled(folder: Path) -> Path:
    """Return an absolute path without `..` and without links but in its last part: `data/train` may be a link."""
    if folder.name in ("", ".."):
        return folder.resolve()
    return folder.parent.resolve() / folder.name


def meta_dir(data_dir: Path) -> Path:
    """Return where the records of a data folder are: beside `data`, as in LEAF, in `meta`; of others in `meta/NAME`.

    So two data folders with one parent share no record.
    """
    resolved = data_dir.resolve()
    return resolved.parent / META if resolved.name == DATA else resolved.parent / META / resolved.name


def data_files(folder: Path) -> list[Path]:
    """Return a folder's visible .json files in sorted order, numbers by value: `all_data_2` before `all_data_10`.

    Empty if there are none, or no such folder. Raises StageError for a .json that is no regular file.
    """
    return [folder / name for name in sorted(data_names(folder), key=_natural_key)]


def data_names(folder: Path) -> list[str]:
    """Return the names of a folder's `data_files`, in no order; a third of the time."""
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if entry.name.endswith(".json") and not entry.name.startswith(".")]
            odd = [entry.name for entry in found if not _is_file(entry)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    if odd:
        raise StageError(
            f"{folder / min(odd)}: {_kind(folder / min(odd))}, expected a regular file of LEAF data; move it elsewhere"
        )
    return [entry.name for entry in found]


def json_files(folder: Path) -> list[Path]:
    """Return what `data_files` returns, at least one file. Raises StageError if there is none."""
    files = data_files(folder)
    if files:
        return files
    if not folder.is_dir():
        found = _kind(folder) if os.path.lexists(folder) else "no such folder"
        raise StageError(f"{folder}: {found}, expected a folder of LEAF data; check the name, or generate data first")
    raise StageError(f"{folder}: found no .json file, expected LEAF data; generate some, or name another folder")


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that leads to itself
        return False


def _kind(path: Path) -> str:
    """Return what a path is that is not what was expected there."""
    if path.is_dir():
        return "a folder"
    if path.exists():
        return "a file" if path.is_file() else "no regular file"
    return "a link that leads nowhere" if path.is_symlink() else "gone"


def _natural_key(name: str) -> list[tuple[int, str]]:
    return [(int(part) if index % 2 else -1, part) for index, part in enumerate(_DIGITS.split(name))]


_DIGITS = re.compile("([0-9]+)")


def in_use(folder: Path) -> bool:
    """Whether a folder exists and holds anything but hidden files; LEAF skips empty folders as well."""
    return folder.is_dir() and any(not path.name.startswith(".") for path in folder.iterdir())


def latest(data_dir: Path, *names: str) -> Path:
    """Return the first of these folders that is in use. Raises StageError if none is."""
    for name in names:
        if in_use(data_dir / name):
            return data_dir / name
    expected = f"expected data; generate some first, or name another {named('data_dir')}"
    raise StageError(f"{data_dir / names[-1]}: missing or empty, {expected}")


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
