"""Two real processes train with pfl-research's backend to the weights of one."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("pfl")

from tests.commands import ROOT, environment

TRAINER = ["-m", "tests.federated.trainer"]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


def run(folder: Path, commands: list[tuple[list[str], dict[str, str]]]) -> list[Any]:
    """Run the commands side by side; return what each worker wrote, in order of rank."""
    with contextlib.ExitStack() as stack:
        processes = []
        for command, variables in commands:
            env = environment(OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore", **variables)
            command = [sys.executable, *command, str(folder)]
            processes.append(
                subprocess.Popen(
                    command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
            stack.callback(processes[-1].kill)
        printed = [process.communicate(timeout=200)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes), "\n".join(printed)
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Any:
    [result] = run(tmp_path_factory.mktemp("alone"), [(TRAINER, {})])
    return result


@pytest.fixture(scope="module", params=["torchrun", "pfl"])
def workers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp(request.param)
    ports = free_ports(2)
    if request.param == "torchrun":
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={ports[0]}", *TRAINER]
        return run(folder, [(launcher, {})])
    addresses = ",".join(f"127.0.0.1:{port}" for port in ports)
    return run(
        folder,
        [(TRAINER, {"PFL_WORKER_ADDRESSES": addresses, "PFL_WORKER_RANK": str(rank)}) for rank in range(2)],
    )


@pytest.mark.parametrize("sampler", ["random", "weighted", "silos"])
def test_two_workers_train_to_the_weights_of_one(alone: Any, workers: list[Any], sampler: str) -> None:
    assert len(workers) == 2
    shares = [worker[sampler]["users"] for worker in workers]
    assert Counter(shares[0] + shares[1]) == Counter(alone[sampler]["users"]), "each user once, on one of them"
    assert len(alone[sampler]["users"]) == 20
    assert min(map(len, shares)) > 5
    for worker in workers:
        assert worker[sampler]["weights"] == pytest.approx(alone[sampler]["weights"], rel=1e-4, abs=1e-5)
    if sampler == "silos":
        assert not {user % 4 for user in shares[0]} & {user % 4 for user in shares[1]}
