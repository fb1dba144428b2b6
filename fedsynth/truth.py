"""The ground truth beside the data, `meta/truth.npz`: the models that LEAF draws its labels from, and throws away."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE_NAME = "truth.npz"


def save_truth(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write named arrays to a new file; the same arrays give the same bytes.

    fedsynth's generator writes user_ids [users] str, cluster [users] int64, model_info [users, K], Q [D+1, C, K]
    (row 0 is the bias), centers [K, K], prob_clusters [K], model_scale and noise_scale (the standard deviations of the
    models around their centre and of the noise on the logits), seed, num_tasks, num_classes and num_dim. A user's true
    model is `Q @ model_info[user]`, [D+1, C].
    """
    import numpy as np

    with path.open("xb") as file:
        np.savez(file, **arrays)


def load_truth(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays that `save_truth` wrote. Raises OSError, or ValueError if it is no such file."""
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)
