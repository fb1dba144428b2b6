"""From the pipeline's files to federated datasets."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth.errors import DataError, StageError, UsageError
from fedsynth.federated import (
    DatasetSplit,
    DistributedContext,
    FederatedDataset,
    LeafDataset,
    TabularDataset,
    load,
    load_splits,
    use_context,
)
from fedsynth.leaf import lazy
from fedsynth.system import read_at
from tests.commands import ROOT, fedsynth, generate
from tests.conftest import WriteLeaf
from tests.federated.reference import pfl

SHAPES = ROOT / "tests/inputs"
USERS = {"b": ([[1, 2.5], [3, 4]], [0, 1]), "a": ([[5.0, 6.0]], [2])}


@pytest.fixture(scope="module")
def pipeline_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data that the pipeline made: train and test by sample."""
    folder = tmp_path_factory.mktemp("pipeline")
    data = generate(folder, 30)
    fedsynth(folder, "preprocess", "-s", "niid", "--sf", "1.0", "-k", "5", "-t", "sample", "--tf", "0.6")
    return data


def plain(folder: Path) -> dict[str, Any]:
    return {
        user: samples
        for path in sorted(folder.glob("*.json"))
        for user, samples in json.loads(path.read_text())["user_data"].items()
    }


def test_users_come_in_the_order_of_the_file(write_leaf: WriteLeaf) -> None:
    dataset = LeafDataset(write_leaf(USERS))
    assert dataset.user_ids == list(dataset) == ["b", "a"]
    assert dataset.num_samples == [2, 1]
    assert dataset.hierarchies is None
    assert len(dataset) == 2
    assert "a" in dataset
    assert "c" not in dataset


def test_a_user_is_arrays_of_float64_and_int64(write_leaf: WriteLeaf) -> None:
    user = LeafDataset(write_leaf(USERS))["b"]
    assert type(user) is TabularDataset
    assert (user.user_id, user.metadata) == ("b", {})
    assert (user.features.dtype, user.labels.dtype) == (np.float64, np.int64)
    assert user.features.tolist() == [[1.0, 2.5], [3.0, 4.0]]
    assert user.labels.tolist() == [0, 1]


def test_other_dtypes_by_argument(write_leaf: WriteLeaf) -> None:
    user = LeafDataset(write_leaf(USERS), dtype="float32", label_dtype=np.uint8)["b"]
    assert (user.features.dtype, user.labels.dtype) == (np.float32, np.uint8)


@pytest.mark.parametrize("cache", [False, True])
def test_arrays_are_what_json_says(pipeline_data: Path, cache: bool) -> None:
    for subset in ("train", "test", "all_data"):
        dataset = LeafDataset(pipeline_data / subset, cache=cache)
        expected = plain(pipeline_data / subset)
        assert dataset.user_ids == list(expected)
        for user in dataset:
            assert dataset[user].features.tolist() == expected[user]["x"]
            assert dataset[user].labels.tolist() == expected[user]["y"]


def test_files_count_in_natural_order_with_their_hierarchies(write_leaf: WriteLeaf) -> None:
    write_leaf({"x": ([[1]], [1])}, "data/all_data/d_10.json", hierarchies=["play"])
    file = write_leaf({"y": ([[2]], [2])}, "data/all_data/d_2.json")
    (file.parent / ".hidden.json").write_text("no")
    dataset = LeafDataset(file.parent)
    assert dataset.user_ids == ["y", "x"]
    assert dataset.hierarchies == [None, "play"]
    assert dataset["x"].metadata == {"hierarchy": "play"}
    assert dataset["y"].metadata == {}


def test_one_user_in_two_files_is_an_error_that_names_both(write_leaf: WriteLeaf) -> None:
    write_leaf(USERS, "data/all_data/d_0.json")
    file = write_leaf({"a": ([[2]], [2])}, "data/all_data/d_1.json")
    with pytest.raises(DataError, match=r'user "a" is in .*d_0\.json and in .*d_1\.json'):
        LeafDataset(file.parent)


@pytest.mark.parametrize("shape", ["shk", "sent", "shklong"])
def test_leafs_data_shapes_load(shape: str) -> None:
    dataset = LeafDataset(SHAPES / shape)
    expected = plain(SHAPES / shape)
    assert dataset.user_ids == list(expected)
    for user in dataset:
        assert dataset[user].features.dtype == object
        assert dataset[user].features.tolist() == expected[user]["x"]
        assert dataset[user].labels.tolist() == expected[user]["y"]
    assert (dataset.hierarchies is None) == (shape == "sent")


