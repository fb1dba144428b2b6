"""Exports: what is in the files, that the same data gives the same bytes, and that users come back from them."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth as package
from fedsynth.errors import DataError, StageError, UsageError
from tests.commands import contents, fedsynth, generate, peak_memory

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

CHAIN = ("preprocess", "-s", "niid", "--sf", 1.0, "-k", 5, "-t", "sample", "--smplseed", 1, "--spltseed", 2)
FORMATS = ("huggingface", "parquet", "arrow", "pfllib")


@pytest.fixture(scope="module")
def cwd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset of two clusters in three files, split; only to be read."""
    cwd = tmp_path_factory.mktemp("export")
    generate(cwd, 30, "-num-dim", 4, "-num-shards", 3, "-prob-clusters", "0.5,0.5")
    fedsynth(cwd, *CHAIN)
    return cwd


def export(cwd: Path, out: str = "out", **options: Any) -> Path:
    package.export(cwd / out, data_dir=cwd / "data", **options)
    return cwd / out


def write(cwd: Path, users: dict[str, Any], **head: Any) -> Path:
    """Write a LEAF file of users to their (x, y) into all_data."""
    content = {
        "users": list(users),
        "num_samples": [len(y) for _, y in users.values()],
        **head,
        "user_data": {user: {"x": x, "y": y} for user, (x, y) in users.items()},
    }
    file = cwd / "data/all_data/all_data.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))
    return file


def read(out: Path) -> Any:
    return parquet.read_table(sorted(out.rglob("*.parquet"))[0])


def rows_of(folder: Path, side: str) -> dict[int, tuple[list[Any], list[Any]]]:
    users: dict[int, tuple[list[Any], list[Any]]] = {}
    for file in sorted((folder / "data" / side).glob("*.json")):
        content = json.loads(file.read_text())["user_data"]
        users |= {int(user): (samples["x"], samples["y"]) for user, samples in content.items()}
    return users


def test_every_sample_is_a_row_in_its_users_order(cwd: Path, tmp_path: Path) -> None:
    package.export(tmp_path / "out", to="parquet", data_dir=cwd / "data")
    for side in ("train", "test"):
        files = sorted((tmp_path / "out").glob(f"{side}-*"))
        assert [file.name for file in files] == [f"{side}-0000{number}-of-00003.parquet" for number in range(3)]
        table = pa.concat_tables([parquet.read_table(file) for file in files])
        wanted = rows_of(cwd, side)
        assert table["x"].to_pylist() == [row for x, _ in wanted.values() for row in x]
        assert table["y"].to_pylist() == [label for _, y in wanted.values() for label in y]
        assert table["user_id"].to_pylist() == [user for user, (_, y) in wanted.items() for _ in y]
        assert str(table["x"].type) == "fixed_size_list<element: double>[4]" or table["x"].type.list_size == 4


def test_clusters_are_those_of_the_truth(cwd: Path, tmp_path: Path) -> None:
    package.export(tmp_path / "out", to="parquet", data_dir=cwd / "data", folders=["test"])
    truth = np.load(cwd / "meta/truth.npz")
    of_user = dict(zip(truth["user_ids"].tolist(), truth["cluster"].tolist(), strict=True))
    for file in (tmp_path / "out").glob("*.parquet"):
        table = parquet.read_table(file)
        users, clusters = table["user_id"].to_pylist(), table["cluster"].to_pylist()
        assert clusters == [of_user[str(user)] for user in users]


def test_metadata_tell_the_source_and_the_truth(cwd: Path, tmp_path: Path) -> None:
    package.export(tmp_path / "out", to="arrow", data_dir=cwd / "data", folders=["train"])
    for file in (tmp_path / "out").glob("*.arrow"):
        with pa.memory_map(str(file)) as opened, pa.ipc.open_stream(opened) as stream:
            made = json.loads(stream.schema.metadata[b"fedsynth"])
        record = json.loads((cwd / "meta/manifest.json").read_text())["stages"]["split"]
        sums = {output["path"].rpartition("/")[2]: output["md5"] for output in record["outputs"]}
        assert made["source_md5"] == sums[made["source"]]
        assert made["truth"]["prob_clusters"] == [0.5, 0.5]
        assert [stage["stage"] for stage in made["stages"]] == ["generate", "sample", "remove_users", "split"]


