"""`fedsynth partition`: somebody's own data in, all_data and what the rest of the pipeline needs out."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth
from tests.commands import appeared, contents, peak_memory, start
from tests.commands import fedsynth as run

X = np.random.RandomState(0).normal(size=(600, 4))
Y = np.arange(600) % 6
OPTIONS = ("--users", 20, "--alpha", "0.3", "--min-samples", 10)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    np.savez(tmp_path / "own.npz", x=X, y=Y, writer=np.array([f"w{row % 7}" for row in range(600)]))
    return tmp_path / "own.npz"


def users(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*.json")):
        found |= json.loads(file.read_text())["user_data"]
    return found


def test_every_sample_is_written_once_and_as_python_deals_it(tmp_path: Path, source: Path) -> None:
    result = run(tmp_path, "partition", "own.npz", *OPTIONS)
    assert result.stdout == "partition: all_data: 20 users, 600 samples (seed 931231): done\n"
    part = fedsynth.partition(Y, users=20, alpha=0.3, min_samples=10)
    found = users(tmp_path / "data/all_data")
    assert list(found) == part.users
    for user, indices in part.items():
        assert found[user] == {"x": X[indices].tolist(), "y": Y[indices].tolist()}
    fedsynth.write_leaf(tmp_path / "same", part.take(X))
    assert (tmp_path / "same/all_data.json").read_bytes() == (tmp_path / "data/all_data/all_data.json").read_bytes()
    with np.load(tmp_path / "meta/assignment.npz") as assignment:
        assert (assignment["user_of"] == part.user_of).all()
        assert assignment["users"].tolist() == part.users


@pytest.mark.parametrize("more", [(), ("--workers", 2)])
def test_shards_and_workers_make_no_difference_to_the_users(tmp_path: Path, source: Path, more: Any) -> None:
    run(tmp_path, "partition", "own.npz", *OPTIONS)
    run(tmp_path, "partition", "own.npz", *OPTIONS, "--num-shards", 3, "--data-dir", "b/data", *more)
    assert users(tmp_path / "b/data/all_data") == users(tmp_path / "data/all_data")
    assert len(list((tmp_path / "b/data/all_data").glob("*.json"))) == 3


def test_small_buckets_make_no_difference_to_the_bytes(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedsynth.partitioners.request import Request
    from fedsynth.pipeline import spill
    from fedsynth.pipeline.partition import partition_source
    from fedsynth.pipeline.wish import Wish
    from fedsynth.sources import npz

    found = []
    for folder, room, batch in (("a", 1 << 20, 1 << 20), ("b", 1000, 300)):
        monkeypatch.setattr(spill, "_BUCKET_BYTES", room)
        monkeypatch.setattr(npz, "_BATCH_BYTES", batch)
        wish = Wish(source=source, request=Request(scheme="dirichlet", alpha=0.3, users=20), x=["x"])
        partition_source(tmp_path / folder / "data", wish)
        found.append((tmp_path / folder / "data/all_data/all_data.json").read_bytes())
    assert found[0] == found[1]


def test_texts_become_numbers_whose_names_stay(tmp_path: Path) -> None:
    words = np.array(["pear", "apple", "fig"])[np.arange(90) % 3]
    np.savez(tmp_path / "own.npz", x=np.arange(90), y=words)
    run(tmp_path, "partition", "own.npz", "--users", 5, "--scheme", "iid")
    run(tmp_path, "preprocess", "-s", "niid", "--sf", 1.0, "-t", "sample")
    names = ["apple", "fig", "pear"]
    for folder in ("all_data", "train"):
        dataset = fedsynth.LeafDataset(tmp_path / "data" / folder)
        assert dataset.label_names == names
        for user in dataset:
            for x, y in zip(dataset[user].features, dataset[user].labels, strict=True):
                assert words[int(x[0])] == names[y]
    assert run(tmp_path, "stats").stdout.splitlines()[1] == "DATASET: own"
    assert (tmp_path / "data/own_labels.png").exists()
    assert "DATASET: fruit" in run(tmp_path, "stats", "--name", "fruit").stdout
    manifest = json.loads((tmp_path / "meta/manifest.json").read_text())
    assert manifest["stages"]["partition"]["parameters"]["label_names"] == names


def test_natural_users_are_those_of_the_column(tmp_path: Path, source: Path) -> None:
    run(tmp_path, "partition", "own.npz", "--scheme", "natural", "--user", "writer")
    found = users(tmp_path / "data/all_data")
    assert sorted(found) == [f"w{user}" for user in range(7)]
    assert found["w3"]["x"] == X[3::7].tolist()


def test_users_may_differ_in_another_column_than_the_label(tmp_path: Path, source: Path) -> None:
    run(tmp_path, "partition", "own.npz", "--by", "writer", "--scheme", "classes", "--classes", 1, "--users", 7)
    found = users(tmp_path / "data/all_data")
    rows = {tuple(row): number for number, row in enumerate(X.tolist())}
    for entry in found.values():
        numbers = [rows[tuple(x)] for x in entry["x"]]
        assert len({number % 7 for number in numbers}) == 1, "one writer each"
        assert entry["y"] == [int(Y[number]) for number in numbers]


def test_clusters_that_exchange_labels_are_known_to_all_that_reads(tmp_path: Path, source: Path) -> None:
    run(tmp_path, "partition", "own.npz", *OPTIONS, "--clusters", 2, "--swap-labels", 4)
    part = fedsynth.partition(Y, users=20, alpha=0.3, min_samples=10, clusters=2, swap_labels=4)
    dataset = fedsynth.LeafDataset(tmp_path / "data/all_data")
    assert part.clusters is not None
    taken = part.take(X)
    for position, user in enumerate(part.users):
        assert dataset[user].metadata["cluster"] == part.clusters[position]
        assert (dataset[user].labels == taken[user][1]).all()
    measured = fedsynth.measure(tmp_path / "data/all_data")
    expected = part.measure()
    for key in ("concept.disagreement", "concept.within", "concept.between", "concept.oracle_accuracy"):
        assert measured[key] == pytest.approx(expected[key]), key
    assert measured["clusters.sizes"] == [10, 10]
    with pytest.raises(fedsynth.errors.StageError, match="there are no true models"):
        dataset.true_model("0")
    run(tmp_path, "stats")
    assert (tmp_path / "data/own_labels.png").exists() and not (tmp_path / "data/own_models.png").exists()


def test_a_table_with_a_column_of_users_gives_them_back(tmp_path: Path) -> None:
    """A Parquet file of users in a row, x a list, as it is exported."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    run(tmp_path, "generate", "-num-tasks", 12)
    before = users(tmp_path / "data/all_data")
    rows = [(int(user), x, y) for user, entry in before.items() for x, y in zip(entry["x"], entry["y"], strict=True)]
    names, x, y = zip(*rows, strict=True)
    content = pa.table(
        {"user_id": names, "x": pa.array(x, pa.list_(pa.float64(), 60)), "y": y, "cluster": [0] * len(y)}
    )
    pq.write_table(content, tmp_path / "own.parquet")
    run(tmp_path, "partition", "own.parquet", "--scheme", "natural", "--user", "user_id", "--data-dir", "b/data")
    assert users(tmp_path / "b/data/all_data") == before


