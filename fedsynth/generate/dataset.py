"""Generate a whole dataset: one file of users, and the truth about them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fedsynth.generate.parameters import Parameters
from fedsynth.generate.streams import LeafStream
from fedsynth.generate.tasks import MODEL_SCALE, NOISE_SCALE
from fedsynth.generate.text import task_pieces
from fedsynth.leaf.reader import LeafIndex, Progress
from fedsynth.leaf.writer import FileStamp, LeafWriter


def write_dataset(
    path: Path, parameters: Parameters, progress: Progress
) -> tuple[FileStamp, LeafIndex, dict[str, Any]]:
    """Draw all tasks and write them as users "0", "1", ...; return the file's stamp and index, and the ground truth.

    Holds one task's samples and their text, and for each user its size, cluster and K numbers.
    """
    stream = LeafStream(parameters)
    users = [str(number) for number in range(parameters.num_tasks)]
    clusters, model_infos = [], []
    with LeafWriter(path, users, stream.sizes.tolist()) as writer:
        for task in stream.tasks():
            writer.write_user(*task_pieces(task))
            clusters.append(task.cluster)
            model_infos.append(task.model_info)
            progress(1)
        stamp, index = writer.finish()
    truth = {
        "user_ids": np.array(users),
        "cluster": np.array(clusters, dtype=np.int64),
        "model_info": np.stack(model_infos),
        "Q": stream.population.basis,
        "centers": stream.population.centers,
        "model_scale": MODEL_SCALE,
        "noise_scale": NOISE_SCALE,
        **asdict(parameters),
    }
    return stamp, index, truth