def test_a_stream_has_one_batch_a_user(cwd: Path, tmp_path: Path) -> None:
    package.export(tmp_path / "out", to="arrow", data_dir=cwd / "data", folders=["train"])
    for file in (tmp_path / "out").glob("*.arrow"):
        batches = list(pa.ipc.open_stream(file.read_bytes()))
        users = [set(batch["user_id"].to_pylist()) for batch in batches]
        assert all(len(found) == 1 for found in users)
        assert len(set.union(*users)) == len(users)


@pytest.mark.parametrize("to", FORMATS)
def test_the_same_data_gives_the_same_bytes_with_any_workers(to: str, cwd: Path, tmp_path: Path) -> None:
    for number, options in enumerate(((), ("--workers", 3), ("--overwrite",))):
        out = tmp_path / str(number % 2)
        fedsynth(cwd, "export", "--to", to, *options, out)
        if number:
            assert contents(out) == contents(tmp_path / "0")
    assert contents(tmp_path / "0")


@pytest.mark.parametrize("to", ["huggingface", "parquet", "arrow"])
def test_users_come_back_with_equal_values(to: str, cwd: Path, tmp_path: Path) -> None:
    fedsynth(cwd, "export", "--to", to, "all_data", tmp_path / "out")
    fedsynth(tmp_path, "partition", "out", "--scheme", "natural", "--user", "user_id", "--label", "y")
    back = json.loads((tmp_path / "data/all_data/all_data.json").read_text())["user_data"]
    assert {int(user): (one["x"], one["y"]) for user, one in back.items()} == rows_of(cwd, "all_data")


def test_texts_and_named_users_come_back(tmp_path: Path) -> None:
    users = {"ann": (["to be", "or not"], [1, 0]), "bob": (["", 'q"uote \U0001f600'], [0, 0])}
    write(tmp_path, users)
    export(tmp_path)
    fedsynth(tmp_path, "partition", "out", "--scheme", "natural", "--user", "user_id", "--label", "y", "-data-dir", "b")
    back = json.loads((tmp_path / "b/all_data/all_data.json").read_text())["user_data"]
    assert {user: (one["x"], one["y"]) for user, one in back.items()} == users


@pytest.mark.parametrize(
    ("x", "kind"),
    [
        ([[1.5, 2], [3, 4]], "list<element: double>[2]"),
        ([[1, 2], [3, 4]], "list<element: int64>[2]"),
        ([[1.5], [1, 2]], "list<element: double>"),
        ([[1], [1.5, 2]], "list<element: double>"),
        ([[[1.5, 2]], [[3, 4]]], "[2]>[1]"),
        ([1, 2.5], "double"),
        ([3, 4], "int64"),
        (["a", "b"], "string"),
        ([["a"], ["b", "c"]], "list<element: string>"),
    ],
)
def test_columns_have_the_type_that_holds_all_users(x: list[Any], kind: str, tmp_path: Path) -> None:
    """Here each sample is another user's, so that the second one's type must be joined to the first one's."""
    write(tmp_path, {"1": (x[:1], [0]), "2": (x[1:], [1]), "3": ([], [])})
    result = package.export(tmp_path / "out", to="parquet", data_dir=tmp_path / "data")
    table = read(tmp_path / "out")
    found = str(table["x"].type).replace("item", "element")
    assert kind in found
    assert ("[" in kind) == ("[" in found)
    assert table["x"].to_pylist() == x
    assert table["user_id"].to_pylist() == [1, 2]
    assert (result.folders[0].users, result.folders[0].samples) == (2, 2)
    assert "dropped 1 user without samples" in result.notes[0]


