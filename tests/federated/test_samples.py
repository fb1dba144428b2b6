"""Users, and all users' samples together, as torch's DataLoader takes them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader  # noqa: E402

from fedsynth import DataError, LeafDataset, PyTorchTensorDataset, TabularDataset, UsageError, load  # noqa: E402
from fedsynth.federated.pooled import PooledSamples  # noqa: E402
from fedsynth.leaf import lazy  # noqa: E402
from tests.commands import environment  # noqa: E402
from tests.conftest import WriteLeaf  # noqa: E402

USERS = {"b": ([[1, 2.5], [3, 4]], [0, 1]), "7": ([[5.0, 6.0]], [2]), "nobody": ([], [])}


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
