"""The ground truth follows its users, and another dataset's is never taken for theirs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth import LeafDataset, load
from fedsynth.errors import DataError, StageError
from fedsynth.pipeline.stats import measure, summarize_folder
from fedsynth.records.layout import json_files
from fedsynth.records.origin import find_origin
from fedsynth.records.stamp import stamp_file
from fedsynth.truth import NoTruth, Truth, TruthWriter, find_truth, load_truth, true_models
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


def found(folder: Path) -> Truth | NoTruth:
    content = json.loads(json_files(folder)[0].read_text())
    return find_truth(find_origin(folder), folder.parent.parent / "meta", content["users"], content["num_samples"])


@pytest.mark.parametrize("stage", ["all_data", "sampled_data", "rem_user_data", "train", "test"])
def test_truth_is_matched_by_user(stage: str, made: Path) -> None:
    truth = found(made / "data" / stage)
    assert isinstance(truth, Truth)
    everyone = load_truth(made / "meta/truth.npz")
    content = json.loads(json_files(made / "data" / stage)[0].read_text())
    assert list(truth.user_ids) == content["users"]
    assert list(truth.num_samples) == content["num_samples"]
    for number, user in enumerate(content["users"]):
        original = list(everyone.user_ids).index(user)
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
        assert found(copy / "data" / stage) == NoTruth("the users are new after iid sampling")
        measures = measure(copy / "data" / stage)
        assert "concept.disagreement" not in measures
        assert measures["left_out"]["clusters.sizes"] == "the users are new after iid sampling"


def test_without_the_file_measures_say_so(copy: Path) -> None:
    (copy / "meta/truth.npz").unlink()
    reason = measure(copy / "data/train")["left_out"]["concept.oracle_accuracy"]
    assert reason.startswith("there is no ground truth")


def test_copied_data_with_new_times_is_recognised(copy: Path) -> None:
    for file in (copy / "data").rglob("*.json"):
        os.utime(file, ns=(1, 1))
    assert isinstance(found(copy / "data/train"), Truth)


def test_copies_elsewhere_in_the_data_folder_are_recognised(copy: Path) -> None:
    shutil.copytree(copy / "data/train", copy / "data/my_train")
    assert isinstance(found(copy / "data/my_train"), Truth)
    fedsynth(copy, "preprocess", "-s", "iid", "--iu", "0.2", "--sf", "0.5", "--overwrite")
    shutil.copytree(copy / "data/sampled_data", copy / "data/mine")
    assert found(copy / "data/mine") == NoTruth("the users are new after iid sampling")


def test_nothing_is_claimed_of_users_of_whom_nothing_tells_where_they_are_from(copy: Path) -> None:
    """iid output elsewhere has users 0, 1, ... too; without a manifest only all_data itself is known."""
    (copy / "meta/manifest.json").unlink()
    assert isinstance(found(copy / "data/all_data"), Truth)
    for stage in ("sampled_data", "train"):
        assert isinstance(found(copy / "data" / stage), NoTruth)
        assert "clusters.sizes" not in measure(copy / "data" / stage)


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


def test_truth_of_another_dataset_is_not_claimed_without_a_manifest(copy: Path, tmp_path: Path) -> None:
    """The same default seed gives the same users and sizes."""
    shutil.copy(other_truth(tmp_path / "other", *CLUSTERS, "-noise", "5"), copy / "meta/truth.npz")
    (copy / "meta/manifest.json").unlink()
    assert "nothing tells" in measure(copy / "data/all_data")["left_out"]["concept.oracle_accuracy"]


def test_data_that_replaces_what_was_generated_is_measured_without_truth(copy: Path, tmp_path: Path) -> None:
    other_truth(tmp_path / "other", *CLUSTERS, "-noise", "5")
    shutil.copy(tmp_path / "other/data/all_data/all_data.json", copy / "data/all_data/all_data.json")
    result = fedsynth(copy, "stats", "--json")
    assert "not what `generate` made" in result.stderr
    assert "not what `generate` made" in json.loads(result.stdout)["left_out"]["concept.oracle_accuracy"]
    dataset = LeafDataset(copy / "data/all_data")
    assert "cluster" not in dataset["0"].metadata
    fedsynth(copy, "preprocess", "-t", "--overwrite")
    assert "nothing tells" in measure(copy / "data/train")["left_out"]["concept.oracle_accuracy"]


def test_another_datasets_train_in_place_of_ones_own_is_an_error(copy: Path, tmp_path: Path) -> None:
    other = other_truth(tmp_path / "other", *CLUSTERS, "-noise", "5").parent.parent
    fedsynth(other, "preprocess", "-s", "niid", "--sf", "0.6", "-k", "8", "-t", "sample", "--smplseed", 1)
    shutil.copy(json_files(other / "data/train")[0], json_files(copy / "data/train")[0])
    for describe in (measure, LeafDataset):
        with pytest.raises(StageError, match="has changed since `split` made it"):
            describe(copy / "data/train")


@pytest.mark.parametrize("sampling", [("-s", "niid"), ("-s", "iid")], ids=str)
@pytest.mark.parametrize("gone", [(), ("sampled_data",), ("sampled_data", "rem_user_data")], ids=str)
@pytest.mark.parametrize("without_truth", [False, True])
def test_stages_made_of_older_data_are_stale_for_all_who_read_them(
    sampling: tuple[str, ...], gone: tuple[str, ...], without_truth: bool, copy: Path
) -> None:
    fedsynth(copy, "preprocess", *sampling, "--sf", 1, "-k", 2, "-t", "sample", "--overwrite")
    generate(copy, 80, *CLUSTERS, "-seed", "5", "--overwrite")
    for name in gone:
        shutil.rmtree(copy / "data" / name)
    if without_truth:
        (copy / "meta/truth.npz").unlink()
    for read in (measure, LeafDataset, summarize_folder, load_any):
        with pytest.raises(StageError, match="stale") as caught:
            read(copy / "data/train")
        assert "overwrite" in str(caught.value)
    for command in (("stats", "train"), ("stats", "train", "--no-measures"), ("stats", "--json", "train")):
        result = fedsynth(copy, *command, check=1)
        assert "stale" in result.stderr
        assert "--overwrite" in result.stderr
        assert result.stdout == ""


def load_any(folder: Path) -> object:
    return load(folder.parent, folder.name)


def test_one_file_of_several_has_its_truth_too(tmp_path: Path) -> None:
    generate(tmp_path, 60, *CLUSTERS, "-num-shards", 3)
    fedsynth(tmp_path, "preprocess", "-t")
    for stage in ("all_data", "train"):
        for file in json_files(tmp_path / "data" / stage):
            assert all("cluster" in user.metadata for user in map(LeafDataset(file).__getitem__, LeafDataset(file)))


@pytest.mark.parametrize("shards", [1, 3])
def test_file_added_to_generated_data_is_an_error_however_many_there_are(shards: int, tmp_path: Path) -> None:
    data = generate(tmp_path, 60, *CLUSTERS, "-num-shards", shards)
    content = {"users": ["a"], "num_samples": [2], "user_data": {"a": {"x": [1, 2], "y": [0, 1]}}}
    (data / "all_data/more.json").write_text(json.dumps(content))
    for command in (("stats",), ("preprocess", "-t"), ("stats", "--no-measures")):
        assert "more.json is new" in fedsynth(tmp_path, *command, check=1).stderr
    with pytest.raises(StageError, match=r"more\.json is new"):
        LeafDataset(data / "all_data")
    for file in (data / "all_data").glob("all_data*.json"):
        file.unlink()  # now it is wholly other data
    assert "taken as other data" in fedsynth(tmp_path, "preprocess", "-t").stderr


def test_features_that_the_models_do_not_fit_are_an_error(write_leaf: Any, tmp_path: Path) -> None:
    write_leaf({"0": ([[1.0, 2.0]], [0])})
    write_truth(tmp_path / "meta/truth.npz", sizes=[1], dim=3, data=tmp_path / "data/all_data/all_data.json")
    with pytest.raises(DataError, match="2 features where its models have 3"):
        measure(tmp_path / "data/all_data")


def test_labels_that_the_models_do_not_know_are_an_error(write_leaf: Any, tmp_path: Path) -> None:
    write_leaf({"0": ([[1.0, 2.0, 3.0]], [2])})
    write_truth(tmp_path / "meta/truth.npz", sizes=[1], dim=3, data=tmp_path / "data/all_data/all_data.json")
    with pytest.raises(DataError, match="labels that are not 0 to 1"):
        measure(tmp_path / "data/all_data")


def write_truth(path: Path, *, sizes: list[int], dim: int, data: Path) -> None:
    path.parent.mkdir()
    users = [str(number) for number in range(len(sizes))]
    with TruthWriter(path, len(users)) as writer:
        for _ in users:
            writer.add({"models": np.zeros((dim + 1, 2))})
        writer.finish(users, sizes, {"model": "test", "seed": 0}, {}, data=[stamp_file(data)])


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
