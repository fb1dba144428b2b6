"""`fedsynth.partition` and `fedsynth.write_leaf`, as a program uses them."""

from __future__ import annotations

import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth
from fedsynth.errors import DataError, StageError, UsageError
from tests.commands import contents, environment

LABELS = np.arange(600) % 6


def test_a_partition_is_a_mapping_of_users_to_sorted_indices() -> None:
    part = fedsynth.partition(LABELS, users=20, scheme="dirichlet", alpha=0.3, min_samples=10, seed=1)
    assert part.users == [str(user) for user in range(20)] == list(part)
    assert len(part) == 20 and "7" in part and "20" not in part
    assert part["7"].dtype == np.int64
    assert (part["7"] == np.flatnonzero(part.user_of == 7)).all()
    assert sorted(np.concatenate(list(part.values())).tolist()) == list(range(600))
    assert min(map(len, part.values())) >= 10
    assert repr(part) == "<Partition dirichlet: 20 users, 600 samples>"
    with pytest.raises(KeyError):
        part["20"]


@pytest.mark.parametrize(
    "own", [{"alpha": 0.3}, {"scheme": "iid"}, {"scheme": "classes", "classes": 2}, {"scheme": "iid", "clusters": 2}]
)
def test_measures_are_those_of_the_files(tmp_path: Path, own: dict[str, Any]) -> None:
    own = {**own, "swap_labels": 3} if "clusters" in own else own
    part = fedsynth.partition(LABELS, users=20, **own)
    fedsynth.write_leaf(tmp_path / "users", part.take(np.zeros((600, 2))))
    expected = fedsynth.measure(tmp_path / "users")
    found = part.measure()
    assert {key for key in found if not key.startswith(("concept.", "clusters."))} <= expected.keys()
    assert all(found[key] == pytest.approx(expected[key]) for key in found if key in expected)


def test_exchanged_labels_are_known_exactly() -> None:
    part = fedsynth.partition(LABELS, users=10, scheme="iid", clusters=2, swap_labels=3, seed=3)
    x = np.arange(600)
    assert part.clusters is not None and part.swaps is not None
    for position, (indices, labels) in enumerate(part.take(x).values()):
        swap = part.swaps[part.clusters[position]]
        assert (labels == swap[LABELS[indices]]).all()
    measures = part.measure()
    assert measures["concept.within"] == 0
    # Half of six equally frequent classes have other labels, and users are of one size.
    assert measures["concept.between"] == pytest.approx(0.5, abs=0.05)
    shares = np.mean([np.bincount(LABELS[part[user]], minlength=6) / len(part[user]) for user in part], axis=0)
    moved = part.swaps[1] != np.arange(6)
    assert measures["concept.between"] == pytest.approx(shares[moved].sum())
    assert measures["concept.disagreement"] == pytest.approx(shares[moved].sum() * 5 / 9)
    assert measures["clusters.sizes"] == [5, 5]


def test_other_labels_than_those_exchanged_are_an_error() -> None:
    part = fedsynth.partition(LABELS, users=10, scheme="iid", clusters=2, swap_labels=3)
    assert len(part.take(LABELS, LABELS)["0"][1]) == 60
    with pytest.raises(UsageError, match="leave y out"):
        part.take(LABELS, LABELS + 1)


