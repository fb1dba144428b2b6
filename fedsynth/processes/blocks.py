"""Users in blocks: what small users cost is mostly the calls, of which a block of some hundred users makes few."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fedsynth.processes.tasks import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_NUMBERS = 1 << 12
"""Numbers of one block, of x, logits and models: with 32 kB, and 80 kB of text, all stays in the processor's cache."""
MOST_USERS = 512


@dataclass(frozen=True)
class Block:
    """Consecutive users of any process. sizes: [users], how many samples each has; x: [sum of sizes, D]; y: likewise.

    truth: what is true of each user, by name, [users, ...]: `TruthWriter.extend` takes it.
    """

    sizes: Sequence[int]
    x: Floats
    y: Ints
    truth: Mapping[str, NDArray[Any]]


def cut_blocks(
    tasks: range, sizes: Sequence[int], num_dim: int, num_classes: int
) -> Iterator[tuple[range, Sequence[int]]]:
    """Cut tasks into blocks of as many as there is room for, at least one; yield each's tasks and their sizes."""
    of_sample, of_model = num_dim + num_classes, (num_dim + 1) * num_classes
    first = numbers = 0
    for number, size in enumerate(sizes):
        own = size * of_sample + of_model
        if number > first and (numbers + own > MOST_NUMBERS or number - first == MOST_USERS):
            yield tasks[first:number], sizes[first:number]
            first, numbers = number, 0
        numbers += own
    yield tasks[first:], sizes[first:]


def gather(tasks: Sequence[Task]) -> Block:
    """Put tasks together, at least one; a single one's samples are not copied."""
    first = tasks[0]
    one = len(tasks) == 1
    return Block(
        sizes=[len(task.y) for task in tasks],
        x=first.x if one else np.concatenate([task.x for task in tasks]),
        y=first.y if one else np.concatenate([task.y for task in tasks]),
        truth={name: np.array([task.truth[name] for task in tasks]) for name in first.truth},
    )
