"""The file of the ground truth: the users' ids, the generator's parameters, and each user's true model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from fedsynth.errors import DataError
from fedsynth.records.stamp import FileStamp
from fedsynth.system import naming
from fedsynth.truth.ids import find_ids, id_array

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fedsynth.truth.ids import Ids

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FILE_NAME = "truth.npz"

WAY_OUT = "generate the data again, or delete that file to go on without ground truth"
FORMAT = 1
MODELS = "models"
"""The name of users' own models, which are too much for the memory."""

_SLICE = 1 << 13


@dataclass(frozen=True)
class Truth:
    """What is true of these users. cluster: [users], None for a process without clusters.

    parameters: the generator's, with `model` and `seed`. Take the models out with `true_models`.
    """

    path: Path
    user_ids: Sequence[str] | Ids
    num_samples: Sequence[int] | Ints
    parameters: Mapping[str, Any]
    cluster: Ints | None
    basis: Floats | None
    """Q [D+1, C, K]: with model_info [users, K], models that share a basis; None if each user's is stored by itself."""
    model_info: Floats | None
    models: Floats | None
    """[users, D+1, C], None for models that share a basis."""
    swaps: Ints | None = None
    """[clusters, classes] for somebody's own data, partitioned: the label that each class has in a cluster, in
    positions in class_labels; None where none were exchanged, and for generated data."""
    class_labels: Ints | None = None
    """[classes] the labels, where swaps has positions."""
    data_md5: Sequence[str] = ()
    """[files] MD5 sums of the files of all_data, which tie the truth to its data."""
    data_size: Sequence[int] = ()
    """[files] their sizes in bytes."""

    @property
    def num_clusters(self) -> int:
        """The number of clusters that users were drawn from, 0 for a process without."""
        return 0 if self.cluster is None else len(self.parameters["prob_clusters"])

    @property
    def has_models(self) -> bool:
        """Whether the users' true models are known: not those of somebody's own data."""
        return self.models is not None or self.model_info is not None

    def of_users(self, users: Sequence[str] | Ids, num_samples: Sequence[int] | Ints) -> Truth:
        """Return the truth about these users, in their order, with the numbers of samples that they have now.

        Raises DataError if one is not among them, or has more samples than they were made with: the truth is damaged.
        """
        import numpy as np

        ids, own_ids = id_array(users), id_array(self.user_ids)
        if len(ids) and not len(own_ids):
            raise self._foreign(f'user "{ids[0]}" is not among its 0 users')
        chosen = find_ids(ids, own_ids)
        made, known = np.asarray(self.num_samples)[chosen], own_ids[chosen] == ids
        for number in np.flatnonzero(~known | (made < np.asarray(num_samples)))[:1].tolist():
            if not known[number]:
                raise self._foreign(f'user "{ids[number]}" is not among its {len(own_ids)} users')
            raise self._foreign(f'user "{ids[number]}" has {num_samples[number]} samples, but {made[number]} in it')
        own = {name: _take(getattr(self, name), chosen) for name in ("cluster", "model_info", "models")}
        return replace(self, user_ids=users, num_samples=num_samples, **own)

    def part(self, users: range) -> Truth:
        """Return the truth about the users at these consecutive positions."""
        chosen = slice(users.start, users.stop)
        own = {name: _take(getattr(self, name), chosen) for name in ("cluster", "model_info", "models")}
        return replace(self, user_ids=self.user_ids[chosen], num_samples=self.num_samples[chosen], **own)

    def _foreign(self, found: str) -> DataError:
        return DataError(f"{self.path}: belongs to another dataset, {found}; {WAY_OUT}")


def true_models(truth: Truth, users: Iterable[int]) -> Floats:
    """Return the true models of the users at these positions: [users, D+1, C], row 0 the bias."""
    import numpy as np

    chosen = np.fromiter(users, np.int64)
    if truth.basis is None or truth.model_info is None:
        assert truth.models is not None  # load_truth checks it
        return truth.models[chosen]
    return np.moveaxis(truth.basis @ truth.model_info[chosen].T, 2, 0)