def test_strings_are_not_cached_but_load_all_the_same(tmp_path: Path) -> None:
    dataset = LeafDataset(SHAPES / "shk", cache=tmp_path)
    assert dataset["ROMEO"].features.dtype == object
    assert list(tmp_path.iterdir()) == []


def test_samples_of_different_lengths_stay_objects(write_leaf: WriteLeaf) -> None:
    user = LeafDataset(write_leaf({"u": ([[1], [2, 3]], [0, 1])}))["u"]
    assert (user.features.dtype, user.features.shape) == (object, (2,))
    assert user.features.tolist() == [[1], [2, 3]]


@pytest.mark.parametrize("x", [["1", "2"], [1.5, "2"], [None, 1]])
def test_numbers_are_not_made_of_strings_or_null(write_leaf: WriteLeaf, x: list[Any]) -> None:
    assert LeafDataset(write_leaf({"u": (x, [0, 1])}))["u"].features.tolist() == x


def test_labels_that_are_no_whole_numbers_need_another_dtype(write_leaf: WriteLeaf) -> None:
    file = write_leaf({"u": ([[1.0], [2.0]], [1.0, 0.5])})
    with pytest.raises(DataError, match=r'user "u" has 0\.5 among values to load as int64'):
        LeafDataset(file)["u"]
    assert LeafDataset(file, label_dtype=float)["u"].labels.tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("label", "label_dtype", "named"),
    [
        (300, "uint8", "300"),
        (-1, "uint8", "-1"),
        (2, bool, "2"),
        (2**63, "int64", str(2**63)),
        (float(2**63), "int64", r"9\.2\d*e\+18"),
        (1e30, "int64", r"1e\+30"),
        (1e300, "float32", r"1e\+300"),
        (70000, "float16", "70000"),
    ],
)
def test_labels_that_their_type_cannot_hold_are_an_error(
    write_leaf: WriteLeaf, label: Any, label_dtype: Any, named: str
) -> None:
    file = write_leaf({"u": ([[1.0]], [label])})
    dtype = np.dtype(label_dtype)
    with pytest.raises(DataError, match=f'user "u" has {named} among values to load as {dtype}, .*pass another dtype'):
        LeafDataset(file, label_dtype=label_dtype)["u"]


@pytest.mark.parametrize(("label", "label_dtype"), [(255, "uint8"), (-(2**63), "int64"), (2**63 - 1, "int64")])
def test_labels_at_the_ends_of_their_type_load(write_leaf: WriteLeaf, label: int, label_dtype: str) -> None:
    file = write_leaf({"u": ([[1.0]], [label])})
    assert LeafDataset(file, label_dtype=label_dtype)["u"].labels.tolist() == [label]


@pytest.mark.parametrize(
    ("number", "message"),
    [("9" * 5000, "a number of 5,000 digits among values"), ("1e400", "inf among values to load as")],
)
def test_numbers_beyond_python_are_an_error(write_leaf: WriteLeaf, number: str, message: str) -> None:
    file = write_leaf({"u": ([[7.25]], [1])})
    file.write_text(file.read_text().replace("7.25", number))
    with pytest.raises(DataError, match=f'user "u" has {message}'):
        LeafDataset(file)["u"]


@pytest.mark.parametrize("cache", [False, True])
def test_a_user_without_samples_has_the_others_width(write_leaf: WriteLeaf, cache: bool) -> None:
    user = LeafDataset(write_leaf({"u": ([], []), **USERS}), cache=cache)["u"]
    assert (user.features.shape, user.labels.shape) == ((0, 2), (0,))
    assert (user.features.dtype, user.labels.dtype) == (np.float64, np.int64)


@pytest.mark.parametrize("cache", [False, True])
def test_a_user_without_samples_loads(write_leaf: WriteLeaf, cache: bool) -> None:
    assert LeafDataset(write_leaf({"u": ([], [])}), cache=cache)["u"].features.shape == (0,)


@pytest.mark.parametrize("arguments", [{"dtype": "foo"}, {"label_dtype": "foo"}, {"dtype": "U3"}, {"dtype": "M8[s]"}])
def test_types_that_are_not_of_numbers_are_an_error(write_leaf: WriteLeaf, arguments: Any) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(arguments))} is .*, such as 'float32'"):
        LeafDataset(write_leaf(USERS), **arguments)