def test_float32_is_half_as_large_and_rounded(tmp_path: Path) -> None:
    x = np.random.default_rng(1).normal(size=(4000, 8))
    write(tmp_path, {"1": (x.tolist(), [0, 1] * 2000)})
    sizes = {}
    for dtype in ("float64", "float32"):
        sizes[dtype] = package.export(tmp_path / dtype, to="parquet", data_dir=tmp_path / "data", dtype=dtype).size
        np.testing.assert_array_equal(read(tmp_path / dtype)["x"].to_pylist(), x.astype(dtype))
    assert sizes["float32"] < 0.6 * sizes["float64"] < 0.6 * x.nbytes


def test_labels_are_classes_by_name(tmp_path: Path) -> None:
    numbers, texts = ([[1.0]] * 3, [0, 2, 0]), ([[1.0]] * 3, ["cat", "ant", "cat"])
    for labels, names, column in ((numbers, ["0", "1", "2"], [0, 2, 0]), (texts, ["ant", "cat"], [1, 0, 1])):
        write(tmp_path, {"1": labels})
        out = export(tmp_path, overwrite=True)
        schema = parquet.read_schema(next(out.rglob("*.parquet")))
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert features["y"] == {"names": names, "_type": "ClassLabel"}
        assert read(out)["y"].to_pylist() == column
        assert "class_label" in (out / "README.md").read_text()
    assert read(export(tmp_path, "plain", to="parquet"))["y"].to_pylist() == ["cat", "ant", "cat"]
    write(tmp_path, {"1": ([[1.0]] * 2, [0.5, 3])})
    assert read(export(tmp_path, "fractions"))["y"].to_pylist() == [0.5, 3]
    assert "class_label" not in (tmp_path / "fractions/README.md").read_text()


def test_label_names_of_the_source_are_kept(tmp_path: Path) -> None:
    (tmp_path / "own.csv").write_text("a,b,y\n1,2,dog\n3,4,cat\n5,6,dog\n")
    fedsynth(tmp_path, "partition", "own.csv", "--users", 2, "--scheme", "iid", "--label", "y")
    out = export(tmp_path)
    schema = parquet.read_schema(next(out.rglob("*.parquet")))
    assert json.loads(schema.metadata[b"huggingface"])["info"]["features"]["y"]["names"] == ["cat", "dog"]
    assert "own" in (out / "README.md").read_text()
    assert str(tmp_path) not in (out / "README.md").read_text()


def test_hierarchies_are_a_column(tmp_path: Path) -> None:
    write(tmp_path, {"1": ([[1.0]], [0]), "2": ([[1.0]] * 2, [0, 1])}, hierarchies=["play", None])
    assert read(export(tmp_path))["hierarchy"].to_pylist() == ["play", None, None]


def test_a_row_group_never_splits_a_user_but_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fedsynth.formats.tables.GROUP_BYTES", 4_000)
    monkeypatch.setattr("fedsynth.formats.tables.SPLIT_BYTES", 140_000)
    rows = {"1": 10, "2": 900, "3": 5, "4": 6, "5": 9_000, "6": 7}
    write(tmp_path, {user: ([[0.5, 1.5]] * count, [0] * count) for user, count in rows.items()})
    file = next(export(tmp_path, to="parquet").rglob("*.parquet"))
    opened = parquet.ParquetFile(file)
    groups = [opened.read_row_group(number)["user_id"].to_pylist() for number in range(opened.num_row_groups)]
    assert list(itertools.chain(*groups)) == [int(user) for user, count in rows.items() for _ in range(count)]
    assert [set(group) for group in groups if not set(group) & {5}] == [{1}, {2}, {3, 4}, {6}]
    assert [len(group) for group in groups if 5 in group][:-1] == [4096, 4096]
    statistics = opened.metadata.row_group(1).column(0).statistics
    assert (statistics.min, statistics.max) == (2, 2)


