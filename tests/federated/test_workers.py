"""Three real processes, started as torchrun starts them, share the users out."""

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

from tests.commands import ROOT, environment
from tests.federated.worker import COHORT_SIZES, draw_cohorts

WORLD_SIZE = 3


def run_workers(folder: Path, *arguments: str, **variables: str) -> list[Any]:
    """Start three workers, wait for them and return what each wrote."""
    outputs = [folder / f"{rank}.json" for rank in range(WORLD_SIZE)]
    processes = []
    with contextlib.ExitStack() as stack:
        for rank, output in enumerate(outputs):
            worker = {"RANK": rank, "WORLD_SIZE": WORLD_SIZE, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": WORLD_SIZE}
            command = [sys.executable, "-m", "tests.federated.worker", str(output), *arguments]
            torchrun = {"TORCHELASTIC_RUN_ID": "none", **{name: str(value) for name, value in worker.items()}}
            env = environment(**torchrun, **variables)
            processes.append(subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True))
            stack.callback(processes[-1].kill)
        errors = [process.communicate(timeout=120)[1] for process in processes]
        assert [process.returncode for process in processes] == [0] * WORLD_SIZE, "\n".join(errors)
    return [json.loads(output.read_text()) for output in outputs]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    return run_workers(tmp_path_factory.mktemp("workers"))


def check_cohorts(workers: list[Any]) -> None:
    """Round by round: the users and seeds of one worker alone, each once; no seed ever twice."""
    for kind in ("plain", "weighted"):
        alone = draw_cohorts(None)
        for number, size in enumerate(COHORT_SIZES):
            shared = [tuple(pair) for worker in workers for pair in worker[kind][number]]
            assert len(shared) == size
            assert Counter(shared) == Counter(alone[number])
        seeds = [seed for worker in workers for cohort in worker[kind] for _, seed in cohort]
        assert len(set(seeds)) == len(seeds) == sum(COHORT_SIZES)


def test_cohorts_are_shared_out_each_user_once(workers: list[Any]) -> None:
    check_cohorts(workers)


def test_weighted_workers_get_about_the_same_to_do(workers: list[Any]) -> None:
    for number, size in enumerate(COHORT_SIZES):
        loads = [sum(int(user) + 1 for user, _ in worker["weighted"][number]) for worker in workers]
        heaviest = max((int(user) + 1 for worker in workers for user, _ in worker["weighted"][number]), default=0)
        assert max(loads) - min(loads) <= heaviest, f"round {number} of {size}"


def test_partitions_add_up(workers: list[Any]) -> None:
    assert [sample for worker in workers for sample in worker["partition"]] == list(range(20))
    assert [len(worker["partition"]) for worker in workers] == [7, 7, 6]


def test_workers_under_torch_distributed_agree(tmp_path: Path, workers: list[Any]) -> None:
    pytest.importorskip("torch")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    gathered = run_workers(
        tmp_path,
        "--gloo",
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        PYTHONWARNINGS="default",
        OMP_NUM_THREADS="1",
    )
    assert gathered[0] == gathered[1] == gathered[2] == workers
