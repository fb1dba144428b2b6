"""Generate a whole dataset: one file of users, and the truth about them."""

from __future__ import annotations

from pathlib import Path

from fedsynth.generate.models import MODELS, AnyParameters, recorded
from fedsynth.generate.text import task_pieces
from fedsynth.leaf.reader import LeafIndex, Progress
from fedsynth.leaf.stamp import FileStamp
from fedsynth.leaf.writer import LeafWriter
from fedsynth.truth import TruthWriter


def write_dataset(
    path: Path, truth_path: Path, parameters: AnyParameters, progress: Progress
) -> tuple[FileStamp, LeafIndex]:
    """Draw all tasks, write them as users "0", "1", ... and the ground truth; return the file's stamp and index.

    Holds one task's samples and their text, and for each user his name, size and, for LEAF's process, cluster and K
    numbers; for Synthetic(alpha, beta) D + 1.
    """
    stream = MODELS[parameters.model].stream(parameters)
    users = [str(number) for number in range(parameters.num_tasks)]
    sizes = stream.sizes.tolist()
    with TruthWriter(truth_path, users, sizes, recorded(parameters)) as truth, LeafWriter(path, users, sizes) as writer:
        for task in stream.tasks():
            writer.write_user(*task_pieces(task))
            truth.add(task.truth)
            progress(1)
        truth.finish(stream.shared_truth)
        return writer.finish()
