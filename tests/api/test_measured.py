"""`fedsynth.measure`, `compare` and `fit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth
from tests.commands import fedsynth as command

KNOWN_OF_FILES_ALONE = ("concept.", "clusters.", "left_out")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    fedsynth.generate(folder / "data", num_tasks=20, num_classes=3, num_dim=5, num_shards=2)
    fedsynth.preprocess(folder / "data", fraction=1.0, split="sample", sample_seed=1, split_seed=2)
    return folder


def of_samples(measures: dict[str, Any]) -> Any:
    """All that samples tell, to be compared but for the last digits: sums of several files are added otherwise."""
    return pytest.approx(samples(measures), rel=1e-12)


def samples(measures: dict[str, Any]) -> dict[str, float]:
    return flat({key: value for key, value in measures.items() if not key.startswith(KNOWN_OF_FILES_ALONE)})


def flat(value: Any, key: str = "") -> dict[str, float]:
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {name: number for part, inner in parts for name, number in flat(inner, f"{key}.{part}").items()}
    return {key: value}


@pytest.mark.parametrize("features", [True, False])
def test_measure_is_what_the_command_prints(made: Path, features: bool) -> None:
    printed = json.loads(command(made, "stats", "train", "--json", *([] if features else ["--no-features"])).stdout)
    assert json.loads(json.dumps(fedsynth.measure(made / "data/train", features=features))) == printed
    users = fedsynth.LeafDataset(made / "data/train", dtype="float32", cache=False)
    assert json.loads(json.dumps(fedsynth.measure(users, features=features))) == printed


def test_a_dataset_of_one_file_is_measured_with_its_truth(made: Path) -> None:
    users = fedsynth.LeafDataset(made / "data/all_data/all_data_0.json")
    found = fedsynth.measure(users)
    assert found["users"] == len(users) == 10
    assert found["concept.oracle_accuracy"] > 0.8
    assert samples(found) == of_samples(fedsynth.measure(dict(users)))


def plain(users: fedsynth.LeafDataset) -> dict[str, Any]:
    return {name: (user.features, user.labels) for name, user in users.items()}


def tensors(users: fedsynth.LeafDataset) -> dict[str, Any]:
    torch = pytest.importorskip("torch")
    return {name: (torch.tensor(x), list(torch.tensor(y))) for name, (x, y) in plain(users).items()}


@pytest.mark.parametrize(
    "take",
    [
        lambda users: plain(users),
        lambda users: dict(users),
        lambda users: {name: (x.tolist(), y.tolist()) for name, (x, y) in plain(users).items()},
        lambda users: tensors(users),
    ],
    ids=["arrays", "datasets", "lists", "tensors"],
)
def test_users_in_memory_are_measured_as_from_files(made: Path, take: Any) -> None:
    users = fedsynth.LeafDataset(made / "data/train")
    assert samples(fedsynth.measure(take(users))) == of_samples(fedsynth.measure(users))


def test_labels_alone_are_measured_without_features(made: Path) -> None:
    users = fedsynth.LeafDataset(made / "data/train")
    labels = {name: user.labels for name, user in users.items()}
    found = fedsynth.measure(labels)
    expected = fedsynth.measure(users, features=False)
    assert samples(found) == of_samples(expected)
    assert found["left_out"]["feature.between_share"] == "features were not asked for"
    assert "users in memory" in found["left_out"]["concept.disagreement"]
    assert samples(fedsynth.measure({**labels, "0": (users["0"].features, labels["0"])})) == of_samples(expected)


def test_a_partition_is_measured_by_its_labels_and_not_by_its_indices() -> None:
    labels = np.arange(300) % 3
    part = fedsynth.partition(labels, users=5, scheme="classes", classes=1)
    assert fedsynth.measure(part) == part.measure()
    assert fedsynth.measure(part)["label.classes_per_user"] == 1


@pytest.mark.parametrize(
    ("users", "error", "message"),
    [
        ({}, fedsynth.DataError, "there are no users to measure"),
        ({"a": ([[1.0]], [1, 2])}, fedsynth.DataError, 'user "a" has 1 entries in x but 2 in y'),
        ({"a": 5}, fedsynth.UsageError, 'user "a" has 5 for y; expected labels'),
        ({"a": "text"}, fedsynth.UsageError, "user \"a\" has 'text' for y; expected labels"),
        ({"a": {"x": [1], "y": [1]}}, fedsynth.UsageError, "expected labels, a tuple"),
        (5, fedsynth.UsageError, "data is 5, expected a folder's path"),
        ("nowhere", fedsynth.StageError, "nowhere: missing or empty"),
        (__file__, fedsynth.StageError, "a file, expected a folder"),
    ],
)
def test_what_can_not_be_measured_is_said(users: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        fedsynth.measure(users)


def test_a_dataset_whose_files_changed_is_not_measured(tmp_path: Path) -> None:
    own = {"a": ([[1.0], [2.0]], [0, 1]), "b": ([[1.0], [2.0]], [1, 1])}
    fedsynth.write_leaf(tmp_path / "own", own)
    users = fedsynth.LeafDataset(tmp_path / "own")
    fedsynth.write_leaf(tmp_path / "own", {**own, "b": ([[1.0], [2.0]], [0, 0])}, overwrite=True)
    with pytest.raises(fedsynth.DataError, match="changed since it was opened"):
        fedsynth.measure(users)


def test_folders_side_by_side(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    found = fedsynth.compare("data/train", fedsynth.LeafDataset("data/test"))
    assert found.measured == {name: fedsynth.measure(name) for name in ("data/train", "data/test")}
    assert repr(found) == command(made, "compare", "data/train", "data/test").stdout.rstrip("\n")
    with pytest.raises(fedsynth.UsageError, match="compared with itself"):
        fedsynth.compare("data/train", "data/train")
    with pytest.raises(fedsynth.UsageError, match="there are no folders"):
        fedsynth.compare()
    with pytest.raises(fedsynth.UsageError, match="data is a dict, expected a folder"):
        fedsynth.compare({"a": [1, 2]})  # type: ignore[arg-type]


def test_a_twin_is_generated_from_its_fit(made: Path, tmp_path: Path) -> None:
    twin = fedsynth.fit(made / "data/all_data", exact_sizes=True)
    again = fedsynth.generate(tmp_path / "twin", **twin.arguments)
    summary = ("users", "samples", "mean", "std", "std_over_mean", "skewness", "histogram")
    measured = {key: value for key, value in fedsynth.measure(again).items() if key not in summary}
    assert samples(measured) == of_samples(dict(twin.twins[0]))
    assert sorted(fedsynth.LeafDataset(again.path).num_samples) == sorted(
        fedsynth.LeafDataset(made / "data/all_data").num_samples
    )
    assert repr(twin).splitlines()[0].split() == ["real", "twin"]
    assert fedsynth.generate(tmp_path / "other", **fedsynth.fit(made / "data/all_data", seed=5).arguments).seed == 5