def test_natural_users_and_a_domain_to_deal_by() -> None:
    domain = np.array(["photo", "sketch", "clipart"])[np.arange(600) // 200]
    part = fedsynth.partition(LABELS, users=domain, scheme="natural")
    assert part.users == ["clipart", "photo", "sketch"]
    assert (part["photo"] == np.arange(200)).all()
    by = fedsynth.partition(LABELS, users=3, scheme="classes", classes=1, by=domain)
    assert sorted(len(set(domain[indices])) for indices in by.values()) == [1, 1, 1]
    assert all(len(set(LABELS[indices])) == 6 for indices in by.values())


def test_numbers_are_dealt_by_bins() -> None:
    target = np.random.RandomState(0).normal(size=600)
    part = fedsynth.partition(target, users=5, scheme="classes", classes=1, bins=5)
    ranges = sorted((target[indices].min(), target[indices].max()) for indices in part.values())
    assert all(high < low for (_, high), (low, _) in itertools.pairwise(ranges))
    assert part.classes is None and "label.hellinger" not in part.measure()
    assert part.measure()["quantity.gini"] == 0


def test_listed_sizes_are_the_sizes() -> None:
    part = fedsynth.partition(LABELS, scheme="quantity", sizes=[100, 200, 300])
    assert part.num_samples.tolist() == [100, 200, 300]
    part = fedsynth.partition(LABELS, scheme="inner-dirichlet", alpha=0.1, sizes=[100, 200, 300])
    assert part.num_samples.tolist() == [100, 200, 300]


@pytest.mark.parametrize("alpha", [1e30, 1e308, math.inf])
@pytest.mark.parametrize("scheme", ["dirichlet", "inner-dirichlet"])
def test_an_infinite_alpha_makes_users_alike(scheme: str, alpha: float) -> None:
    part = fedsynth.partition(LABELS, users=10, scheme=scheme, alpha=alpha)
    if scheme == "inner-dirichlet":  # whose samples are draws
        assert part.measure()["label.jensen_shannon"] < 2 * part.measure()["label.jensen_shannon_chance"]
        return
    assert all((np.bincount(LABELS[indices]) == 10).all() for indices in part.values())


def test_levels_are_asked_for_by_measure() -> None:
    levels = {"label.hellinger": 0.6, "quantity.gini": (0.4, 0.01)}
    part = fedsynth.partition(LABELS, users=30, scheme="inner-dirichlet", targets=levels)
    assert part.measure()["label.hellinger"] == pytest.approx(0.6, abs=0.005)
    assert part.measure()["quantity.gini"] == pytest.approx(0.4, abs=0.01)
    asked = part.request
    same = fedsynth.partition(LABELS, users=30, scheme="inner-dirichlet", alpha=asked.alpha, sigma=asked.sigma)
    assert (same.user_of == part.user_of).all()
    with pytest.raises(UsageError, match=r"alpha is given, and label\.hellinger would choose it"):
        fedsynth.partition(LABELS, users=30, alpha=1.0, targets={"label.hellinger": 0.6})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"users": 601, "scheme": "iid"}, "users is 601, expected at most 600, the number of samples"),
        (
            {"users": 10, "scheme": "iid", "min_samples": 61},
            "expected at most 60: there are 600 samples; or at most 9",
        ),
        ({"users": 10, "scheme": "classes", "classes": 7}, "classes is 7, expected at most 6"),
        ({"users": 2, "scheme": "classes", "classes": 2}, "users is 2 of 2 classes each, expected at least 3"),
        ({"users": 400, "scheme": "classes", "classes": 2}, "the smallest class has 100 samples, .* at most 300 users"),
        ({"users": 10, "scheme": "shards", "shards": 61}, "at most 60 a user"),
        ({"users": 10, "scheme": "dirichlet"}, "scheme dirichlet needs alpha"),
        ({"users": 10, "scheme": "dirichlet", "alpha": 0}, "alpha is 0, expected a positive number, or inf"),
        ({"users": 10, "scheme": "dirichlet", "alpha": math.nan}, "alpha is nan"),
        (
            {"users": 10, "scheme": "iid", "alpha": 1},
            "alpha makes no sense with scheme iid, which takes none",
        ),
        ({"users": 10, "scheme": "quantity"}, "scheme quantity needs sigma or sizes"),
        ({"scheme": "quantity", "sizes": [1, 2]}, "sizes adds up to 3, expected 600"),
        ({"scheme": "quantity", "sizes": [600, 0]}, "sizes holds 0, expected at least min_samples, 1"),
        ({"users": 3, "scheme": "quantity", "sizes": [300, 300]}, "users is 3, but sizes lists 2"),
        ({"users": 10, "scheme": "dirichle"}, "scheme is 'dirichle', expected one of iid, quantity"),
        ({"scheme": "iid"}, "scheme iid needs users"),
        ({"users": 0, "scheme": "iid"}, "users is 0, expected at least 1"),
        ({"users": LABELS, "scheme": "iid"}, "or say natural"),
        ({"users": 5, "scheme": "natural"}, "expected a name for each sample for scheme natural"),
        ({"users": LABELS, "scheme": "natural", "min_samples": 5}, "min_samples makes no sense with scheme natural"),
        ({"users": 10, "scheme": "iid", "clusters": 2}, "clusters is 2 and swap_labels 0"),
        ({"users": 10, "scheme": "iid", "clusters": 2, "swap_labels": 1}, "swap_labels is 1, expected at least 2"),
        ({"users": 10, "scheme": "iid", "clusters": 2, "swap_labels": 7}, "swap_labels is 7, expected at most 6"),
        ({"users": 10, "scheme": "iid", "clusters": 11, "swap_labels": 2}, "clusters is 11, expected at most 10"),
        ({"users": 600, "scheme": "iid", "clusters": 17, "swap_labels": 2}, "clusters is 17, expected at most 16"),
        ({"users": 10, "scheme": "iid", "seed": -1}, "seed is -1"),
        ({"users": 10, "scheme": "iid", "by": [1, 2]}, "columns have 2 and 600 values"),
    ],
)
def test_what_is_impossible_says_what_would_be_possible(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, DataError), match=message):
        fedsynth.partition(LABELS, **arguments)


