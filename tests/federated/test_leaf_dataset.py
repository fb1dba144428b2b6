"""LeafDataset as a mapping, and users and pooled samples as DataLoaders take them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from fedsynth import (
    DataError,
    LeafDataset,
    PyTorchTensorDataset,
    TabularDataset,
    UsageError,
    generate,
    load,
    write_leaf,
)
from fedsynth.federated.pooled import PooledSamples
from fedsynth.leaf import lazy
from tests.commands import environment, peak_memory
from tests.conftest import WriteLeaf

USERS = {"b": ([[1, 2.5], [3, 4]], [0, 1]), "7": ([[5.0, 6.0]], [2]), "nobody": ([], [])}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    generate(folder / "data", num_tasks=20, num_dim=5, prob_clusters=[0.5, 0.5], num_shards=2)
    return folder / "data/all_data"


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
    with pytest.raises(KeyError, match="no user 7 among the 3 in .*; names are texts: did you mean '7'?"):
        users[7]
    with pytest.raises(KeyError, match=r"no user 8 among the 3 in .*all_data\.json\"$"):
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
    assert repr(other).endswith("1 users, 1 samples, x object, y int8, no ground truth>")
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
    assert repr(users) == f"<LeafDataset {file}: 1 users, 1 samples, no ground truth>"
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
    with pytest.raises(DataError, match='user "other" has samples of .*, others before of \\[2\\] float64'):
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


def test_a_user_in_a_dataloader(generated: Path) -> None:
    user = LeafDataset(generated, dtype="float32")["3"]
    batches = list(DataLoader(user, batch_size=4))  # type: ignore[arg-type,var-annotated]
    assert torch.equal(torch.cat([x for x, _ in batches]), torch.tensor(user.features))
    assert torch.equal(torch.cat([y for _, y in batches]), torch.tensor(user.labels))
    x, y = user[0]
    assert (x.shape, int(y)) == ((5,), user.labels[0])
    assert user[-1][1] == user.labels[-1]
    assert [int(y) for _, y in user] == user.labels.tolist()  # type: ignore[attr-defined]
    with pytest.raises(IndexError):
        user[len(user)]


def test_users_say_what_they_hold(generated: Path) -> None:
    assert repr(TabularDataset(np.zeros((3, 2)), np.zeros(3, int), user_id="a")) == (
        '<TabularDataset "a": 3 samples, x [2] float64, y int64>'
    )
    assert repr(TabularDataset(np.zeros((3, 2)), np.zeros((3, 1)))) == (
        "<TabularDataset without a name: 3 samples, x [2] float64, y [1] float64>"
    )
    user, _ = next(load(generated.parent, "all_data", framework="torch", dtype="float32"))
    assert repr(user).endswith(f"{len(user):,} samples, [5] float32, int64>")
    named = PyTorchTensorDataset({"ids": torch.zeros(4, 8, dtype=torch.long), "y": torch.zeros(4)}, "b")
    assert repr(named) == '<PyTorchTensorDataset "b": 4 samples, ids [8] int64, y float32>'


def test_tensors_give_samples_nested_as_they_were_given() -> None:
    pair = PyTorchTensorDataset((torch.arange(6).reshape(3, 2), torch.arange(3)))
    x, y = pair[1]
    assert (x.tolist(), y.tolist()) == ([2, 3], 1)
    named = PyTorchTensorDataset({"x": torch.arange(3), "y": torch.arange(3)})
    assert named[2] == {"x": torch.tensor(2), "y": torch.tensor(2)}
    (batch,) = DataLoader(named, batch_size=3)  # type: ignore[arg-type,var-annotated]
    assert batch["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_pooled_samples_in_a_dataloader(generated: Path, cache: bool, workers: int) -> None:
    users = LeafDataset(generated, dtype="float32", cache=cache)
    samples = users.torch()
    x, y, _ = users.pool()
    assert len(samples) == len(x)
    batches = list(DataLoader(samples, batch_size=64, num_workers=workers))
    assert torch.equal(torch.cat([batch for batch, _ in batches]), torch.tensor(x))
    assert torch.equal(torch.cat([batch for _, batch in batches]), torch.tensor(y))
    assert torch.equal(samples[-1][0], torch.tensor(x[-1]))
    for outside in (len(x), -len(x) - 1):
        with pytest.raises(IndexError, match=f"sample {outside} of {len(x):,}"):
            samples[outside]


def test_pooled_samples_open_when_asked_and_pickle_small(generated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = LeafDataset(generated).torch()
    with monkeypatch.context() as patch:
        patch.setattr(lazy, "read_at", lambda *args: pytest.fail("read a user"))
        assert len(samples) == sum(samples.users.num_samples)
    samples[0]
    text = pickle.dumps(samples)
    assert len(text) < 20_000
    copy: PooledSamples = pickle.loads(text)
    assert torch.equal(copy[5][0], samples[5][0])


def test_what_torch_has_no_tensors_for_is_an_error(write_leaf: WriteLeaf) -> None:
    with pytest.raises(DataError, match="x are not all numbers, expected them for torch"):
        LeafDataset(write_leaf({"a": (["text"], [0])})).torch()[0]
    with pytest.raises(UsageError, match="Open the dataset with a type that torch has"):
        LeafDataset(write_leaf(USERS), dtype=np.longdouble).torch()[0]


def test_without_torch_the_pooled_samples_say_how_to_install_it(generated: Path) -> None:
    script = (
        "import sys; sys.modules['torch'] = None\nfrom fedsynth import LeafDataset\n"
        f"try: LeafDataset({str(generated)!r}).torch()\nexcept ImportError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout == 'PyTorch is not installed; run `pip install "torch >= 2.2"`\n'
