"""`--vf` and `--new-users`: the folders that LEAF has not, from the command to whoever reads them."""

from __future__ import annotations

import json
import shutil
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth import LeafDataset, load, load_splits, measure
from fedsynth.errors import StageError, UsageError
from fedsynth.pipeline.options import split_stage
from fedsynth.records.layout import json_files
from fedsynth.records.manifest import Manifest
from fedsynth.records.origin import find_origin
from tests.commands import contents, fedsynth, generate, leftovers
from tests.conftest import WriteLeaf

THREE = ("-t", "sample", "--tf", 0.8, "--vf", 0.1)
FOUR = (*THREE, "--new-users", 0.2)
SEED = ("--spltseed", 2)
NAMES = {
    "train": "all_data_train_8.json",
    "val": "all_data_val_1.json",
    "test": "all_data_test_8.json",
    "new_users": "all_data_new_users_2.json",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all four; only to be copied, or read."""
    cwd = tmp_path_factory.mktemp("finished")
    generate(cwd, 40, "-num-dim", 3, "-prob-clusters", "0.5,0.5", "-noise", 0)
    fedsynth(cwd, "preprocess", *FOUR, *SEED)
    return cwd


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    for name in ("data", "meta"):
        shutil.copytree(finished / name, tmp_path / "done" / name)
    return tmp_path / "done"


def users_of(folder: Path) -> dict[str, Any]:
    return {
        user: list(zip(values["x"], values["y"], strict=True))
        for path in json_files(folder)
        for user, values in json.loads(path.read_text())["user_data"].items()
    }


def folders(cwd: Path) -> set[str]:
    return {path.name for path in (cwd / "data").iterdir() if path.is_dir() and not path.name.startswith(".")}


# What is made


def test_names_record_each_sides_own_fraction_and_test_trains(finished: Path) -> None:
    for folder, name in NAMES.items():
        assert list(contents(finished / "data" / folder)) == [name]


def test_every_sample_is_in_one_folder_in_its_order(finished: Path) -> None:
    before = users_of(finished / "data/all_data")
    train, val, test, new = (users_of(finished / "data" / folder) for folder in NAMES)
    assert sorted([*train, *new], key=int) == list(before)
    assert new == {user: before[user] for user in new}
    assert len(new) == 8
    assert list(train) == list(test) == list(val)
    for user in train:
        parts = [train[user], val[user], test[user]]
        assert sorted(chain(*parts)) == sorted(before[user])
        for part in parts:
            places = [before[user].index(sample) for sample in part]
            assert places == sorted(places)


def test_split_without_them_has_the_bytes_that_it_had(done: Path, tmp_path: Path) -> None:
    for cwd, more in ((done, ("--overwrite",)), (tmp_path / "plain", ())):
        if not cwd.exists():
            shutil.copytree(done / "data/all_data", cwd / "data/all_data")
        fedsynth(cwd, "preprocess", "-t", "sample", "--vf", 0, "--new-users", 0, *SEED, *more)
        assert folders(cwd) == {"all_data", "train", "test"}
    assert contents(done / "data") == contents(tmp_path / "plain/data")
    manifest = json.loads((done / "meta/manifest.json").read_text())
    assert manifest["format"] == 1
    assert manifest["stages"]["split"]["parameters"] == {"method": "sample", "fraction": 0.9}


def test_users_are_read_in_their_order_though_not_all_have_val(tmp_path: Path, write_leaf: WriteLeaf) -> None:
    sizes = {f"u{number}": size for number, size in enumerate([2, 9, 1, 3, 2, 20, 0, 2, 4])}
    file = write_leaf({user: ([[user, n] for n in range(size)], [0] * size) for user, size in sizes.items()})
    result = fedsynth(tmp_path, "preprocess", *THREE, *SEED)
    assert "split: dropped 2 users with too few samples to split: u2, u6" in result.stderr
    before = users_of(file.parent)
    sides = [users_of(tmp_path / "data" / side) for side in ("train", "val", "test")]
    assert [list(side) for side in sides] == [
        [user for user, size in sizes.items() if size >= least] for least in (2, 3, 2)
    ]
    for user in sides[0]:
        assert sorted(chain(*(side.get(user, []) for side in sides))) == before[user]


def test_users_of_several_files_are_drawn_together(tmp_path: Path) -> None:
    generate(tmp_path, 30, "-num-dim", 2, "-num-shards", 3)
    fedsynth(tmp_path, "preprocess", *FOUR, *SEED)
    files = contents(tmp_path / "data/new_users")
    assert list(files) == [f"all_data_{shard}_new_users_2.json" for shard in range(3)]
    assert sum(len(json.loads(text)["users"]) for text in files.values()) == 6
    assert "0 users" not in fedsynth(tmp_path, "stats", "new_users", "--no-measures").stdout


def test_users_go_to_three_sides(tmp_path: Path) -> None:
    generate(tmp_path, 20, "-num-dim", 2)
    fedsynth(tmp_path, "preprocess", "-t", "user", "--tf", 0.6, "--vf", 0.25, *SEED)
    sides = [users_of(tmp_path / "data" / side) for side in ("train", "val", "test")]
    assert [len(side) for side in sides] == [12, 5, 3]
    assert {user: samples for side in sides for user, samples in side.items()} == users_of(tmp_path / "data/all_data")
    assert list(contents(tmp_path / "data/val")) == ["all_data_val_25.json"]


def test_shakespeare_has_new_users_whose_seed_is_recorded(tmp_path: Path, write_leaf: WriteLeaf) -> None:
    write_leaf({f"u{user}": ([str(n) for n in range(900)], ["a"] * 900) for user in range(10)})
    command = ("preprocess", *FOUR, "--name", "shakespeare", "--spltseed", 7)
    fedsynth(tmp_path, *command)
    assert (tmp_path / "meta/split_seed.txt").read_text().splitlines()[1] == "7"
    assert len(users_of(tmp_path / "data/new_users")) == 2
    train, val, test = (users_of(tmp_path / "data" / side) for side in ("train", "val", "test"))
    assert train.keys() == val.keys() == test.keys()
    for user in train:
        last, first = (int(side[user][at][0]) for side, at in ((train, -1), (val, 0)))
        assert first - last == 80
        assert int(test[user][0][0]) - int(val[user][-1][0]) == 80
    assert "kept" in fedsynth(tmp_path, *command).stdout
    assert "exists, made with" in fedsynth(tmp_path, *command[:-1], 8, check=1).stderr


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--vf", 0.1), "--tf is 0.9 and --vf is 0.1, expected less than 1 together"),
        (("--tf", 0.57, "--vf", 0.43), "expected less than 1 together"),
        (("--tf", 0.5, "--vf", 1), "--vf is 1, expected a fraction from 0, for none, to below 1"),
        (("--tf", 0.5, "--vf=-0.1"), "--vf is -0.1, expected a value that is not negative"),
        (("--tf", 0.5, "--vf", "nan"), "--vf is nan, expected a fraction"),
        (("--new-users", 1), "--new-users is 1, expected a fraction from 0, for none, to below 1"),
        (("-t", "user", "--new-users", 0.2), "--new-users is 0.2, which makes no sense with -t user"),
    ],
)
def test_fractions_that_make_no_sense_are_an_error(options: tuple[object, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for command in ("preprocess", "split"):
        given = options if "-t" in options else ("-t", "sample", *options)
        assert message in fedsynth(tmp_path, command, *given, check=2).stderr
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(("train", "val"), [(0.57, 0.43), (0.7, 0.3), (0.1, 0.9), (0.999, 0.001)])
def test_fractions_are_summed_as_they_are_written(train: float, val: float) -> None:
    with pytest.raises(UsageError, match="less than 1 together"):
        split_stage("sample", fraction=train, val_fraction=val, seed=1, dataset="synthetic")


def test_options_without_values_mean_a_tenth(done: Path) -> None:
    fedsynth(done, "split", "--tf", 0.8, "--vf", "--new-users", "--overwrite")
    assert list(contents(done / "data/val")) == ["all_data_val_1.json"]
    assert list(contents(done / "data/new_users")) == ["all_data_new_users_1.json"]


def test_options_without_effect_are_pointed_out(done: Path) -> None:
    message = fedsynth(done, "preprocess", "-k", 1, "--vf", 0.2, "--new-users", 0.3).stderr
    assert "--vf 0.2 has no effect without -t" in message
    assert "--new-users 0.3 has no effect without -t" in message


@pytest.mark.parametrize(
    ("options", "empty", "larger"),
    [
        (("--tf", 0.5, "--vf", 0.1), "val", "--vf"),
        (("--tf", 0.5, "--new-users", 0.1), "new_users", "--new-users"),
        (("-t", "user", "--tf", 0.5, "--vf", 0.1), "val", "--vf"),
    ],
)
def test_empty_side_is_an_error_before_anything_is_written(
    options: tuple[object, ...], empty: str, larger: str, tmp_path: Path, write_leaf: WriteLeaf
) -> None:
    write_leaf({name: ([1, 2], [1, 2]) for name in "abcd"})
    before = contents(tmp_path)
    given = options if "-t" in options else ("-t", "sample", *options)
    message = fedsynth(tmp_path, "preprocess", *given, check=1).stderr
    assert f"no samples are left for {empty} with" in message
    assert f"a larger {larger} or" in message
    assert contents(tmp_path) == before


# What is there already


def test_val_that_the_split_there_lacks_is_refused(done: Path) -> None:
    fedsynth(done, "split", "-t", "sample", "--tf", 0.8, *SEED, "--overwrite")
    message = fedsynth(done, "preprocess", *THREE, check=1).stderr
    assert "data/train, data/test: exists, made without --vf 0.1, which was asked for; make the stages again" in message


def test_same_again_is_kept_and_other_fractions_are_refused(done: Path) -> None:
    before = contents(done / "data")
    assert fedsynth(done, "preprocess", *FOUR, *SEED).stdout.count("kept") == 4
    for options, asked in (
        ((*THREE, *SEED), "which was not asked for"),
        (("-t", "sample", "--tf", 0.8), "which was not asked for"),
        ((*THREE, "--new-users", 0.3), "--new-users 0.3 was asked for"),
        (("-t", "sample", "--tf", 0.8, "--vf", 0.15, "--new-users", 0.2), "--vf 0.15 was asked for"),
    ):
        message = fedsynth(done, "preprocess", *options, check=1).stderr
        assert asked in message
        assert ": exists, made with" in message
    assert contents(done / "data") == before


@pytest.mark.parametrize("command", ["preprocess", "split"])
@pytest.mark.parametrize("options", [("-t", "sample"), ("-t", "user"), THREE], ids=["sample", "user", "three"])
def test_folders_that_the_new_split_lacks_go_with_the_old_one(
    command: str, options: tuple[object, ...], done: Path
) -> None:
    (done / "data/new_users/notes.txt").write_text("mine")
    message = fedsynth(done, command, *options, "--overwrite").stderr
    expected = {"all_data", "train", "test", "new_users.kept", *(["val"] if options == THREE else [])}
    assert folders(done) == expected
    assert contents(done / "data/new_users.kept") == {"notes.txt": b"mine"}
    assert "data/new_users.kept: holds what stood in a folder that was replaced" in message
    assert leftovers(done) == []


def test_other_stages_that_replace_the_split_remove_all_of_it(done: Path) -> None:
    fedsynth(done, "preprocess", "-s", "--sf", 1.0, "--overwrite")
    assert folders(done) == {"all_data", "sampled_data"}


def test_clean_removes_what_a_run_made(done: Path) -> None:
    assert fedsynth(done, "clean").stdout == "removed train, test, val, new_users\n"
    assert folders(done) == {"all_data"}
    assert fedsynth(done, "clean").stdout == "nothing to remove\n"


@pytest.mark.parametrize(
    "command",
    [
        ("clean",),
        ("preprocess", "-t", "sample"),
        ("preprocess", "-t", "sample", "--overwrite"),
        ("split", "-t", "user", "--overwrite"),
        ("preprocess", "-k", 1, "--overwrite"),
    ],
)
def test_own_folder_of_that_name_stays_where_no_run_made_it(command: tuple[object, ...], done: Path) -> None:
    fedsynth(done, "preprocess", "-t", "sample", "--overwrite", *SEED)
    for name in ("val", "new_users"):
        shutil.copytree(done / "data/all_data", done / "data" / name)
    before = contents(done / "data/val")
    fedsynth(done, *command)
    assert contents(done / "data/val") == contents(done / "data/new_users") == before
    assert not any(name.endswith(".kept") for name in folders(done))


def test_own_folder_in_the_way_is_refused_and_replaced_only_when_asked(done: Path) -> None:
    fedsynth(done, "clean")
    shutil.copytree(done / "data/all_data", done / "data/val")
    before = contents(done / "data")
    message = fedsynth(done, "preprocess", *FOUR, check=1).stderr
    assert "data/val: exists, and nothing in " in message
    assert "tells how it was made; move it elsewhere, or make the stages again with --overwrite" in message
    assert contents(done / "data") == before
    fedsynth(done, "preprocess", *FOUR, "--overwrite")
    assert contents(done / "data/val.kept") == {"all_data.json": before["all_data/all_data.json"]}


@pytest.mark.parametrize("gone", [("train", "test"), ("train", "test", "new_users")])
def test_leftover_of_another_split_is_refused_until_it_is_replaced(gone: tuple[str, ...], done: Path) -> None:
    for name in gone:
        shutil.rmtree(done / "data" / name)
    message = fedsynth(done, "preprocess", "-t", "sample", check=1).stderr
    assert "data/val" in message
    assert "exists, made with" in message
    assert not (done / "data/train").exists()
    fedsynth(done, "preprocess", "-t", "sample", "--overwrite")
    assert folders(done) == {"all_data", "train", "test"}


def test_leftover_belongs_to_no_other_split(done: Path) -> None:
    shutil.move(done / "data/val", done / "val")
    fedsynth(done, "preprocess", "-t", "sample", "--overwrite")
    shutil.move(done / "val", done / "data/val")
    assert find_origin(done / "data/val").stages == ()
    assert "cluster" not in LeafDataset(done / "data/val")["0"].metadata
    assert "nothing tells that these users" in measure(done / "data/val")["left_out"]["clusters.sizes"]
    with pytest.raises(StageError, match="train and val are not of the same split, so that a sample may be in both"):
        load_splits(done / "data", val="val")
    load_splits(done / "data")


def test_changed_and_stale_folders_are_refused(done: Path) -> None:
    file = done / "data/val" / NAMES["val"]
    file.write_bytes(file.read_bytes().replace(b'"y"', b'"z"', 1))
    with pytest.raises(StageError, match="has changed since `split` made it"):
        LeafDataset(done / "data/val")
    assert "has changed" in fedsynth(done, "preprocess", *FOUR, check=1).stderr
    generate(done, 41, "--overwrite")
    with pytest.raises(StageError, match="stale"):
        LeafDataset(done / "data/new_users")


# Records


def test_manifest_records_what_was_asked_for_and_each_folder(done: Path) -> None:
    split = json.loads((done / "meta/manifest.json").read_text())["stages"]["split"]
    assert split["parameters"] == {"method": "sample", "fraction": 0.8, "val_fraction": 0.1, "new_users": 0.2}
    assert list(split["after"]) == ["train", "val", "test", "new_users"]
    assert [file["path"] for file in split["outputs"]] == [f"data/{folder}/{name}" for folder, name in NAMES.items()]


def test_records_of_older_versions_are_read(done: Path) -> None:
    """What 0.1.0 wrote, word for word; it named no folder but LEAF's."""
    fedsynth(done, "preprocess", "-t", "sample", *SEED, "--overwrite")
    path = done / "meta/manifest.json"
    content = json.loads(path.read_text())
    assert content["format"] == 1
    assert content["stages"]["split"]["parameters"] == {"method": "sample", "fraction": 0.9}
    assert content["stages"]["split"]["after"].keys() == {"train", "test"}
    assert Manifest(done / "data").made("val") is None
    assert fedsynth(done, "preprocess", "-t", "sample", *SEED).stdout.count("kept") == 2
    assert fedsynth(done, "clean").stdout == "removed train, test\n"


def test_checksums_cover_all_sides(done: Path) -> None:
    sums = done / "meta/dir-checksum.md5"
    for folder, name in NAMES.items():
        assert f"  data/{folder}/{name}\n" in sums.read_text()
    assert "5 files match" in fedsynth(done, "verify", sums).stdout
    (done / "data/val" / NAMES["val"]).write_text("{}")
    (done / "data/new_users" / NAMES["new_users"]).unlink()
    out = fedsynth(done, "verify", sums, check=1).stdout
    assert f"changed: val/{NAMES['val']}" in out
    assert f"missing: new_users/{NAMES['new_users']}" in out


# Readers


@pytest.mark.parametrize("folder", ["val", "new_users"])
def test_stats_describe_and_draw_them(folder: str, done: Path) -> None:
    fedsynth(done, "stats", folder)
    assert (done / f"data/synthetic_{folder}_hist.png").exists()
    values = json.loads(fedsynth(done, "stats", folder, "--json").stdout)
    assert values["concept.oracle_accuracy"] == 1.0
    assert sum(values["clusters.sizes"]) == values["users"] == len(users_of(done / "data" / folder))


@pytest.mark.parametrize("folder", ["val", "new_users"])
def test_users_have_their_cluster_and_model(folder: str, finished: Path) -> None:
    everybody = LeafDataset(finished / "data/all_data")
    dataset = LeafDataset(finished / "data" / folder)
    assert len(dataset) > 5
    for user in dataset:
        assert dataset[user].metadata == everybody[user].metadata
        model = dataset.true_model(user)
        labels = np.argmax(dataset[user].features @ model[1:] + model[0], axis=1)
        np.testing.assert_array_equal(labels, dataset[user].labels)


def test_sides_load_as_subsets(finished: Path) -> None:
    for folder in NAMES:
        users = load(finished / "data", folder, user_sampler="minimize_reuse")
        found = users_of(finished / "data" / folder)
        drawn = {user.user_id: user.raw_data[1].tolist() for user, _ in users.get_cohort(len(found))}
        assert drawn == {user: [label for _, label in samples] for user, samples in found.items()}


def test_splits_pair_train_with_the_side_asked_for(finished: Path) -> None:
    train = users_of(finished / "data/train")
    for given, side in (({}, "test"), ({"val": "val"}, "val"), ({"val": "test"}, "test")):
        held_out = users_of(finished / "data" / side)
        splits = load_splits(finished / "data", user_sampler="minimize_reuse", **given)
        for split, _ in splits.get_cohort(len(train)):
            for part, samples in zip(split.split(), (train, held_out), strict=True):
                assert part.raw_data[0].tolist() == [x for x, _ in samples[split.user_id]]


def test_users_without_val_are_not_among_the_splits(tmp_path: Path, write_leaf: WriteLeaf) -> None:
    write_leaf({"a": ([[1.0], [2.0]], [0, 1]), "b": ([[1.0], [2.0], [3.0]], [0, 1, 1])})
    fedsynth(tmp_path, "preprocess", *THREE)
    assert [user.user_id for user, _ in load_splits(tmp_path / "data", val="val").get_cohort(1)] == ["b"]


@pytest.mark.parametrize(
    ("side", "error", "message"),
    [
        ("train", UsageError, "val is 'train', expected another folder"),
        ("new_users", StageError, "no user is in both train and new_users"),
        ("all_data", StageError, "train and all_data are not of the same split"),
        ("valid", StageError, "valid: no such folder"),
    ],
)
def test_splits_with_other_folders_are_refused(side: str, error: type[Exception], message: str, finished: Path) -> None:
    with pytest.raises(error, match=message):
        load_splits(finished / "data", val=side)


def test_own_data_keeps_its_names_on_all_sides(tmp_path: Path) -> None:
    words = np.array(["pear", "apple", "fig"])[np.arange(120) % 3]
    np.savez(tmp_path / "own.npz", x=np.arange(240.0).reshape(120, 2), y=words)
    fedsynth(tmp_path, "partition", "own.npz", "--users", 6, "--scheme", "iid", "--clusters", 2, "--swap-labels", 2)
    fedsynth(tmp_path, "preprocess", "-t", "sample", "--tf", 0.6, "--vf", 0.2, "--new-users", 0.4)
    everybody = LeafDataset(tmp_path / "data/all_data")
    rows = []
    for folder in NAMES:
        dataset = LeafDataset(tmp_path / "data" / folder)
        assert dataset.label_names == ["apple", "fig", "pear"]
        for user in dataset:
            assert dataset[user].metadata == everybody[user].metadata
            rows += dataset[user].features[:, 0].tolist()
    assert sorted(rows) == list(range(0, 240, 2))
    assert fedsynth(tmp_path, "stats", "val").stdout.startswith("####################################\nDATASET: own\n")