def test_without_exchanges_nothing_is_claimed_of_concepts(tmp_path: Path, source: Path) -> None:
    run(tmp_path, "generate", "-num-tasks", 5)
    run(tmp_path, "partition", "own.npz", *OPTIONS, "--overwrite")
    measured = fedsynth.measure(tmp_path / "data/all_data")
    assert "concept.disagreement" not in measured
    assert measured["left_out"]["concept.disagreement"] == "of somebody's own data no true models are known"
    run(tmp_path, "generate", "-num-tasks", 5, "--overwrite")
    assert "concept.disagreement" in fedsynth.measure(tmp_path / "data/all_data")
    assert list(json.loads((tmp_path / "meta/manifest.json").read_text())["stages"]) == ["generate"]


def test_the_pipeline_goes_on_from_there(tmp_path: Path, source: Path) -> None:
    run(tmp_path, "partition", "own.npz", *OPTIONS)
    run(tmp_path, "preprocess", "-s", "niid", "--sf", 1.0, "-k", 12, "-t", "sample")
    train, test = (fedsynth.LeafDataset(tmp_path / "data" / name) for name in ("train", "test"))
    assert sum(train.num_samples) + sum(test.num_samples) <= 600 and set(train) == set(test)
    assert run(tmp_path, "verify", "meta/dir-checksum.md5").stdout.endswith("files match\n")