@pytest.mark.parametrize("num_shards", [1, 3])
def test_users_are_written_as_leafs_files(tmp_path: Path, num_shards: int) -> None:
    users = {
        "a": (np.array([[0.1, 2.0], [1e-7, 3.0]]), np.array([1, 0])),
        "b": ([[1, 2]], ["yes"]),
        "c": (np.zeros((2, 2, 3), np.float32), [0.5, None]),
        "d": (["some text", "é"], np.array([True, False])),
        "e": (np.array([], np.int64), []),
    }
    files = fedsynth.write_leaf(tmp_path / "all_data", users, num_shards=num_shards)
    assert len(files) == num_shards
    content: dict[str, Any] = {}
    for file in files:
        text = file.read_text()
        assert json.dumps(json.loads(text)) == text, "LEAF's separators"
        content |= json.loads(text)["user_data"]
    assert content["a"] == {"x": [[0.1, 2.0], [1e-7, 3.0]], "y": [1, 0]}
    assert content["b"] == {"x": [[1, 2]], "y": ["yes"]}
    assert content["c"] == {"x": np.zeros((2, 2, 3)).tolist(), "y": [0.5, None]}
    assert content["d"] == {"x": ["some text", "é"], "y": [1, 0]}
    assert content["e"] == {"x": [], "y": []}


def test_a_leaf_dataset_is_written_as_it_was_read(tmp_path: Path) -> None:
    part = fedsynth.partition(LABELS, users=5, scheme="iid")
    fedsynth.write_leaf(tmp_path / "a", part.take(np.random.RandomState(0).normal(size=(600, 3))))
    dataset = fedsynth.LeafDataset(tmp_path / "a")
    fedsynth.write_leaf(tmp_path / "b", {user: dataset[user] for user in dataset})
    assert (tmp_path / "a/all_data.json").read_bytes() == (tmp_path / "b/all_data.json").read_bytes()


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ({"a": (np.array([[1.0], [np.nan]]), [1, 2])}, 'user "a" has NaN or infinity in sample 1'),
        ({"a": ([1.0, float("nan")], [1, 2])}, 'user "a" has a value that JSON can\'t hold'),
        ({"a": ([object()], [1])}, 'user "a" has a value that JSON can\'t hold'),
        ({"a": ([1, 2], [1])}, 'user "a" has 2 entries in x and 1 in y'),
        ({"a": ([1, 2],)}, 'user "a" has 1 parts'),
        ({"a": 3}, 'user "a" has 3, expected two parts, x and y'),
        ({"a": (3, [1])}, 'user "a" has 3 for x or y, expected an entry for each sample'),
        ({}, "num_shards is 1, expected 1 to the number of users, 0"),
    ],
)
def test_nothing_is_left_of_what_cannot_be_written(tmp_path: Path, users: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, UsageError), match=message):
        fedsynth.write_leaf(tmp_path / "all_data", users)
    assert visible(tmp_path) == []
    assert leftovers(tmp_path) == []


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    fedsynth.write_leaf(tmp_path / "all_data", {"a": ([1], [1])})
    with pytest.raises(StageError, match="overwrite=True"):
        fedsynth.write_leaf(tmp_path / "all_data", {"b": ([2], [2])})
    with pytest.raises(DataError):
        fedsynth.write_leaf(tmp_path / "all_data", {"b": ([2], [2, 3])}, overwrite=True)
    assert '"a"' in (tmp_path / "all_data/all_data.json").read_text()
    fedsynth.write_leaf(tmp_path / "all_data", {"b": ([2], [2])}, overwrite=True)
    assert '"b"' in (tmp_path / "all_data/all_data.json").read_text()


