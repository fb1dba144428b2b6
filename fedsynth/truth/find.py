"""The ground truth of a folder's users: claimed only for data that leads back to the files it was made with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsynth.errors import DataError
from fedsynth.records.origin import TRUTH_FILE, Origin
from fedsynth.records.stamp import stamp_file
from fedsynth.truth.file import WAY_OUT, Truth
from fedsynth.truth.read import load_truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fedsynth.truth.ids import Ids

NONE_IID = "the users are new after iid sampling"


@dataclass(frozen=True)
class NoTruth:
    """No ground truth is known. reason: why, in a few words."""

    reason: str


def find_truth(
    origin: Origin, meta_dir: Path, users: Sequence[str] | Ids, num_samples: Sequence[int] | NDArray[Any]
) -> Truth | NoTruth:
    """Return the truth about these users, in their order, whose data is of this origin, or why there is none.

    meta_dir: that of the data folder. Raises DataError if `truth.npz` is damaged, or is another dataset's than the one
    that was generated here.
    """
    path = meta_dir / TRUTH_FILE
    if not path.is_file():
        return NoTruth(f"there is no ground truth, {path}")
    if origin.new_users:
        return NoTruth(NONE_IID)
    truth = load_truth(path)
    if set(_roots(origin, truth)) <= set(truth.data_md5):
        return truth.of_users(users, num_samples)
    if origin.generated:
        raise _foreign(truth, origin)
    return NoTruth(origin.note or f"nothing tells that these users are those of {path}")


def _roots(origin: Origin, truth: Truth) -> Sequence[str]:
    """Return the sums of what the data was made from; files of other sizes than all_data's are not read for it."""
    if not origin.files:
        return origin.roots
    if any(file.stat().st_size not in truth.data_size for file in origin.files):
        return [""]
    return [stamp_file(file).md5 for file in origin.files]


def _foreign(truth: Truth, origin: Origin) -> DataError:
    record = origin.stages[-1]
    made = {**record.parameters, "seed": record.seed}
    different = [key for key, value in truth.parameters.items() if made.get(key, value) != value]
    found, expected = (", ".join(f"{key} {values[key]}" for key in different) for values in (truth.parameters, made))
    what = f"made with {found}, but the data was generated with {expected}" if different else "made with other files"
    return DataError(f"{truth.path}: belongs to another dataset, {what}; {WAY_OUT}")