class TruthWriter:
    """Write a truth file while the users are made. Models without a common basis go to the disk as they come.

    What is kept in memory: for each user a number and, where there is a common basis, K more.

    The file holds `format`, user_ids [users] str, num_samples [users] int64, data_md5 and data_size [files] of
    all_data, the generator's parameters by their names, and `checksum` over all these. Then what the generator adds
    per user: for LEAF's process cluster [users] int64 and model_info [users, K]; for others models [users, D+1, C],
    row 0 the bias, and for shifts cluster and class_shares [users, C] float64. And what users share: Q [D+1, C, K]
    and centers [K, K]. A user's true model is models[user], or else `Q @ model_info[user]`. Somebody's own data,
    partitioned, has no models: where clusters exchange labels it has cluster, swaps [clusters, classes] and
    class_labels [classes]. The same values give the same bytes.
    """

    def __init__(self, path: Path, num_users: int) -> None:
        self._users = num_users
        self._path = path
        with naming(path):
            self._file = path.open("xb")
        self._zip = zipfile.ZipFile(self._file, "w")
        self._rows: dict[str, NDArray[Any]] = {}
        self._added = 0
        self._models: IO[bytes] | None = None

    def __enter__(self) -> TruthWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.ExitStack() as stack:
            for part in (self._file, self._zip, self._models):  # closed from the last to the first, whatever fails
                if part is not None:
                    stack.callback(self._close, part, failed=error is not None)

    def add(self, values: Mapping[str, Any]) -> None:
        """Take what is true of the next user, of one type and shape for all; `models` is their own model, [D+1, C]."""
        import numpy as np

        self.extend({name: np.asarray(value)[np.newaxis] for name, value in values.items()})

    def extend(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Take what is true of the next users: [users, ...] by name, as for `add`."""
        added = 0
        for name, rows in values.items():
            added = len(rows)
            if name == MODELS:
                self.extend_models(rows)
            else:
                self._array_of(name, rows)[self._added : self._added + added] = rows
        self._added += added

    def extend_models(self, models: Floats) -> None:
        """Take the next users' own models, [users, D+1, C], where these come by themselves."""
        import numpy as np

        with naming(self._path):
            if self._models is None:
                self._models = self._zip.open(f"{MODELS}.npy", "w", force_zip64=True)
                described = {"descr": "<f8", "fortran_order": False, "shape": (self._users, *models.shape[1:])}
                np.lib.format.write_array_header_1_0(self._models, described)
            self._models.write(np.ascontiguousarray(models, "<f8").tobytes())

    def finish(
        self,
        user_ids: Sequence[str],
        num_samples: Sequence[int] | Ints,
        parameters: Mapping[str, Any],
        shared: Mapping[str, Any],
        *,
        data: Sequence[FileStamp],
    ) -> None:
        """Write everything else: the users' ids, the generator's parameters, and what all users share.

        data: the stamps of all_data's files, which hold these users.
        """
        if self._models is not None:
            self._models.close()
        sums = [stamp.md5 for stamp in data]
        self._write("format", FORMAT)
        self._write_names(user_ids)
        head = {
            "num_samples": num_samples,
            "data_md5": sums,
            "data_size": [stamp.size for stamp in data],
            "checksum": checksum(user_ids, num_samples, sums, parameters),
        }
        for name, values in {**head, **parameters, **self._rows, **shared}.items():
            self._write(name, values)

    def _write(self, name: str, values: Any) -> None:
        import numpy as np

        with naming(self._path), self._zip.open(f"{name}.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, np.asarray(values), allow_pickle=False)

    def _write_names(self, user_ids: Sequence[str]) -> None:
        """Write the users' ids, as `_write` would, a slice at a time: all at once they are 60 bytes each."""
        import numpy as np

        longest = max((max(map(len, part)) for part in slices(user_ids)), default=0)
        kind = np.dtype(f"U{max(longest, 1)}")
        with naming(self._path), self._zip.open("user_ids.npy", "w", force_zip64=True) as entry:
            described = {"descr": kind.str, "fortran_order": False, "shape": (len(user_ids),)}
            np.lib.format.write_array_header_1_0(entry, described)
            for part in slices(user_ids):
                entry.write(np.array(part, kind).tobytes())

    def _array_of(self, name: str, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the array of all users."""
        import numpy as np

        if name not in self._rows:
            self._rows[name] = np.empty((self._users, *rows.shape[1:]), rows.dtype)
        return self._rows[name]

    def _close(self, part: Any, *, failed: bool) -> None:
        """Close a part; after a failure, what can't be written any more is not to hide why."""
        with naming(self._path), contextlib.suppress(*((OSError, ValueError) if failed else ())):
            part.close()


def checksum(
    user_ids: Sequence[str] | Ids,
    num_samples: Sequence[int] | Ints,
    data_md5: Sequence[str],
    parameters: Mapping[str, Any],
) -> str:
    """Return the checksum that shows damage: MD5, 32 hex digits, of users, sizes, the data's sums, seed and parameters.

    It is that of the text that `json.dumps` gives of these four, of which no more than a slice is held.
    """
    digest = hashlib.md5(b"[", usedforsecurity=False)
    for values in (user_ids, num_samples):
        between = b"["
        for part in slices(values):
            digest.update(between + json.dumps(part)[1:-1].encode())
            between = b", "
        digest.update(b"], " if len(values) else b"[], ")
    digest.update(json.dumps([list(data_md5), dict(parameters)], sort_keys=True)[1:].encode())
    return digest.hexdigest()


def slices(values: Any) -> Iterator[list[Any]]:
    """Yield a long sequence, or an array, as lists of Python values, some thousands at a time."""
    for start in range(0, len(values), _SLICE):
        part = values[start : start + _SLICE]
        yield part if isinstance(part, list) else part.tolist() if hasattr(part, "tolist") else list(part)


def _take(values: Any, chosen: Ints | slice) -> Any:
    return None if values is None else values[chosen]