def test_folders_with_a_files_name_are_an_error(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    (file.parent / "x.json").mkdir()
    with pytest.raises(StageError, match=r"x\.json: a folder, expected a regular file"):
        LeafDataset(file.parent)


@pytest.mark.parametrize(
    ("hierarchies", "message"),
    [([], "2 users but 0 entries in hierarchies"), ("pq", 'expected a list "hierarchies", found str')],
)
def test_heads_behind_the_data_are_checked(write_leaf: WriteLeaf, hierarchies: Any, message: str) -> None:
    file = write_leaf(USERS)
    file.write_text(json.dumps({**json.loads(file.read_text()), "hierarchies": hierarchies}))
    with pytest.raises(DataError, match=message):
        _ = LeafDataset(file).hierarchies


@pytest.mark.parametrize("extra", [{}, {"z": {}}, {"z": {"k": [1]}}, 5, "}}}", []])
def test_heads_behind_the_data_are_found_whatever_follows(write_leaf: WriteLeaf, extra: Any) -> None:
    file = write_leaf(USERS)
    file.write_text(json.dumps({**json.loads(file.read_text()), "hierarchies": ["p", "q"], "extra": extra}))
    assert LeafDataset(file).hierarchies == ["p", "q"]


def test_heads_may_stand_behind_the_data(write_leaf: WriteLeaf, tmp_path: Path) -> None:
    content = json.loads(write_leaf(USERS, hierarchies=["p", "q"]).read_text())
    for number, order in enumerate(itertools.permutations(content)):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps({key: content[key] for key in order}, indent=number % 2 or None))
        dataset = LeafDataset(file)
        assert dataset.user_ids == ["b", "a"]
        assert dataset.hierarchies == ["p", "q"]
        assert dataset["a"].features.tolist() == [[5.0, 6.0]]


