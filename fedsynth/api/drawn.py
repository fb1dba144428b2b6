"""`fedsynth.draw`."""

from __future__ import annotations

import os
from pathlib import Path

from fedsynth.api.arguments import folder_path
from fedsynth.api.running import choose_bar
from fedsynth.pipeline.stats import describe, require_data
from fedsynth.pipeline.stats import draw as draw_pictures


def draw(folder: str | os.PathLike[str], *, name: str | None = None, progress: bool = False) -> dict[str, Path]:
    """Draw what `fedsynth stats` draws of a folder, beside it.

    Args:
        folder: A folder of LEAF's files, such as `data/train`.
        name: The dataset's name, in the titles and in the names of the files; by default that of a partition's source,
            or synthetic.
        progress: Show a bar, in a notebook or on standard error.

    Returns:
        The pictures' files: `hist`, the numbers of samples, and `hist_nolabel`, LEAF's plain one; `labels`, users and
        their classes, where labels are classes; `models`, the true models, where these are known.

    Raises:
        StageError: The folder has no data, or it is stale.
        DataError: A file is damaged.

    Examples:
        >>> import fedsynth
        >>> made = fedsynth.generate(num_tasks=20, seed=1)
        >>> sorted(fedsynth.draw("data/all_data"))
        ['hist', 'hist_nolabel', 'labels', 'models']
    """
    path = require_data(folder_path("folder", folder))
    described = describe(path, features=False, bar=choose_bar(progress))
    drawn = draw_pictures(path, name or described.called or "synthetic", described)
    start = drawn[0].name.removesuffix("hist.png")
    return {picture.name.removeprefix(start).removesuffix(".png"): picture for picture in drawn}
