"""Fixtures that more than one module needs."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no fault
settings.load_profile("untimed")

WriteLeaf = Callable[..., Path]


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let Ctrl-C have its usual effect, here and in what is started: in a background job all that would ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def write_leaf(tmp_path: Path) -> WriteLeaf:
    """Write a LEAF file from `{user: (x, y)}`, with other heads or further keys where given."""

    def write(
        users: dict[str, tuple[list[Any], list[Any]]], path: str = "data/all_data/all_data.json", **head: Any
    ) -> Path:
        content = {
            "users": list(users),
            "num_samples": [len(y) for _, y in users.values()],
            "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
            **head,
        }
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content))
        return file

    return write