def test_opening_reads_the_head_only(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    text = file.read_text()
    start = text.index('"user_data"')
    damaged = text[: start + 15] + text[start + 15 :].replace("2.5", "2.x")
    file.write_text(damaged)
    dataset = LeafDataset(file)
    assert dataset["a"].labels.tolist() == [2]
    with pytest.raises(DataError, match='user "b" has text that is not JSON'):
        dataset["b"]


@pytest.mark.parametrize(
    ("user_data", "message"),
    [
        (
            {"b": {"x": [[1]], "y": [1]}, "a": {"x": [[1]], "y": [1]}},
            'user "b" has 2 in num_samples but 1 entries in x',
        ),
        ({"b": {"x": [[1], [2]], "y": [1]}, "a": {"x": [[1]], "y": [1]}}, "2 entries in x and 1 in y"),
        ({"b": {"x": [[1], [2]]}, "a": {}}, 'user "b" has no "y"'),
        ({"b": {"x": [[1], [2]], "y": 3}, "a": {}}, 'user "b" has "y" that is not a list'),
        ({"b": [1, 2], "a": {}}, 'user "b" has a value that is not an object'),
        ({"b": {}}, 'user "a" has no entry in user_data'),
        ({"a": {}, "b": {}, "c": {}}, 'user "c" has data but is not listed in users'),
    ],
)
def test_data_that_contradicts_the_head_is_an_error(write_leaf: WriteLeaf, user_data: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        LeafDataset(write_leaf(USERS, user_data=user_data))["b"]


def test_a_user_twice_in_the_data_is_an_error(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    text = file.read_text()
    assert '"a": {' in text
    file.write_text(text.replace('"a": {', '"b": {'))
    with pytest.raises(DataError, match='user "b" appears twice in user_data'):
        LeafDataset(file)["b"]


def test_nan_is_an_error(write_leaf: WriteLeaf) -> None:
    with pytest.raises(DataError, match='user "u" has NaN, which is not JSON'):
        LeafDataset(write_leaf({"u": ([[float("nan")]], [1])}))["u"]


def test_an_unknown_user_is_a_key_error(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    for path in (file, file.parent):
        with pytest.raises(KeyError, match=f"no user 'z' among the 2 in {path}'?\"?$"):
            LeafDataset(path)["z"]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("first", [True, False])
def test_a_file_that_changes_is_an_error(write_leaf: WriteLeaf, cache: bool, first: bool) -> None:
    file = write_leaf(USERS)
    dataset = LeafDataset(file, cache=cache)
    if first:
        dataset["a"]
    write_leaf({"b": ([[9, 9.5], [3, 4]], [0, 1]), "a": ([[5.0, 6.5]], [2])})
    os.utime(file, ns=(1, 1))
    with pytest.raises(DataError, match="changed since it was opened"):
        dataset["b"]
    file.unlink()
    with pytest.raises(DataError, match="is gone since it was opened"):
        dataset["b"]


@pytest.mark.parametrize("replaced", [False, True])
def test_a_change_whose_time_was_set_back_is_an_error(write_leaf: WriteLeaf, replaced: bool) -> None:
    file = write_leaf(USERS)
    dataset = LeafDataset(file)
    dataset["a"]
    status, text = file.stat(), file.read_text()
    if replaced:
        file.unlink()
    file.write_text(text.replace("5.0", "7.0"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert file.stat().st_size == status.st_size
    with pytest.raises(DataError, match="changed since it was opened"):
        dataset["a"]


def test_a_change_while_reading_is_an_error(write_leaf: WriteLeaf, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_leaf(USERS)
    dataset = LeafDataset(file)

    def read_late(*arguments: Any) -> bytes:
        file.write_text(file.read_text().replace("5.0", "7.25"))
        return read_at(*arguments)

    monkeypatch.setattr(lazy, "read_at", read_late)
    with pytest.raises(DataError, match="changed since it was opened"):
        dataset["a"]


def test_files_are_closed(write_leaf: WriteLeaf) -> None:
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc")
    file = write_leaf(USERS)
    LeafDataset(file, cache=True)["a"]
    dataset = LeafDataset(file)
    before = len(list(descriptors.iterdir()))
    dataset["a"]
    LeafDataset(file, cache=True)["a"]
    assert len(list(descriptors.iterdir())) == before


def test_threads_share_a_dataset(pipeline_data: Path) -> None:
    dataset = LeafDataset(pipeline_data / "train")
    expected = plain(pipeline_data / "train")
    wrong: list[str] = []

    def read() -> None:
        wrong.extend(user for user in dataset if dataset[user].features.tolist() != expected[user]["x"])

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("cache", [False, True])
def test_pickles_without_the_data(pipeline_data: Path, cache: bool) -> None:
    dataset = LeafDataset(pipeline_data / "train", cache=cache)
    user = dataset.user_ids[0]
    dataset[user]
    text = pickle.dumps(dataset)
    assert len(text) < 10_000
    assert np.array_equal(pickle.loads(text)[user].features, dataset[user].features)


def test_without_asking_nothing_is_written(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    LeafDataset(file)["b"]
    assert list(file.parent.iterdir()) == [file]


def test_load_gives_the_users_of_a_subset(pipeline_data: Path) -> None:
    for subset in ("train", "test"):
        users = LeafDataset(pipeline_data / subset).user_ids
        drawn = load(pipeline_data, subset, user_sampler="minimize_reuse").get_cohort(len(users))
        assert [user.user_id for user, _ in drawn] == users


def test_load_is_seeded_and_takes_samplers(pipeline_data: Path) -> None:
    first, second = ([user.user_id for user, _ in load(pipeline_data, seed=4).get_cohort(9)] for _ in range(2))
    assert first == second
    assert len(set(first)) > 3
    only = load(pipeline_data, user_sampler=lambda: "0")
    assert {user.user_id for user, _ in only.get_cohort(3)} == {"0"}


def test_load_shares_out_by_num_samples(pipeline_data: Path) -> None:
    busiest = {True: 0, False: 0}
    for seed, weights in itertools.product(range(10), busiest):
        loads = []
        for rank in range(2):
            with use_context(DistributedContext(rank, 2)):
                dataset = load(pipeline_data, seed=seed, weights=weights)
                loads.append(sum(len(user) for user, _ in dataset.get_cohort(11)))
        busiest[weights] += max(loads)
    assert busiest[True] < 0.9 * busiest[False]


def test_load_gives_tensors_of_the_same_numbers(pipeline_data: Path) -> None:
    torch = pytest.importorskip("torch")
    for cache in (False, True):
        arrays, tensors = (
            load(pipeline_data, user_sampler="minimize_reuse", framework=framework, cache=cache)
            for framework in ("numpy", "torch")
        )
        for (array_user, _), (tensor_user, _) in zip(arrays.get_cohort(5), tensors.get_cohort(5), strict=True):
            assert type(tensor_user).__name__ == "PyTorchTensorDataset"
            assert [tensor.dtype for tensor in tensor_user.raw_data] == [torch.float64, torch.int64]
            for array, tensor in zip(array_user.raw_data, tensor_user.raw_data, strict=True):
                assert np.array_equal(array, tensor.numpy())


def devices(users: FederatedDataset) -> set[str]:
    [(user, _)] = users.get_cohort(1)
    parts = user.split() if isinstance(user, DatasetSplit) else [user]
    return {str(tensor.device) for part in parts for tensor in part.raw_data}


@pytest.mark.parametrize("opener", [load, load_splits])
def test_tensors_are_on_the_device_asked_for(pipeline_data: Path, opener: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.delitem(sys.modules, "pfl.internal.ops.pytorch_ops", raising=False)  # other tests import pfl
    assert devices(opener(pipeline_data, framework="torch")) == {"cpu"}
    assert devices(opener(pipeline_data, framework="torch", device="meta")) == {"meta"}


def test_tensors_are_on_pfls_device_unless_another_is_asked_for(
    pipeline_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pfl()
    users = load(pipeline_data, framework="torch")
    monkeypatch.setenv("PFL_PYTORCH_DEVICE", "meta")
    assert devices(users) == {"meta"}
    assert devices(load(pipeline_data, framework="torch", device="cpu")) == {"cpu"}


def test_tensors_are_on_the_gpu(pipeline_data: Path) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    assert devices(load(pipeline_data, framework="torch", device="cuda:0")) == {"cuda:0"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"device": "cpu"}, "device is 'cpu' but framework 'numpy', expected None; pass framework='torch'"),
        ({"device": "gpu", "framework": "torch"}, "device is 'gpu', expected one that torch has"),
        ({"device": 1.5, "framework": "torch"}, r"device is 1\.5, expected one that torch has"),
    ],
)
def test_devices_that_make_no_sense_are_an_error(pipeline_data: Path, arguments: Any, message: str) -> None:
    pytest.importorskip("torch")
    for opener in (load, load_splits):
        with pytest.raises(UsageError, match=message):
            opener(pipeline_data, **arguments)


def test_types_that_torch_has_not_are_an_error(pipeline_data: Path) -> None:
    pytest.importorskip("torch")
    for dtype in (">f8", "longdouble"):
        with pytest.raises(UsageError, match="Expected a dtype and label_dtype that torch has"):
            next(load(pipeline_data, framework="torch", dtype=dtype))


def test_strings_cannot_become_tensors() -> None:
    pytest.importorskip("torch")
    with pytest.raises(DataError, match="features that are not all numbers"):
        next(load(SHAPES, "shk", framework="torch"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"framework": "jax"}, "unknown framework 'jax', expected one of 'numpy', 'torch'"),
        ({"user_sampler": "best"}, "unknown user sampler 'best'"),
        ({"user_sampler": 5}, "user_sampler is 5, expected a name or a function"),
        ({"user_sampler": None}, "user_sampler is None, expected a name or a function"),
    ],
)
def test_unknown_names_are_an_error(pipeline_data: Path, arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(pipeline_data, **arguments)


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="train: no such folder"):
        load(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(StageError, match=r"found no \.json file"):
        load(tmp_path)


def test_splits_pair_train_and_test_of_a_user(pipeline_data: Path) -> None:
    train, test = plain(pipeline_data / "train"), plain(pipeline_data / "test")
    cohort = list(load_splits(pipeline_data, user_sampler="minimize_reuse").get_cohort(len(train)))
    assert [user.user_id for user, _ in cohort] == list(train)
    for split, _ in cohort:
        assert type(split) is DatasetSplit
        parts = split.split()
        for part, side in zip(parts, (train, test), strict=True):
            assert part.raw_data[0].tolist() == side[split.user_id]["x"]


def test_splits_after_splitting_by_user_are_an_error(tmp_path: Path) -> None:
    data = generate(tmp_path, 10)
    fedsynth(tmp_path, "preprocess", "-s", "niid", "--sf", "1.0", "-k", "0", "-t", "user", "--tf", "0.6")
    drawn = {user.user_id for subset in ("train", "test") for user, _ in load(data, subset).get_cohort(50)}
    assert len(drawn) > 5
    with pytest.raises(StageError, match=r"no user is in both train and test, .* split by sample instead of by user"):
        load_splits(data)


def test_dataloader_workers_read_the_files(pipeline_data: Path) -> None:
    torch = pytest.importorskip("torch")
    from tests.federated.users import Converted

    dataset = LeafDataset(pipeline_data / "train")
    loader = torch.utils.data.DataLoader(
        Converted(dataset), sampler=dataset.user_ids, batch_size=None, num_workers=2, timeout=60
    )
    for user, (x, _) in zip(dataset, loader, strict=True):
        assert np.array_equal(x.numpy(), dataset[user].features)