def test_replacing_a_folder_keeps_what_is_no_data(tmp_path: Path) -> None:
    """Law 1: a run deletes only what a run made."""
    folder = tmp_path / "all_data"
    for turn in range(2):
        fedsynth.write_leaf(folder, {"a": ([1], [1])}, overwrite=True)
        (folder / "notes.txt").write_text(f"mine {turn}")
    fedsynth.write_leaf(folder, {"b": ([2], [2])}, overwrite=True)
    assert visible(folder) == ["all_data.json"]
    found = {path.relative_to(tmp_path).parts[0]: path.read_text() for path in tmp_path.rglob("notes.txt")}
    assert found == {"all_data.kept": "mine 0", "all_data.kept-1": "mine 1"}
    assert visible(tmp_path) == ["all_data", "all_data.kept", "all_data.kept-1"]


def test_data_that_no_run_wrote_is_kept_when_a_folder_is_replaced(tmp_path: Path) -> None:
    """Law 1, for files that are called as a run's own would be."""
    folder = tmp_path / "all_data"
    folder.mkdir()
    (folder / "all_data.json").write_text("mine")
    fedsynth.write_leaf(folder, {"a": ([1], [1])}, overwrite=True)
    (folder / "all_data.json").write_text("mine too")
    fedsynth.write_leaf(folder, {"b": ([2], [2])}, overwrite=True)
    fedsynth.write_leaf(folder, {"c": ([3], [3])}, overwrite=True)
    kept = [(tmp_path / name / "all_data.json").read_text() for name in ("all_data.kept", "all_data.kept-1")]
    assert kept == ["mine", "mine too"]
    assert visible(tmp_path) == ["all_data", "all_data.kept", "all_data.kept-1"]


WRITER = """
import os
import fedsynth
import fedsynth.pipeline.own_users

CALLS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync", "open")

def arm(crash_at):
    count = 0
    def watched(call):
        def act(*args, **options):
            nonlocal count
            count += 1
            if count == crash_at:
                os._exit(77)
            return call(*args, **options)
        return act
    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))

def write(text, users, **options):
    fedsynth.write_leaf("all_data", {user: ([text], [1]) for user in users}, num_shards=2, **options)

status, point = 77, 0
while status == 77:
    point += 1
    os.mkdir(str(point))
    child = os.fork()
    if not child:
        os.chdir(str(point))
        write("old", "ab")
        arm(point)
        write("new", "cd", overwrite=True)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
raise SystemExit(status)
"""
"""Replaces folders, each in a process that ends at once before its n-th change to names or its n-th sync."""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")
def test_replacing_that_dies_anywhere_leaves_the_old_or_the_new_and_the_next_run_finishes(tmp_path: Path) -> None:
    """Law 2, and nothing is left over after the next run."""
    subprocess.run([sys.executable, "-c", WRITER], cwd=tmp_path, env=environment(), check=True)
    points = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    new, seen = contents(points[-1] / "all_data"), []
    assert b"new" in new["all_data_1.json"]
    fedsynth.write_leaf(tmp_path / "old/all_data", {user: (["old"], [1]) for user in "ab"}, num_shards=2)
    old = contents(tmp_path / "old/all_data")
    for cwd in points:
        found = contents(cwd / "all_data") if (cwd / "all_data").exists() else None
        assert found in (None, old, new)
        with pytest.raises(StageError, match="overwrite=True"):  # the next run does not ask for it: the old is there
            fedsynth.write_leaf(cwd / "all_data", {"e": ([1], [1])})
        assert contents(cwd / "all_data") == (found or old)
        fedsynth.write_leaf(cwd / "all_data", {"e": ([1], [1])}, overwrite=True)
        assert visible(cwd) == ["all_data"]
        assert visible(cwd / "all_data") == ["all_data.json"]
        assert leftovers(cwd) == []
        seen.append("none" if found is None else "old" if found == old else "new")
    assert set(seen) == {"old", "none", "new"}


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def leftovers(parent: Path) -> list[Path]:
    """What is in the private folder, but for its mark and locks."""
    return [path for path in (parent / ".fedsynth").rglob("*") if path.name != ".fedsynth" and path.suffix != ".lock"]
