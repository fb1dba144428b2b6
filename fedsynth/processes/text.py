"""The text of a task."""

from __future__ import annotations

from collections.abc import Iterator

from fedsynth.leaf.text import encode_rows, user_pieces
from fedsynth.processes.tasks import Task

__all__ = ["encode_rows", "task_pieces"]


def task_pieces(task: Task) -> Iterator[bytes]:
    """Yield the text of a task's user in pieces of at most 32 rows."""
    return user_pieces(task.x, task.y)