def test_the_card_says_what_is_there_and_how_it_was_made(cwd: Path, tmp_path: Path) -> None:
    package.export(tmp_path / "out", data_dir=cwd / "data")
    card = (tmp_path / "out/README.md").read_text()
    assert "fedsynth generate -num-tasks 30 -model leaf -num-dim 4 -prob-clusters 0.5,0.5 -num-shards 3" in card
    assert "fedsynth preprocess -s niid --sf 1.0 --smplseed 1 -k 5 -t sample --tf 0.9 --spltseed 2" in card
    assert "concept.between" in card
    for name in ("hist", "labels", "models"):
        assert (tmp_path / f"out/synthetic_train_{name}.png").is_file()
        assert f"](synthetic_train_{name}.png)" in card
    sizes = {side: sum(len(y) for _, y in rows_of(cwd, side).values()) for side in ("train", "test")}
    assert all(f"num_examples: {size}" in card for size in sizes.values())
    files = (tmp_path / "out/data").glob("*.parquet")
    assert f"download_size: {sum(file.stat().st_size for file in files)}" in card


def test_the_cards_commands_make_the_same_data_again(cwd: Path, tmp_path: Path) -> None:
    package.export(tmp_path / "out", data_dir=cwd / "data", features=False)
    card = (tmp_path / "out/README.md").read_text()
    for line in card.partition("```sh\n")[2].partition("\n```")[0].splitlines():
        fedsynth(tmp_path, *line.split()[1:])
    assert contents(tmp_path / "data/train") == contents(cwd / "data/train")


def test_folders_are_splits_of_their_names(cwd: Path, tmp_path: Path) -> None:
    for source, name in (("train", "val"), ("test", "new-users")):
        shutil.copytree(cwd / "data" / source, tmp_path / "data" / name)
    package.export(tmp_path / "usual", data_dir=tmp_path / "data", to="parquet")
    assert {file.name[:3] for file in (tmp_path / "usual").glob("*.parquet")} == {"val"}
    package.export(tmp_path / "named", data_dir=tmp_path / "data", folders=["new-users", "val"])
    card = (tmp_path / "named/README.md").read_text()
    assert 'path: "data/new_users-*"' in card
    assert 'path: "data/val-*"' in card


def test_pfllib_has_objects_where_shapes_differ(tmp_path: Path) -> None:
    users = {"none": ([], []), "a": ([[1, 2], [3]], ["u", "v"]), "b": ([[4.5], [5.5]], ["v", "v"])}
    for side in ("train", "test"):
        write(tmp_path, users).rename(tmp_path / "data" / side)
        (tmp_path / "data" / side).rename(tmp_path / "moved.json")
        (tmp_path / "data" / side).mkdir()
        (tmp_path / "moved.json").rename(tmp_path / "data" / side / "own.json")
    out = export(tmp_path, to="pfllib")
    found = [np.load(out / "train" / f"{number}.npz", allow_pickle=True)["data"].tolist() for number in range(2)]
    assert found[0]["x"].tolist() == [[1, 2], [3]]
    assert found[1]["x"].tolist() == [[4.5], [5.5]]
    assert [one["y"].tolist() for one in found] == [[0, 1], [1, 1]]
    assert json.loads((out / "config.json").read_text())["fedsynth"]["classes"] == ["u", "v"]


def test_pfllib_refuses_users_on_one_side_alone(cwd: Path, tmp_path: Path) -> None:
    write(tmp_path, {"a": ([[1]], [0]), "b": ([[1]], [0])}).rename(tmp_path / "own.json")
    write(tmp_path, {"a": ([[1]], [0])}).rename(tmp_path / "other.json")
    for side, name in (("train", "own.json"), ("test", "other.json")):
        (tmp_path / "data" / side).mkdir()
        (tmp_path / name).rename(tmp_path / "data" / side / name)
    with pytest.raises(DataError, match='data/test: no samples of 1 user of train, such as "b"'):
        export(tmp_path, to="pfllib")
    with pytest.raises(UsageError, match="PFLlib reads train and test"):
        export(tmp_path, to="pfllib", folders=["train"])


MIXED = {
    "mixed kinds": [[1.0, 2.0], "text"],
    "numbers beside lists": [1.0, [1.0]],
    "objects": [{"a": 1}, {"a": 2}],
    "text among numbers": [1.0, "1.5"],
}


