"""What the tests of clients share: an export of a small dataset, and libraries that ask nobody on the internet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

os.environ |= {
    "FLWR_TELEMETRY_ENABLED": "0",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

DIMENSIONS, CLASSES = 10, 5


_WARNINGS = (
    "ignore:The pynvml package is deprecated:FutureWarning",  # torch's, of what else is installed
    "ignore:.*fork.*:DeprecationWarning",
    "ignore::ResourceWarning",  # datasets' and Ray's, of files that they leave open
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the libraries' own warnings pass, in the tests of this folder alone."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            for warning in _WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@dataclass(frozen=True)
class Made:
    """A data folder, and its exports by format."""

    data: Path
    exports: dict[str, Path]

    def users(self, side: str) -> dict[str, tuple[Any, Any]]:
        """Each user's x and y, as fedsynth's own loader has them."""
        from fedsynth import LeafDataset

        found = LeafDataset(self.data / side)
        return {user: (found[user].features, found[user].labels) for user in found.user_ids}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A small dataset in all formats; only to be read."""
    pytest.importorskip("pyarrow")
    from tests.commands import fedsynth

    cwd = tmp_path_factory.mktemp("clients")
    generate = ("generate", "-model", "fedprox", "-beta", 0.5, "-num-tasks", 30)  # users who can learn together
    fedsynth(cwd, *generate, "-num-dim", DIMENSIONS, "-num-classes", CLASSES)
    fedsynth(
        cwd, *("preprocess", "-s", "niid", "--sf", 1.0, "-k", 20, "-t", "sample", "--smplseed", 1, "--spltseed", 2)
    )
    exports = {}
    for name in ("huggingface", "parquet", "arrow", "pfllib"):
        exports[name] = cwd / name
        fedsynth(cwd, "export", "--to", name, exports[name])
    return Made(cwd / "data", exports)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Hugging Face's library keep nothing between tests."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    if "datasets" in __import__("sys").modules:
        import datasets

        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf/datasets")