def test_the_same_again_is_kept_and_anything_else_is_an_error(tmp_path: Path, source: Path) -> None:
    run(tmp_path, "partition", "own.npz", *OPTIONS)
    before = contents(tmp_path)
    assert "kept" in run(tmp_path, "partition", "own.npz", *OPTIONS).stdout
    for more in (("--seed", 2), ("--num-shards", 2), ("--clusters", 2, "--swap-labels", 2), ("--label", "y")):
        result = run(tmp_path, "partition", "own.npz", *OPTIONS, *more, check=1)
        assert "--overwrite" in result.stderr and result.stderr.count("\n") == 1
    assert "exists, and was not partitioned" not in result.stderr
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["data/all_data", "data/train", "data/train/all_data_niid_0_train_9.json"])
def test_a_source_that_the_result_would_replace_is_refused(tmp_path: Path, source: Path, name: str) -> None:
    """It would be gone or stale as soon as the data is there, and then partitioned again."""
    run(tmp_path, "partition", "own.npz", *OPTIONS)
    run(tmp_path, "preprocess", "-s", "niid", "--sf", 1.0, "-t")
    before = contents(tmp_path)
    if (tmp_path / name).is_dir():
        run(tmp_path, "partition", name, *OPTIONS, "--assignment-only", "--data-dir", "other")
    assert "copy it elsewhere" in run(tmp_path, "partition", name, *OPTIONS, "--overwrite", check=2).stderr
    assert {path: data for path, data in contents(tmp_path).items() if path in before} == before
    run(tmp_path, "partition", name, *OPTIONS[:4], "--data-dir", "other")
    run(tmp_path, "stats", "other/all_data", "--no-features")


def test_a_source_that_changed_makes_the_data_stale(tmp_path: Path, source: Path) -> None:
    run(tmp_path, "partition", "own.npz", *OPTIONS)
    os.utime(source, ns=(1, 1))
    assert "kept" in run(tmp_path, "partition", "own.npz", *OPTIONS).stdout, "same contents"
    np.savez(source, x=X + 1, y=Y)
    for command in (("preprocess", "-s", "niid"), ("stats",), ("partition", "own.npz", *OPTIONS)):
        assert "own.npz has changed" in run(tmp_path, *command, check=1).stderr
    run(tmp_path, "partition", "own.npz", *OPTIONS, "--overwrite")
    run(tmp_path, "stats")
    source.unlink()
    run(tmp_path, "preprocess", "-s", "niid")


@pytest.mark.parametrize("what", ["read samples", "partition"])
def test_a_source_that_changes_while_it_is_read_leaves_nothing(tmp_path: Path, source: Path, what: str) -> None:
    """It is replaced by other samples of as many rows once the labels are read, or once the samples are."""
    from fedsynth.errors import DataError
    from fedsynth.partitioners.request import Request
    from fedsynth.pipeline.partition import partition_source
    from fedsynth.pipeline.run import no_bar
    from fedsynth.pipeline.wish import Wish

    def bar(text: str, number: int) -> Any:
        if text == what:
            np.savez(source, x=X + 1, y=Y)
        return no_bar(text, number)

    wish = Wish(source=source, request=Request(scheme="iid", users=20), x=["x"])
    with pytest.raises(DataError, match=r"own.npz: changed while it was read; run the same command again"):
        partition_source(tmp_path / "data", wish, bar=bar)
    assert not (tmp_path / "data/all_data").exists() and not (tmp_path / "meta/truth.npz").exists()
    partition_source(tmp_path / "data", wish)
    assert sum(len(user["y"]) for user in users(tmp_path / "data/all_data").values()) == 600


