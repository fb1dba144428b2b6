"""Whether a ground truth is that of a folder's users: by what the manifest says of where the folder came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fedsynth.errors import DataError
from fedsynth.truth.file import FILE_NAME, WAY_OUT, Truth, load_truth

Record = Mapping[str, Any]
"""A file's or a stage's record, as `meta/manifest.json` has it."""

ALL_DATA = "all_data"
NONE_IID = "the users are new after iid sampling"


def find_truth(
    files: Sequence[Path], meta_dir: Path, users: Sequence[str], num_samples: Sequence[int]
) -> tuple[Truth | None, str]:
    """Return the truth about the users of these data files, in their order, or None and why there is none.

    The manifest must lead from the files back to the data that the truth was made with. For files that it doesn't
    know, the users and their sizes must fit, which another dataset's won't do by chance.
    Raises DataError if `meta/truth.npz` is damaged or belongs to another dataset.
    """
    path = meta_dir / FILE_NAME
    if not path.is_file():
        return None, f"there is no ground truth, {path}"
    origin = _Origin(_stages(meta_dir), [_recorded(file) for file in files])
    if origin.iid:
        return None, NONE_IID
    truth = load_truth(path)
    origin.check(truth)
    return truth.of_users(users, num_samples), ""


class _Origin:
    """Where files came from, as far as the records of the stages tell. unknown: records of files that none made."""

    def __init__(self, stages: Mapping[str, Record], files: Sequence[Record]) -> None:
        self._stages = stages
        self._makers: dict[tuple[str, str], list[tuple[Record, str]]] = {}
        for name, stage in stages.items():
            for output in stage["outputs"]:
                self._makers.setdefault(_place(output), []).append((output, name))
        self.unknown: list[Record] = []
        self.history = self._trace(files)
        dealt = any(stages[name]["parameters"].get("method") == "iid" for name in self.history)
        self.iid = dealt or any("_iid_" in _place(record)[1] for record in self.unknown)

    def check(self, truth: Truth) -> None:
        """Raise DataError if the records say that the files come from other data than the truth."""
        generated = self._stages.get("generate")
        if generated is None:
            return
        for record in self.unknown:
            if _place(record)[0] == ALL_DATA:
                raise _foreign(truth, f"{record['path']} is not the file that was generated with it")
        made = {**generated["parameters"], "seed": generated["seed"]}
        different = [key for key, value in truth.parameters.items() if made.get(key, value) != value]
        if different:
            found, expected = (
                ", ".join(f"{key} {values[key]}" for key in different) for values in (truth.parameters, made)
            )
            raise _foreign(truth, f"made with {found}, but the data was generated with {expected}")

    def _trace(self, files: Sequence[Record]) -> list[str]:
        """Return the stages that led to the files, as far back as they are known."""
        history: list[str] = []
        todo = list(files)
        while todo:
            record = todo.pop()
            stage = self._maker(record)
            if stage is None:
                self.unknown.append(record)
            elif stage not in history:
                history.append(stage)
                todo += self._stages[stage]["inputs"]
        return history

    def _maker(self, record: Record) -> str | None:
        """Return the stage that made a file just as it is recorded, None if none did."""
        makers = self._makers.get(_place(record), [])
        return next((stage for output, stage in makers if _same(output, record)), None)


def _foreign(truth: Truth, found: str) -> DataError:
    return DataError(f"{truth.path}: belongs to another dataset, {found}; {WAY_OUT}")


def _stages(meta_dir: Path) -> dict[str, Record]:
    try:
        content = json.loads((meta_dir / "manifest.json").read_text(encoding="utf-8"))
        return dict(content["stages"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # without a manifest, or with a damaged one, nothing is known


def _same(output: Record, record: Record) -> bool:
    if output["size"] != record["size"]:
        return False
    if output["mtime_ns"] == record["mtime_ns"]:
        return True
    return bool(output["md5"] == (record.get("md5") or _md5(record["file"])))


def _recorded(file: Path) -> Record:
    """Return a file as it is now in the form of a record, but for its MD5 sum, which takes reading it."""
    status = file.stat()
    path = "/".join(file.absolute().parts[-3:])
    return {"path": path, "file": file, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _md5(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "md5").hexdigest()


def _place(record: Record) -> tuple[str, str]:
    """Return the folder's and the file's name; where the data folder lies may change."""
    folder, name = record["path"].split("/")[-2:]
    return folder, name
