"""The ground truth of loaded users."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import fedsynth as package
from fedsynth.errors import DataError, StageError
from fedsynth.truth import load_truth
from tests.commands import fedsynth, generate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    generate(folder, 30, "-prob-clusters", "0.5,0.5", "-num-dim", "3", "-noise", "0")
    fedsynth(folder, "preprocess", "-s", "niid", "--sf", "0.7", "-t", "sample")
    return folder


@pytest.mark.parametrize("subset", ["all_data", "train", "test"])
def test_users_have_their_cluster_and_model(subset: str, made: Path) -> None:
    dataset = package.LeafDataset(made / "data" / subset)
    truth = load_truth(made / "meta/truth.npz")
    assert truth.cluster is not None
    for user in dataset:
        data = dataset[user]
        assert data.metadata["cluster"] == truth.cluster[list(truth.user_ids).index(user)]
        model = dataset.true_model(user)
        assert model.shape == (4, 5)
        np.testing.assert_array_equal(np.argmax(data.features @ model[1:] + model[0], axis=1), data.labels)


def test_splits_have_clusters_too(made: Path) -> None:
    federated = package.load_splits(made / "data")
    user, _ = next(federated)
    assert user.metadata["cluster"] in (0, 1)


def test_truth_survives_pickling(made: Path) -> None:
    dataset = package.LeafDataset(made / "data/train")
    user = dataset.user_ids[3]
    expected = dataset.true_model(user)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again.true_model(user), expected)
    assert again[user].metadata == dataset[user].metadata


def test_without_truth_users_have_none(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "data", tmp_path / "data")
    dataset = package.LeafDataset(tmp_path / "data/train")
    assert dataset[dataset.user_ids[0]].metadata == {}
    with pytest.raises(StageError, match="there is no ground truth"):
        dataset.true_model(dataset.user_ids[0])


def test_after_iid_sampling_there_is_no_true_model(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    fedsynth(tmp_path / "copy", "preprocess", "-s", "iid", "--iu", "0.2", "--sf", "0.5", "--overwrite")
    dataset = package.LeafDataset(tmp_path / "copy/data/sampled_data")
    assert "cluster" not in dataset["0"].metadata
    with pytest.raises(StageError, match="new after iid sampling"):
        dataset.true_model("0")


def test_another_datasets_truth_is_an_error(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    (tmp_path / "other").mkdir()
    generate(tmp_path / "other", 30, "-prob-clusters", "0.5,0.5", "-num-dim", "3", "-seed", "9")
    shutil.copy(tmp_path / "other/meta/truth.npz", tmp_path / "copy/meta/truth.npz")
    dataset = package.LeafDataset(tmp_path / "copy/data/train")
    with pytest.raises(DataError, match="belongs to another dataset"):
        dataset.true_model(dataset.user_ids[0])


def test_an_unknown_user_has_no_model(made: Path) -> None:
    with pytest.raises(KeyError):
        package.LeafDataset(made / "data/train").true_model("nobody")