def test_levels_are_reached_and_the_same_knob_gives_the_same_bytes(tmp_path: Path, source: Path) -> None:
    wish = ("partition", "own.npz", "--x", "x", "--users", 20, "--scheme", "inner-dirichlet")
    levels = ("--target", "label.jensen_shannon=0.4", "--target", "quantity.gini=0.3")
    printed = run(tmp_path, *wish, *levels).stdout
    measured = fedsynth.measure(tmp_path / "data/all_data")
    assert measured["label.jensen_shannon"] == pytest.approx(0.4, abs=0.005)
    assert measured["quantity.gini"] == pytest.approx(0.3, abs=0.005)
    assert "kept" in run(tmp_path, *wish, *levels).stdout
    knobs = [word for line in printed.splitlines()[1:3] for word in line.split()[-2:]]
    run(tmp_path, *wish, *knobs, "--data-dir", "b/data")
    assert (tmp_path / "b/data/all_data/all_data.json").read_bytes() == (
        tmp_path / "data/all_data/all_data.json"
    ).read_bytes()


@pytest.mark.parametrize("measure", ["jensen_shannon", "hellinger", "total_variation", "majority_share"])
@pytest.mark.parametrize("scheme", ["dirichlet", "inner-dirichlet"])
def test_each_label_measure_can_be_asked_for(measure: str, scheme: str) -> None:
    from fedsynth.partitioners.column import to_column
    from fedsynth.partitioners.request import Request
    from fedsynth.pipeline.partition_levels import solve_levels
    from fedsynth.pipeline.target import parse_target

    by = to_column(np.arange(6000) % 10)
    request = Request(scheme=scheme, users=50, alpha=1.0, min_samples=5)
    (found,) = solve_levels(by, by, request, [parse_target(f"label.{measure}=0.45")])
    assert found.level == pytest.approx(0.45, abs=0.005)
    part = fedsynth.partition(np.arange(6000) % 10, users=50, scheme=scheme, alpha=found.value, min_samples=5)
    assert part.measure()[f"label.{measure}"] == found.level


def test_only_the_assignment_for_data_that_stays_where_it_is(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    images = pa.array([{"bytes": b"x", "path": "p"}] * 60, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    pq.write_table(pa.table({"image": images, "label": np.arange(60) % 3}), tmp_path / "own.parquet")
    options = ("partition", "own.parquet", "--users", 5, "--scheme", "iid")
    assert "--assignment-only" in run(tmp_path, *options, check=2).stderr
    printed = run(tmp_path, *options, "--assignment-only").stdout
    assert printed.endswith("meta/assignment.npz: 5 users, 60 samples: done\n")
    with np.load(tmp_path / "meta/assignment.npz") as assignment:
        part = fedsynth.partition(np.arange(60) % 3, users=5, scheme="iid")
        assert (assignment["user_of"] == part.user_of).all()
        assert json.loads(str(assignment["parameters"]))["users"] == 5
    assert not (tmp_path / "data/all_data").exists() and not (tmp_path / "meta/manifest.json").exists()


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("own.npz", *OPTIONS, "--x", "z"), 2, "no column 'z' for --x; it has x, y, writer"),
        (("own.npz", *OPTIONS, "--by", "writr"), 2, "no column 'writr' for --by; did you mean writer?"),
        (("own.npz", *OPTIONS, "--x", "x,writer"), 2, r"a sample can't be made of x (lists); writer (texts)"),
        (("own.npz", *OPTIONS, "--label", "x"), 2, "column 'x' for --label is of type float64 of shape (600, 4)"),
        (("own.npz", "--scheme", "dirchlet"), 2, "--scheme is 'dirchlet', expected one of iid"),
        (("own.npz", "--scheme", "natural"), 2, "scheme natural needs --user"),
        (
            ("own.npz", "--scheme", "natural", "--user", "writer", "--users", 5),
            2,
            "--users makes no sense with scheme nat",
        ),
        (("own.npz", *OPTIONS, "--user", "writer"), 2, "--user makes no sense with scheme dirichlet"),
        (("own.npz", "--users", 601, "--scheme", "iid", "--x", "x"), 2, "expected at most 600"),
        (("own.npz", *OPTIONS, "--x", "x", "--num-shards", 21), 2, "-num-shards is 21, expected 1 to"),
        (("own.npz", "--users", 5, "--target", "label.helinger=0.5"), 2, "has no knob that moves 'label.helinger'"),
        (("own.npz", *OPTIONS, "--target", "label.hellinger=0.5"), 2, "--alpha is given"),
        (("own.npz", "--users", 5, "--x", "x", "--target", "label.hellinger=0.999"), 2, "can't be reached"),
        (("absent.csv", *OPTIONS), 1, "absent.csv: no such file or folder"),
        (("own.npz", *OPTIONS, "--alfa", 1), 2, "no option --alfa, did you mean --alpha?"),
    ],
)
def test_what_makes_no_sense_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, source: Path, options: tuple[Any, ...], status: int, message: str
) -> None:
    result = run(tmp_path, "partition", *options, check=status)
    assert message in result.stderr, result.stderr
    assert result.stderr.startswith("fedsynth: ") and result.stderr.count("\n") == 1
    assert not (tmp_path / "data/all_data").exists()


