"""Exports in training: Flower's partitioner and simulation, PyTorch's DataLoader, PFLlib's files."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients.conftest import CLASSES, Made
from tests.commands import ROOT

pytestmark = pytest.mark.clients


def test_flower_partitions_the_folder_by_user(made: Made) -> None:
    flwr_datasets = pytest.importorskip("flwr_datasets")
    partitioner = pytest.importorskip("flwr_datasets.partitioner").NaturalIdPartitioner
    users = flwr_datasets.FederatedDataset(
        dataset=str(made.exports["huggingface"]), partitioners={"train": partitioner("user_id")}, shuffle=False
    )
    wanted = made.users("train")
    assert users.partitioners["train"].num_partitions == len(wanted)
    for number, user in enumerate(sorted(wanted, key=int)):
        found = users.load_partition(number, "train").with_format("arrow")[:]  # its own arrays are of float32
        x, y = wanted[user]
        np.testing.assert_array_equal(found["x"].to_pylist(), x)
        assert found["y"].to_pylist() == y.tolist()
    assert len(users.load_split("test")) == sum(len(y) for _, y in made.users("test").values())


def test_flower_simulates_ten_users_whose_accuracy_rises(made: Made, tmp_path: Path) -> None:
    """The example, as a user runs it, in a session of its own: of what Ray started nothing is left running."""
    pytest.importorskip("flwr.simulation")
    pytest.importorskip("ray")
    pytest.importorskip("torch")
    command = [sys.executable, ROOT / "examples/flower_app.py", made.exports["huggingface"], "10"]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "PYTHONWARNINGS": "ignore"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    found = re.findall(r"^round (\d): accuracy ([0-9.]+)$", run.stdout, re.MULTILINE)
    assert [number for number, _ in found] == ["1", "2", "3"], run.stderr[-2000:]
    accuracies = [float(value) for _, value in found]
    assert accuracies[2] > accuracies[0]
    assert accuracies[2] > 0.6
    for text in (str(made.exports["huggingface"]), "ClientAppActor"):
        assert _end_within(60, text), f"still running: {_processes_with(text)}"


def _end_within(seconds: int, text: str) -> bool:
    """Whether all processes with a text end in time: Ray's take a moment to notice that the program has ended."""
    deadline = time.monotonic() + seconds
    while _processes_with(text):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _processes_with(text: str) -> list[str]:
    """The command lines that hold a text, of all processes but this one."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            line = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line and place.name != str(os.getpid()):
            found.append(line)
    return found


def test_a_data_loader_takes_all_users_together(made: Made) -> None:
    torch = pytest.importorskip("torch")
    datasets = pytest.importorskip("datasets")
    train = datasets.load_dataset(str(made.exports["huggingface"]), split="train").with_format("torch")
    batches = list(torch.utils.data.DataLoader(train, batch_size=32))
    x = np.concatenate([x for x, _ in made.users("train").values()])
    np.testing.assert_array_equal(torch.cat([batch["x"] for batch in batches]).double().numpy(), np.float32(x))
    assert [tuple(batch["x"].shape) for batch in batches[:2]] == [(32, x.shape[1])] * 2


def test_a_data_loader_takes_one_user(made: Made) -> None:
    """From Parquet, and from fedsynth's own loader without an export."""
    torch = pytest.importorskip("torch")
    parquet = pytest.importorskip("pyarrow.parquet")
    from fedsynth import LeafDataset

    table = parquet.read_table(made.exports["parquet"] / "train-00000-of-00001.parquet", filters=[("user_id", "=", 7)])
    x, y = made.users("train")["7"]
    rows = torch.utils.data.TensorDataset(
        torch.tensor(table["x"].combine_chunks().flatten().to_numpy().reshape(len(y), -1)),
        torch.tensor(table["y"].to_numpy()),
    )
    own = LeafDataset(made.data / "train")["7"]
    tensors = torch.utils.data.TensorDataset(torch.as_tensor(own.features), torch.as_tensor(own.labels))
    for dataset in (rows, tensors):
        batches = list(torch.utils.data.DataLoader(dataset, batch_size=8))
        np.testing.assert_array_equal(torch.cat([x for x, _ in batches]).double().numpy(), x)
        assert torch.cat([y for _, y in batches]).tolist() == y.tolist()


def read_as_pfllib_does(folder: Path, side: str, number: int) -> list[tuple[Any, Any]]:
    """What its `read_client_data` does for data of numbers."""
    import torch

    with (folder / side / f"{number}.npz").open("rb") as file:
        data = np.load(file, allow_pickle=True)["data"].tolist()
    x = torch.Tensor(data["x"]).type(torch.float32)
    y = torch.Tensor(data["y"]).type(torch.int64)
    return list(zip(x, y, strict=True))


def test_pfllib_finds_each_user_on_both_sides(made: Made) -> None:
    torch = pytest.importorskip("torch")
    folder = made.exports["pfllib"]
    config = json.loads((folder / "config.json").read_text())
    users = config["fedsynth"]["users"]
    assert (config["num_clients"], config["num_classes"]) == (len(users), CLASSES)
    for side in ("train", "test"):
        wanted = made.users(side)
        assert len(list((folder / side).iterdir())) == len(users) == len(wanted)
        for number, user in enumerate(users):
            rows = read_as_pfllib_does(folder, side, number)
            x, y = wanted[user]
            torch.testing.assert_close(torch.stack([x for x, _ in rows]), torch.tensor(x).float(), rtol=0, atol=0)
            assert [int(label) for _, label in rows] == y.tolist()
    for number, counts in enumerate(config["Size of samples for labels in clients"]):
        labels = np.concatenate([made.users(side)[users[number]][1] for side in ("train", "test")])
        assert counts == [list(pair) for pair in sorted(Counter(labels.tolist()).items())]
