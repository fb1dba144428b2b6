"""LeafDataset as a mapping that describes itself, pickles with its offsets and pools its users."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth import (
    DataError,
    LeafDataset,
    write_leaf,
)
from fedsynth.leaf import lazy
from tests.commands import peak_memory
from tests.conftest import WriteLeaf

USERS = {"b": ([[1, 2.5], [3, 4]], [0, 1]), "7": ([[5.0, 6.0]], [2]), "nobody": ([], [])}


def test_it_is_a_mapping(write_leaf: WriteLeaf) -> None:
    users = LeafDataset(write_leaf(USERS))
    assert isinstance(users, Mapping)
    assert list(users.keys()) == ["b", "7", "nobody"]
    assert [len(user) for user in users.values()] == [2, 1, 0]
    assert [(name, user.user_id) for name, user in users.items()] == [(name, name) for name in USERS]
    assert users.get("c") is None
    found = users.get("7")
    assert found is not None
    assert found.labels.tolist() == [2]
    assert users == users
    assert users != LeafDataset(users.path)
    assert {users: 1}[users] == 1
    assert users._ipython_key_completions_() == list(USERS)


def test_a_number_for_a_name_is_a_key_error_that_says_the_name(write_leaf: WriteLeaf) -> None:
    users: Any = LeafDataset(write_leaf(USERS))
    with pytest.raises(KeyError, match=r"no user 7 among the 3 in .*; names are texts: did you mean '7'\?"):
        users[7]
    with pytest.raises(KeyError, match=r"no user 8 among the 3 in .*all_data\.json'$"):
        users[8]
    assert 7 not in users


def test_it_says_what_it_holds(generated: Path, write_leaf: WriteLeaf) -> None:
    users = LeafDataset(generated)
    samples = sum(users.num_samples)
    said = f"{generated}: 20 users, {samples:,} samples, x [5] float64, y int64 of 5 classes, ground truth"
    assert repr(users) == f"<LeafDataset {said}>"
    table = users._repr_html_()
    assert f"<th>samples</th><td>{samples:,}</td>" in table
    assert "<th>ground truth</th><td>known</td>" in table
    other = LeafDataset(write_leaf({"<b>": (["a text"], [0])}, "a<b/all_data.json"), label_dtype="int8")
    assert repr(other).endswith("1 user, 1 sample, x object, y int8, no ground truth>")
    assert "a&lt;b" in other._repr_html_()
    assert "there is no ground truth" in other._repr_html_()


def test_what_it_says_reads_one_user(generated: Path, monkeypatch: pytest.MonkeyPatch, write_leaf: WriteLeaf) -> None:
    """However large the folder: the rest of the file may as well be damaged."""
    file = write_leaf({"a": ([[1.0]], [0]), "b": ([[2.0]], [1])}, "own/all_data.json")
    file.write_text(file.read_text().replace("[[2.0]]", "[[2.0}]"))
    assert "2 users, 2 samples, x [1] float64" in repr(LeafDataset(file))
    monkeypatch.setattr(lazy._Walked, "of", lambda *args: pytest.fail("walked through a whole file"))
    users = LeafDataset(generated)
    assert "x [5] float64" in repr(users)
    assert "x</th><td>[5] float64" in users._repr_html_()


def test_it_says_what_it_can_of_damaged_data(write_leaf: WriteLeaf) -> None:
    file = write_leaf({"a": ([[1.0]], [0])}, "own/all_data.json")
    users = LeafDataset(file)
    file.write_text(file.read_text().replace("[[1.0]]", "[[1.0}]"))
    assert repr(users) == f"<LeafDataset {file}: 1 user, 1 sample, no ground truth>"
    assert "not to be had" in users._repr_html_()


@pytest.mark.parametrize("used", [False, True])
def test_a_copy_by_pickle_does_not_look_for_users_again(
    generated: Path, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = LeafDataset(generated)
    if used:
        users["7"]
    text = pickle.dumps(users)
    assert len(text) < generated.joinpath("all_data_0.json").stat().st_size / 10
    monkeypatch.setattr(lazy._Walked, "of", lambda *args: pytest.fail("walked through a file again"))
    copy = pickle.loads(text)
    monkeypatch.setattr(copy, "find_truth", lambda: pytest.fail("read the truth again"), raising=False)
    for name, user in copy.items():
        assert user.features.tolist() == users[name].features.tolist()
        assert user.metadata == users[name].metadata
    assert {user.metadata["cluster"] for user in copy.values()} == {0, 1}


def test_a_copy_of_what_changed_says_so_when_it_is_used(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    users = LeafDataset(file)
    file.write_text(file.read_text().replace("2.5", "2.6"))
    copy = pickle.loads(pickle.dumps(users))
    with pytest.raises(DataError, match="changed since it was opened"):
        copy["b"]


@pytest.mark.parametrize("cache", [False, True])
def test_pooled_samples_are_those_of_the_users(generated: Path, cache: bool) -> None:
    users = LeafDataset(generated, dtype="float32", cache=cache)
    x, y, user = users.pool()
    assert (x.dtype, y.dtype, user.dtype) == (np.float32, np.int64, np.int64)
    assert np.array_equal(x, np.concatenate([one.features for one in users.values()]))
    assert np.array_equal(y, np.concatenate([one.labels for one in users.values()]))
    assert [users.user_ids[position] for position in user] == [
        name for name, size in zip(users, users.num_samples, strict=True) for _ in range(size)
    ]


def test_users_without_samples_and_texts_pool(write_leaf: WriteLeaf) -> None:
    empty_first = {"nobody": ([], []), **USERS}
    x, y, user = LeafDataset(write_leaf({**empty_first, "n": ([], [])})).pool()
    assert x.tolist() == [[1, 2.5], [3, 4], [5, 6]]
    assert (y.tolist(), user.tolist()) == ([0, 1, 2], [1, 1, 2])
    x, y, user = LeafDataset(write_leaf({"a": (["one", "two"], ["x", "y"]), "b": (["three"], ["z"])})).pool()
    assert (x.tolist(), y.tolist(), user.tolist()) == (["one", "two", "three"], ["x", "y", "z"], [0, 0, 1])
    x, y, user = LeafDataset(write_leaf({"a": ([], [])})).pool()
    assert len(x) == len(y) == len(user) == 0


@pytest.mark.parametrize("other", [[[1.0, 2.0, 3.0]], ["text"]])
def test_users_of_different_shapes_do_not_pool(write_leaf: WriteLeaf, other: Any) -> None:
    users = LeafDataset(write_leaf({**USERS, "other": (other, [1])}))
    with pytest.raises(DataError, match=r'user "other" has samples of .*, others before of \[2\] float64'):
        users.pool()


def test_pooling_holds_no_second_copy(tmp_path: Path) -> None:
    """Of 48 MB: what is beside them is an interpreter with NumPy and one user."""
    rng = np.random.default_rng(1)
    own = {str(user): (rng.standard_normal((3000, 100)), np.zeros(3000, int)) for user in range(20)}
    write_leaf(tmp_path / "own", own)
    opened = "from fedsynth import LeafDataset; users = LeafDataset('own'); users['3']"
    without = peak_memory(tmp_path, opened)
    pooled = peak_memory(tmp_path, f"{opened}; x, y, user = users.pool(); assert x.nbytes == 48_000_000")
    assert pooled - without < 48e6 * 1.35
