"""The ground truth follows its users, and another dataset's is never taken for theirs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth.errors import DataError
from fedsynth.pipeline.stats import measure
from fedsynth.records.layout import json_files
from fedsynth.truth import Truth, TruthWriter, find_truth, load_truth, true_models
from tests.commands import fedsynth, generate

CLUSTERS = ("-prob-clusters", "0.5,0.3,0.2", "-num-dim", "4")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data and meta: all stages, niid, split by sample."""
    folder = tmp_path_factory.mktemp("made")
    generate(folder, 60, *CLUSTERS)
    fedsynth(folder, "preprocess", "-s", "niid", "--sf", "0.6", "-k", "8", "-t", "sample", "--smplseed", 1)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def found(folder: Path) -> tuple[Truth | None, str]:
    files = json_files(folder)
    content = json.loads(files[0].read_text())
    return find_truth(files, folder.parent.parent / "meta", content["users"], content["num_samples"])


@pytest.mark.parametrize("stage", ["all_data", "sampled_data", "rem_user_data", "train", "test"])
def test_truth_is_matched_by_user(stage: str, made: Path) -> None:
    truth, reason = found(made / "data" / stage)
    assert truth is not None
    assert reason == ""
    everyone = load_truth(made / "meta/truth.npz")
    content = json.loads(json_files(made / "data" / stage)[0].read_text())
    assert list(truth.user_ids) == content["users"]
    assert list(truth.num_samples) == content["num_samples"]
    for number, user in enumerate(content["users"]):
        original = everyone.user_ids.index(user)
        assert truth.cluster is not None and everyone.cluster is not None
        assert truth.cluster[number] == everyone.cluster[original]
        np.testing.assert_array_equal(true_models(truth, [number]), true_models(everyone, [original]))


def test_true_models_are_those_that_gave_the_labels(made: Path) -> None:
    for stage in ("all_data", "train", "test"):
        assert measure(made / "data" / stage)["concept.oracle_accuracy"] > 0.9


def test_clusters_are_counted_among_the_users_left(made: Path) -> None:
    sizes = [sum(measure(made / "data" / stage)["clusters.sizes"]) for stage in ("all_data", "train")]
    users = [
        len(json.loads(json_files(made / "data" / stage)[0].read_text())["users"]) for stage in ("all_data", "train")
    ]
    assert sizes == users
    assert users[1] < users[0]


def test_after_iid_sampling_there_is_none(copy: Path) -> None:
    fedsynth(copy, "preprocess", "-s", "iid", "--iu", "0.2", "--sf", "0.5", "-k", "5", "-t", "sample", "--overwrite")
    for stage in ("sampled_data", "rem_user_data", "train", "test"):
        assert found(copy / "data" / stage) == (None, "the users are new after iid sampling")
        measures = measure(copy / "data" / stage)
        assert "concept.disagreement" not in measures
        assert measures["left_out"]["clusters.sizes"] == "the users are new after iid sampling"
    shutil.rmtree(copy / "meta", ignore_errors=True)
    generate(copy.parent, 60, *CLUSTERS)
    shutil.copytree(copy.parent / "meta", copy / "meta")
    (copy / "meta/manifest.json").unlink()  # the file's name is all that tells
    assert found(copy / "data/train") == (None, "the users are new after iid sampling")


def test_without_the_file_measures_say_so(copy: Path) -> None:
    (copy / "meta/truth.npz").unlink()
    reason = measure(copy / "data/train")["left_out"]["concept.oracle_accuracy"]
    assert reason.startswith("there is no ground truth")


def test_copied_data_with_new_times_is_recognised(copy: Path) -> None:
    for file in (copy / "data").rglob("*.json"):
        os.utime(file, ns=(1, 1))
    assert found(copy / "data/train")[0] is not None


def other_truth(folder: Path, *options: Any) -> Path:
    folder.mkdir()
    generate(folder, 60, *options)
    return folder / "meta/truth.npz"


@pytest.mark.parametrize("stage", ["all_data", "train"])
def test_truth_of_another_seed_is_an_error(stage: str, copy: Path, tmp_path: Path) -> None:
    shutil.copy(other_truth(tmp_path / "other", *CLUSTERS, "-seed", "5"), copy / "meta/truth.npz")
    with pytest.raises(DataError, match="belongs to another dataset, made with seed 5"):
        measure(copy / "data" / stage)
    result = fedsynth(copy, "stats", stage, check=1)
    assert "belongs to another dataset" in result.stderr
    assert result.stdout == ""


