"""A Dask cluster that goes away, or was never there: one sentence within ten seconds, and nothing half done."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.commands import contents, environment, fedsynth, start
from tests.test_scale import Cluster, dask_cluster

GENERATE = ("generate", "-num-tasks", 600, "-num-shards", 6, "-num-dim", 10, "-stream", "independent")
CHAIN = ("preprocess", "-s", "niid", "--sf", 1.0, "-k", 5, "-t", "sample", "--smplseed", 1, "--spltseed", 2)
SECONDS = 10


def sentence(status: int, stderr: str) -> str:
    assert status == 1, stderr
    assert stderr.startswith("fedsynth: "), stderr
    assert stderr.count("\n") == 1, stderr
    return stderr


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sharded")
    fedsynth(folder, *GENERATE)
    return folder


@pytest.fixture
def data(sharded: Path, tmp_path: Path) -> Path:
    for name in ("data", "meta"):
        shutil.copytree(sharded / name, tmp_path / "run" / name)
    return tmp_path / "run"


def stop_workers(cluster: Cluster) -> None:
    for worker in cluster.workers:
        os.killpg(worker.pid, signal.SIGSTOP)


def kill_workers(cluster: Cluster) -> None:
    for worker in cluster.workers:
        os.killpg(worker.pid, signal.SIGKILL)


def start_and_wait(data: Path, address: str) -> subprocess.Popen[str]:
    """Start the chain, and wait until it has connected and takes the lock: from there on it waits for its first job."""
    lock = data / "data/.fedsynth/lock"
    lock.unlink()
    process = start(data, *CHAIN, "--scheduler", address)
    while not lock.exists():
        assert process.poll() is None
        time.sleep(0.1)
    time.sleep(2)
    assert process.poll() is None
    return process


def test_scheduler_that_dies_in_mid_run_is_one_sentence(data: Path, tmp_path: Path) -> None:
    """The workers are stopped, so that the run is sure to wait for them when the scheduler dies."""
    before = contents(data)
    with dask_cluster(tmp_path / "dask") as cluster:
        stop_workers(cluster)
        process = start_and_wait(data, cluster.address)
        os.killpg(cluster.scheduler.pid, signal.SIGKILL)
        killed = time.monotonic()
        _, stderr = process.communicate(timeout=60)
        assert time.monotonic() - killed < SECONDS
    assert "the Dask scheduler is gone" in sentence(process.returncode, stderr)
    assert contents(data) == before


def test_scheduler_that_hangs_is_one_sentence(data: Path, tmp_path: Path) -> None:
    before = contents(data)
    with dask_cluster(tmp_path / "dask") as cluster:
        stop_workers(cluster)
        process = start_and_wait(data, cluster.address)
        os.killpg(cluster.scheduler.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        _, stderr = process.communicate(timeout=60)
        assert time.monotonic() - stopped < SECONDS
    assert "the Dask scheduler is gone or does not answer" in sentence(process.returncode, stderr)
    assert contents(data) == before


def test_all_workers_gone_in_mid_run_is_one_sentence(data: Path, tmp_path: Path) -> None:
    before = contents(data)
    with dask_cluster(tmp_path / "dask") as cluster:
        stop_workers(cluster)
        process = start_and_wait(data, cluster.address)
        kill_workers(cluster)
        killed = time.monotonic()
        _, stderr = process.communicate(timeout=60)
        assert time.monotonic() - killed < SECONDS
    assert "all workers of the scheduler are gone" in sentence(process.returncode, stderr)
    assert contents(data) == before


def test_scheduler_without_workers_is_one_sentence(data: Path, tmp_path: Path) -> None:
    with dask_cluster(tmp_path / "dask", workers=0) as cluster:
        result = fedsynth(data, *CHAIN, "--scheduler", cluster.address, check=None)
    assert "has no workers" in sentence(result.returncode, result.stderr)


@pytest.mark.parametrize(
    "command", [CHAIN, ("stats",), ("generate", "-num-tasks", 4, "-stream", "independent")], ids=str
)
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("foo", "expected one such as tcp://127.0.0.1:8786"),
        ("tcp://", "expected one such as"),
        ("127.0.0.1:99999", "expected one such as"),
        ("tcp://127.0.0.1:1", "no Dask scheduler answers"),
        ("no-such-host.invalid:8786", "no Dask scheduler answers"),
    ],
)
def test_address_of_nothing_is_one_sentence_at_once(
    command: tuple[object, ...], address: str, message: str, data: Path
) -> None:
    before = contents(data)
    began = time.monotonic()
    result = fedsynth(data, *command, "--scheduler", address, check=None)
    assert time.monotonic() - began < SECONDS
    assert message in sentence(result.returncode, result.stderr)
    assert address in result.stderr
    assert contents(data) == before


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n" * 100])
def test_what_is_no_scheduler_is_one_sentence(answer: bytes, data: Path) -> None:
    """A server that says nothing, and one of another kind."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                    connections.append(connection)
                    connection.sendall(answer)
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        began = time.monotonic()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        result = fedsynth(data, *CHAIN, "--scheduler", address, check=None)
        assert time.monotonic() - began < SECONDS
        server.shutdown(socket.SHUT_RDWR)
    for connection in connections:
        connection.close()
    assert "no scheduler" in sentence(result.returncode, result.stderr)


def test_worker_of_another_version_is_one_sentence(data: Path, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parent.parent / "fedsynth", tmp_path / "other/fedsynth")
    (tmp_path / "other/fedsynth/version.py").write_text('__version__ = "0.0.1"\n')
    before = contents(data)
    with dask_cluster(tmp_path / "dask", env=environment(PYTHONPATH=str(tmp_path / "other"))) as cluster:
        result = fedsynth(data, *CHAIN, "--scheduler", cluster.address, check=None)
    assert "has fedsynth 0.0.1" in sentence(result.returncode, result.stderr)
    assert contents(data) == before


def test_worker_without_fedsynth_is_one_sentence(data: Path, tmp_path: Path) -> None:
    (tmp_path / "other/fedsynth").mkdir(parents=True)
    (tmp_path / "other/fedsynth/__init__.py").write_text("raise ImportError('not installed')")
    with dask_cluster(tmp_path / "dask", env=environment(PYTHONPATH=str(tmp_path / "other"))) as cluster:
        began = time.monotonic()
        result = fedsynth(data, *CHAIN, "--scheduler", cluster.address, check=None)
        assert time.monotonic() - began < SECONDS
    assert "the same versions" in sentence(result.returncode, result.stderr)


def test_error_of_a_job_comes_through_as_it_is(data: Path, tmp_path: Path) -> None:
    file = data / "data/all_data/all_data_5.json"
    file.write_bytes(file.read_bytes()[:-50])
    with dask_cluster(tmp_path / "dask") as cluster:
        result = fedsynth(data, *CHAIN, "--scheduler", cluster.address, check=None)
    assert "all_data_5.json" in sentence(result.returncode, result.stderr)


def test_ended_run_says_nothing_more(data: Path, tmp_path: Path) -> None:
    with dask_cluster(tmp_path / "dask") as cluster:
        result = fedsynth(data, *CHAIN, "--scheduler", cluster.address, env=environment(PYTHONWARNINGS="default"))
    assert result.stderr == ""
