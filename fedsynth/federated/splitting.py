"""How a user's samples are split: sizes and indices, checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.words import counted


class Minima:
    """How many samples each part of a split must get at least."""

    def __init__(self, train: int, val: int) -> None:
        for name, size in (("min_train_size", train), ("min_val_size", val)):
            if size < 0:
                raise UsageError(f"{name} is {size}, expected 0 or more")
        self.train, self.val = train, val

    def cut(self, size: int, fraction: float) -> int:
        """Return where the validation part starts."""
        if not 0 <= fraction <= 1:
            raise UsageError(f"fraction is {fraction}, expected 0 to 1")
        if self.train + self.val > size:
            raise UsageError(
                f"a dataset of {counted(size, 'sample')} can't be split with min_train_size {self.train} and "
                f"min_val_size {self.val}, expected at least {counted(self.train + self.val, 'sample')}; leave the "
                "user out or ask for less"
            )
        return max(min(int(size * fraction), size - self.val), self.train)

    def check(self, train: int, val: int) -> None:
        """Raise UsageError unless parts of these sizes are large enough."""
        for name, size, least in (("train", train, self.train), ("val", val, self.val)):
            if size < least:
                raise UsageError(
                    f"val_indices leave {size} samples for the {name} part, expected min_{name}_size {least} at least"
                )


def checked_indices(indices: Sequence[int] | NDArray[np.integer], size: int) -> NDArray[np.int64]:
    array = np.asarray(indices)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise UsageError(f"val_indices are {array.dtype} of shape {array.shape}, expected a flat list of whole numbers")
    if array.min() < 0 or array.max() >= size:
        raise UsageError(f"val_indices go from {array.min()} to {array.max()}, expected 0 to {size - 1}")
    if len(np.unique(array)) < len(array):
        raise UsageError("val_indices name a sample twice, expected each at most once")
    return array.astype(np.int64)
