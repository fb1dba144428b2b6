"""Fixtures that more than one module needs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WriteLeaf = Callable[..., Path]


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
