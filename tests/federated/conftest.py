"""Fixtures that several modules of this folder need."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedsynth import generate


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 20 users in two shards; nobody writes into it."""
    folder = tmp_path_factory.mktemp("generated")
    generate(folder / "data", num_tasks=20, num_dim=5, prob_clusters=[0.5, 0.5], num_shards=2)
    return folder / "data/all_data"