@pytest.mark.parametrize("x", MIXED.values(), ids=MIXED)
@pytest.mark.parametrize("apart", [False, True])
def test_samples_that_no_column_holds_are_one_sentence(x: list[Any], apart: bool, tmp_path: Path) -> None:
    users = {"7": (x[:1], [0]), "8": (x[1:], [0])} if apart else {"7": (x, [0, 1])}
    write(tmp_path, users)
    with pytest.raises(DataError, match=r'all_data.json: user "[78]" has .*expected samples of one kind.*pfllib$'):
        export(tmp_path, to="parquet")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("apart", [False, True])
def test_labels_that_no_column_holds_are_not_sent_to_a_format_that_refuses_them_too(
    apart: bool, tmp_path: Path
) -> None:
    one, two = ([1.0], "text"), ([2.0], 1)
    users: Any = {"7": ([one[0], two[0]], [one[1], two[1]])}
    if apart:
        users = {"7": ([one[0]], [one[1]]), "8": ([two[0]], [two[1]])}
    write(tmp_path, users)
    with pytest.raises(DataError, match=r'user "[78]" has labels that are .*; convert them$'):
        export(tmp_path, to="parquet")


@pytest.mark.parametrize(
    "names", [("007", "7"), ("-0", "0"), ("--7", "-7"), (str(2**63), "1"), ("\u0667", "7"), ("+1", "1")]
)
def test_names_that_numbers_would_merge_stay_texts(names: tuple[str, str], tmp_path: Path) -> None:
    write(tmp_path, {name: ([[float(number)]], [0]) for number, name in enumerate(names)})
    table = read(export(tmp_path, to="parquet"))
    assert list(zip(table["user_id"].to_pylist(), table["x"].to_pylist(), strict=True)) == [
        (names[0], [0.0]),
        (names[1], [1.0]),
    ]


def test_names_that_are_no_text_are_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, {"\ud800": ([[1.0]], [0])})
    with pytest.raises(DataError, match=r"has a name that is no UTF-8, expected .*; convert them"):
        export(tmp_path, to="parquet")


def test_whole_numbers_that_fractions_would_round_are_one_sentence(tmp_path: Path) -> None:
    write(tmp_path, {"7": ([[2**53 + 1]], [0]), "8": ([[1.5]], [0])})
    with pytest.raises(DataError, match=r'user "7" has whole numbers that are less exact beside fractions, expected'):
        export(tmp_path, to="parquet")


def test_labels_that_would_be_rounded_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"7": ([[1.0]], [2**63 + 1])})
    with pytest.raises(DataError, match='user "7" has labels that are whole numbers beyond 64 bits'):
        export(tmp_path, to="parquet")


def test_numbers_too_large_for_float32_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"7": ([[1.0], [1e300]], [0, 1])})
    with pytest.raises(DataError, match=r'user "7" has .*1e\+300.* in x, which float32 can.t hold; choose float64'):
        export(tmp_path, to="parquet", dtype="float32")


def test_no_samples_are_an_error(tmp_path: Path) -> None:
    write(tmp_path, {"7": ([], [])})
    with pytest.raises(StageError, match="all_data: no samples"):
        export(tmp_path)


@pytest.mark.parametrize("to", FORMATS[:3])
def test_memory_does_not_grow_with_the_data(to: str, tmp_path: Path) -> None:
    """Ten times as many users take no more."""
    peaks = []
    for number, users in enumerate((60, 600)):
        (tmp_path / str(number)).mkdir()
        rows = np.random.default_rng(1).normal(size=(200, 60)).round(12).tolist()
        package.write_leaf(
            tmp_path / f"{number}/data/all_data", {str(user): (rows, [0] * 200) for user in range(users)}
        )
        script = f"import fedsynth; fedsynth.export('out', to={to!r})"
        peaks.append(peak_memory(tmp_path / str(number), script))
    assert peaks[1] < 200_000_000
    assert peaks[1] < peaks[0] + 30_000_000