def test_truth_of_other_parameters_is_an_error(copy: Path, tmp_path: Path) -> None:
    shutil.copy(other_truth(tmp_path / "other", *CLUSTERS, "-noise", "0.5"), copy / "meta/truth.npz")
    with pytest.raises(DataError, match=r"made with noise 0\.5, but the data was generated with noise 0\.1"):
        measure(copy / "data/train")


def test_truth_of_another_dataset_is_an_error_without_a_manifest_too(copy: Path, tmp_path: Path) -> None:
    shutil.copy(other_truth(tmp_path / "other", *CLUSTERS, "-seed", "5"), copy / "meta/truth.npz")
    (copy / "meta/manifest.json").unlink()
    with pytest.raises(DataError, match="belongs to another dataset, user"):
        measure(copy / "data/all_data")


def test_truth_of_data_that_was_replaced_is_an_error(copy: Path, tmp_path: Path) -> None:
    other_truth(tmp_path / "other", *CLUSTERS, "-seed", "5")
    shutil.copy(tmp_path / "other/data/all_data/all_data.json", copy / "data/all_data/all_data.json")
    with pytest.raises(DataError, match="is not the file that was generated with it"):
        measure(copy / "data/all_data")


def test_stages_made_of_older_data_are_not_measured_with_newer_truth(copy: Path) -> None:
    generate(copy, 60, *CLUSTERS, "-seed", "5", "--overwrite")
    with pytest.raises(DataError, match="is not the file that was generated with it"):
        measure(copy / "data/train")


def test_features_that_the_models_do_not_fit_are_an_error(write_leaf: Any, tmp_path: Path) -> None:
    write_leaf({"0": ([[1.0, 2.0]], [0])})
    write_truth(tmp_path / "meta/truth.npz", sizes=[1], dim=3)
    with pytest.raises(DataError, match="2 features where its models have 3"):
        measure(tmp_path / "data/all_data")


def test_labels_that_the_models_do_not_know_are_an_error(write_leaf: Any, tmp_path: Path) -> None:
    write_leaf({"0": ([[1.0, 2.0, 3.0]], [2])})
    write_truth(tmp_path / "meta/truth.npz", sizes=[1], dim=3)
    with pytest.raises(DataError, match="labels that are not 0 to 1"):
        measure(tmp_path / "data/all_data")


def write_truth(path: Path, *, sizes: list[int], dim: int) -> None:
    path.parent.mkdir()
    users = [str(number) for number in range(len(sizes))]
    with TruthWriter(path, len(users)) as writer:
        for _ in users:
            writer.add({"models": np.zeros((dim + 1, 2))})
        writer.finish(users, sizes, {"model": "test", "seed": 0}, {})


def test_changed_file_does_not_fit_its_checksum(made: Path, tmp_path: Path) -> None:
    with np.load(made / "meta/truth.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "truth.npz", **{**arrays, "seed": arrays["seed"] + 1})
    with pytest.raises(DataError, match="checksum does not fit"):
        load_truth(tmp_path / "truth.npz")


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x03\x04 cut off"])
def test_damaged_file_is_an_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "truth.npz").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        load_truth(tmp_path / "truth.npz")


def test_half_a_file_is_an_error(made: Path, tmp_path: Path) -> None:
    (tmp_path / "truth.npz").write_bytes((made / "meta/truth.npz").read_bytes()[:-200])
    with pytest.raises(DataError, match="damaged"):
        load_truth(tmp_path / "truth.npz")


def test_the_file_holds_what_the_readme_says(made: Path) -> None:
    with np.load(made / "meta/truth.npz") as file:
        arrays = dict(file)
    assert arrays["Q"].shape == (5, 5, 3)
    assert arrays["centers"].shape == (3, 3)
    assert arrays["model_info"].shape == (60, 3)
    assert arrays["cluster"].shape == (60,)
    assert arrays["prob_clusters"].tolist() == [0.5, 0.3, 0.2]
    assert (arrays["model_spread"], arrays["noise"], arrays["seed"]) == (0.1, 0.1, 931231)
    truth = load_truth(made / "meta/truth.npz")
    np.testing.assert_allclose(true_models(truth, [7])[0], arrays["Q"] @ arrays["model_info"][7], rtol=1e-12)


def test_the_same_truth_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    path = other_truth(tmp_path / "again", *CLUSTERS)
    assert path.read_bytes() == (made / "meta/truth.npz").read_bytes()