def test_numbers_to_deal_by_need_bins(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=X, y=X[:, 0])
    assert "cut them into --bins" in run(tmp_path, "partition", "own.npz", *OPTIONS, check=1).stderr
    run(tmp_path, "partition", "own.npz", "--users", 5, "--scheme", "classes", "--classes", 1, "--bins", 5)
    ranges = sorted((min(user["y"]), max(user["y"])) for user in users(tmp_path / "data/all_data").values())
    assert all(high <= low for (_, high), (low, _) in itertools.pairwise(ranges))


def test_a_killed_run_leaves_nothing_and_the_next_one_finishes(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=np.random.RandomState(0).normal(size=(60_000, 50)), y=np.arange(60_000) % 10)
    options = ("partition", "own.npz", "--users", 100, "--alpha", "0.3")
    process = start(tmp_path, *options)
    for _ in range(4000):
        if appeared(tmp_path / "data", "**/bucket-*"):
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "data/all_data").exists()
    run(tmp_path, *options)
    assert sum(len(user["y"]) for user in users(tmp_path / "data/all_data").values()) == 60_000
    assert [path.name for path in (tmp_path / "data/.fedsynth").iterdir() if path.is_dir()] == []


def test_memory_does_not_grow_with_the_samples(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=np.random.RandomState(0).normal(size=(300_000, 60)), y=np.arange(300_000) % 10)
    script = (
        "from fedsynth.cli import main\n"
        "try: main(['partition', 'own.npz', '--users', '300', '--alpha', '0.3'])\n"
        "except SystemExit as end: assert end.code == 0\n"
    )
    assert peak_memory(tmp_path, script) < 220e6  # 144 MB of samples, 372 MB of text


def test_labels_beyond_64_bits_are_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "own.npz", x=np.arange(6), y=np.array([0, 2**64 - 1] * 3, np.uint64))
    result = run(tmp_path, "partition", "own.npz", "--users", 2, "--scheme", "iid", check=1)
    assert "expected whole numbers of 64 bits" in result.stderr


def test_a_table_without_rows_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "own.csv").write_text("a,label\n")
    result = run(tmp_path, "partition", "own.csv", "--users", 2, "--scheme", "iid", check=1)
    assert "own.csv: no rows, expected some samples" in result.stderr


def test_data_generated_in_place_of_a_partition_leaves_no_assignment(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", x=np.zeros((40, 2)), y=np.arange(40) % 3)
    run(tmp_path, "partition", "s.npz", "--scheme", "iid", "--users", 4)
    assert (tmp_path / "meta/assignment.npz").exists()
    message = run(tmp_path, "generate", "-num-tasks", 3, check=1).stderr
    assert "made by `partition`" in message
    run(tmp_path, "generate", "-num-tasks", 3, "--overwrite")
    assert not (tmp_path / "meta/assignment.npz").exists()
