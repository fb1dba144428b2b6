"""What is true of one file's users, gathered where the file is made, and put together with that of the others."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from fedsynth.errors import DataError
from fedsynth.system import naming
from fedsynth.truth.file import MODELS, TruthWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BYTES = 1 << 20


@dataclass(frozen=True)
class TruthPart:
    """Arrays [users, ...] by name. models: the file of the users' own models, None where there are none.

    shape: [users, D+1, C], that of the models.
    """

    arrays: Mapping[str, NDArray[Any]]
    models: Path | None = None
    shape: tuple[int, ...] = ()

    def move_to(self, truth: TruthWriter) -> None:
        """Give all to a truth file, and delete the file of models; holds one model, or a megabyte of them.

        Raises DataError if that file is not as long as it was: on a cluster, a worker that was given up may go on.
        """
        import numpy as np

        truth.extend(self.arrays)
        if self.models is None:
            return
        users, *shape = self.shape
        size = 8 * math.prod(shape)
        with self.models.open("rb") as file:
            if os.fstat(file.fileno()).st_size != users * size:
                raise DataError(
                    f"{self.models}: changed since this run wrote it; see what else writes there, run again"
                )
            while block := file.read(size * max(1, _BYTES // size)):
                truth.extend_models(np.frombuffer(block, "<f8").reshape(-1, *shape))
        self.models.unlink()


class TruthGatherer:
    """Gather what is true of users as they are made. models: the file for their own models, made when there are any.

    A file that is there already, of a worker that died, is replaced. Holds all but the models.
    """

    def __init__(self, models: Path) -> None:
        self._path = models
        self._blocks: list[Mapping[str, NDArray[Any]]] = []
        self._file: IO[bytes] | None = None
        self._models = 0
        self._shape: tuple[int, ...] = ()

    def __enter__(self) -> TruthGatherer:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # there is an earlier error, or `finish` has closed it
                self._file.close()

    def extend(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Take what is true of the next users, as `TruthWriter.extend` does."""
        import numpy as np

        self._blocks.append({name: rows for name, rows in values.items() if name != MODELS})
        if MODELS in values:
            rows = np.ascontiguousarray(values[MODELS], "<f8")
            with naming(self._path):
                if self._file is None:
                    self._path.unlink(missing_ok=True)
                    self._file = self._path.open("xb")
                    self._shape = rows.shape[1:]
                self._file.write(rows.tobytes())
                self._models += len(rows)

    def finish(self) -> TruthPart:
        """Return all that was taken."""
        import numpy as np

        if self._file is not None:
            with naming(self._path):
                self._file.close()
        names = self._blocks[0] if self._blocks else {}
        arrays = {name: np.concatenate([block[name] for block in self._blocks]) for name in names}
        return TruthPart(arrays, None if self._file is None else self._path, (self._models, *self._shape))
