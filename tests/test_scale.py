"""Several processes and a Dask cluster give the bytes of one; what dies leaves nothing half done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedsynth.records.layout import json_files
from tests.commands import appeared, contents, environment, fedsynth, start, tie_truth

GENERATE = ["generate", "-num-tasks", 160, "-num-shards", 8, "-num-dim", 20, "-stream", "independent"]
SEEDS = ["--smplseed", "1", "--spltseed", "2"]
OPTIONS = ["-s", "niid", "--sf", "0.9", "-k", "5", "-t", "sample", *SEEDS]
IID = ["-s", "iid", "--iu", "0.5", "--sf", "0.5", "-k", "2", "-t", "user", "--tf", "0.5", *SEEDS]
SIDES = ["-t", "sample", "--tf", "0.7", "--vf", "0.2", "--new-users", "0.2", *SEEDS]
WAYS = {"niid": OPTIONS, "iid": IID, "sides": SIDES}


@dataclass(frozen=True)
class Cluster:
    address: str
    scheduler: subprocess.Popen[bytes]
    workers: list[subprocess.Popen[bytes]]


@contextmanager
def dask_cluster(folder: Path, workers: int = 2, env: dict[str, str] | None = None) -> Iterator[Cluster]:
    """Start a scheduler and workers with Dask's own commands, as the README says, and stop them by process id.

    env: the workers' environment where it is not the tests'.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{found.getsockname()[1]}"
    scheduler_command = ["scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard"]
    worker_command = [
        "worker",
        address,
        "--nthreads",
        "1",
        "--no-dashboard",
        "--local-directory",
        str(folder.absolute()),
    ]
    processes = [_dask(scheduler_command)]
    try:
        processes += [_dask(worker_command, env) for _ in range(workers)]
        _wait_for_workers(address, workers)
        yield Cluster(address, processes[0], processes[1:])
    finally:
        for process in processes[::-1]:
            _kill(process)


def _dask(arguments: list[str], env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "dask", *arguments]
    clean = {**(env or environment()), "PYTHONWARNINGS": "default"}
    return subprocess.Popen(  # in a folder without a package fedsynth, which `-m` would find first
        command, cwd="/", env=clean, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def _wait_for_workers(address: str, workers: int) -> None:
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        if workers:
            client.wait_for_workers(workers, timeout=60)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Stop a process with all that it started; a stopped one too."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def worker_processes(pid: int) -> list[int]:
    """The local workers of a run, without Python's resource tracker."""
    found = []
    for child in children(pid):
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            found.append(child)
    return found


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of 8 shards and the results of one process."""
    folder = tmp_path_factory.mktemp("sharded")
    fedsynth(folder, *GENERATE)
    return folder


@pytest.fixture(scope="module")
def expected(sharded: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What one process makes of it, by options."""
    found = {}
    for name, options in WAYS.items():
        folder = tmp_path_factory.mktemp(name)
        fedsynth(copy(sharded, folder), "preprocess", *options)
        found[name] = contents(folder / "data")
    return found


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight shards of 7 MB, so that each stage takes a while, and in `expected` what one process makes of them."""
    folder = tmp_path_factory.mktemp("large")
    fedsynth(folder, "generate", "-num-tasks", 400, "-num-shards", 8)
    fedsynth(copy(folder, folder / "expected"), "preprocess", *OPTIONS)
    return folder


def copy(sharded: Path, folder: Path) -> Path:
    shutil.copytree(sharded / "data", folder / "data")
    shutil.copytree(sharded / "meta", folder / "meta")
    return folder


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with dask_cluster(tmp_path_factory.mktemp("dask")) as started:
        yield started


@pytest.mark.parametrize("model", ["leaf", "fedprox", "shifts"])
def test_independent_streams_give_the_same_users_however_they_are_made(
    model: str, cluster: Cluster, tmp_path: Path
) -> None:
    options = ["-model", model, "-num-tasks", 12, "-num-dim", 5, "-seed", 3, "-stream", "independent"]
    ways = {"one": [], "three": ["-num-shards", 3], "two": ["-num-shards", 3, "-workers", 2]}
    ways["dask"] = ["-num-shards", 3, "-scheduler", cluster.address]
    for name, more in ways.items():
        (tmp_path / name).mkdir()
        fedsynth(tmp_path / name, "generate", *options, *more)
    users = {name: users_of(tmp_path / name / "data/all_data") for name in ways}
    assert users["one"] == users["three"]
    files = {name: contents(tmp_path / name / "data") for name in ways}
    assert files["three"] == files["two"] == files["dask"]
    truths = {name: tmp_path / name / "meta/truth.npz" for name in ways}
    assert truths["three"].read_bytes() == truths["two"].read_bytes() == truths["dask"].read_bytes()
    tie_truth(truths["one"], *json_files(tmp_path / "three/data/all_data"))  # other files, the same users
    tie_truth(truths["three"], *json_files(tmp_path / "three/data/all_data"))
    assert truths["one"].read_bytes() == truths["three"].read_bytes()


def test_shards_of_leafs_stream_are_leafs_users(tmp_path: Path) -> None:
    for name, more in (("one", []), ("three", ["-num-shards", 3])):
        (tmp_path / name).mkdir()
        fedsynth(tmp_path / name, "generate", "-num-tasks", 20, "-num-dim", 5, *more)
    assert users_of(tmp_path / "one/data/all_data") == users_of(tmp_path / "three/data/all_data")
    names = sorted(path.name for path in (tmp_path / "three/data/all_data").iterdir())
    assert names == ["all_data_0.json", "all_data_1.json", "all_data_2.json"]


def test_leafs_stream_cannot_be_shared_by_workers(tmp_path: Path) -> None:
    result = fedsynth(tmp_path, "generate", "-num-tasks", 20, "-workers", 2, check=2)
    assert "-stream independent" in result.stderr
    assert not (tmp_path / "data/all_data").exists()


def test_more_shards_than_tasks_are_refused(tmp_path: Path) -> None:
    result = fedsynth(tmp_path, "generate", "-num-tasks", 3, "-num-shards", 4, check=2)
    assert "-num-shards is 4" in result.stderr


def users_of(folder: Path) -> dict[str, str]:
    """Every user's text over all files, in order."""
    found = {}
    for path in json_files(folder):
        content = json.loads(path.read_text())
        for user, size in zip(content["users"], content["num_samples"], strict=True):
            assert len(content["user_data"][user]["y"]) == size
            found[user] = json.dumps(content["user_data"][user])
    return found


@pytest.mark.parametrize(("name", "options"), WAYS.items())
def test_two_processes_write_the_bytes_of_one(
    name: str, options: list[str], sharded: Path, expected: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    fedsynth(copy(sharded, tmp_path), "preprocess", *options, "--workers", 2)
    assert contents(tmp_path / "data") == expected[name]


@pytest.mark.parametrize(("name", "options"), WAYS.items())
def test_dask_cluster_writes_the_bytes_of_one_process(
    name: str,
    options: list[str],
    sharded: Path,
    expected: dict[str, dict[str, bytes]],
    cluster: Cluster,
    tmp_path: Path,
) -> None:
    fedsynth(copy(sharded, tmp_path), "preprocess", *options, "--scheduler", cluster.address)
    assert contents(tmp_path / "data") == expected[name]


@pytest.mark.parametrize("engine", ["two", "dask"])
def test_measures_are_those_of_one_process(engine: str, sharded: Path, cluster: Cluster, tmp_path: Path) -> None:
    copy(sharded, tmp_path)
    more = ["--workers", 2] if engine == "two" else ["--scheduler", cluster.address]
    one = fedsynth(tmp_path, "stats", "--json").stdout
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "data").glob("*.png")}
    assert fedsynth(tmp_path, "stats", "--json", *more).stdout == one
    assert "concept.oracle_accuracy" in json.loads(one)
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").glob("*.png")} == pictures


def test_loader_reads_all_shards(sharded: Path) -> None:
    from fedsynth import LeafDataset

    dataset = LeafDataset(sharded / "data/all_data")
    assert list(dataset.user_ids) == [str(user) for user in range(160)]
    assert len(dataset["159"]) == dataset.num_samples[159]


def test_killed_local_worker_fails_the_run_and_leaves_nothing(large: Path, tmp_path: Path) -> None:
    sums = (large / "expected/meta/dir-checksum.md5").read_bytes()
    process = start(copy(large, tmp_path), "preprocess", *OPTIONS, "--workers", 2)
    while not (workers := worker_processes(process.pid)):
        assert process.poll() is None
    os.kill(workers[0], signal.SIGKILL)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "a worker process died" in stderr
    assert "Traceback" not in stderr
    assert set(contents(tmp_path / "data")) == {f"all_data/all_data_{number}.json" for number in range(8)}
    assert not list((tmp_path / "data").glob(".fedsynth/making"))
    fedsynth(tmp_path, "preprocess", *OPTIONS)
    assert (tmp_path / "meta/dir-checksum.md5").read_bytes() == sums


def test_killed_dask_worker_is_replaced_by_the_others(
    sharded: Path, expected: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """One worker is stopped before the run, so it holds jobs that it can't finish, and is killed in the middle."""
    copy(sharded, tmp_path)
    with dask_cluster(tmp_path / "dask") as cluster:
        victim = cluster.workers[0]
        os.killpg(victim.pid, signal.SIGSTOP)
        process = start(tmp_path, "preprocess", *OPTIONS, "--scheduler", cluster.address)
        time.sleep(3)
        assert process.poll() is None, "the run waits for the jobs of the stopped worker"
        os.killpg(victim.pid, signal.SIGKILL)
        _, stderr = process.communicate(timeout=90)
    assert process.returncode == 0, stderr
    assert contents(tmp_path / "data") == expected["niid"]


def test_unreachable_scheduler_is_an_error_within_ten_seconds(sharded: Path, tmp_path: Path) -> None:
    copy(sharded, tmp_path)
    before = time.monotonic()
    result = fedsynth(tmp_path, "preprocess", *OPTIONS, "--scheduler", "tcp://127.0.0.1:1", check=1)
    assert time.monotonic() - before < 10
    assert "no Dask scheduler answers" in result.stderr
    assert result.stderr.count("\n") == 1


SAMPLING, SPLITTING = (f".fedsynth/making/*/folders/{name}" for name in ("sampled_data", "train"))


@pytest.mark.parametrize("moment", ["first worker", "first worker alone", SAMPLING, SPLITTING])
def test_ctrl_c_cancels_what_is_queued(moment: str, large: Path, tmp_path: Path) -> None:
    """All processes get it, those that are only being started too, and one says so."""
    sums = (large / "expected/meta/dir-checksum.md5").read_bytes()
    data = copy(large, tmp_path) / "data"
    process = start(tmp_path, "preprocess", *OPTIONS, "--workers", 2, start_new_session=True)
    while not (appeared(data, moment) if moment.startswith(".") else worker_processes(process.pid)):
        assert process.poll() is None
    if moment == "first worker alone":
        os.kill(worker_processes(process.pid)[0], signal.SIGINT)
    else:
        os.killpg(process.pid, signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130
    assert stderr.strip().count("\n") == 0
    assert "interrupted" in stderr
    found = {path.name for path in data.iterdir()}
    done = {"sampled_data", "rem_user_data"} if moment == SPLITTING else set()
    assert found - {".fedsynth"} == {"all_data"} | done
    fedsynth(tmp_path, "preprocess", *OPTIONS)
    assert (tmp_path / "meta/dir-checksum.md5").read_bytes() == sums


def test_ignored_ctrl_c_is_ignored_by_workers_too(large: Path, tmp_path: Path) -> None:
    """As for a command that a script starts with `&`."""
    sums = (large / "expected/meta/dir-checksum.md5").read_bytes()

    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    command = ("preprocess", *OPTIONS, "--workers", 2)
    process = start(copy(large, tmp_path), *command, start_new_session=True, preexec_fn=ignore)
    while process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.02)
    assert (process.returncode, process.communicate()[1]) == (0, "")
    assert (tmp_path / "meta/dir-checksum.md5").read_bytes() == sums


def test_workers_end_with_the_main_process(large: Path, tmp_path: Path) -> None:
    """Otherwise they would go on writing where the next run is at work."""
    process = start(copy(large, tmp_path), "preprocess", *OPTIONS, "--workers", 2)
    while not appeared(tmp_path / "data", SAMPLING):
        assert process.poll() is None
    workers = worker_processes(process.pid)
    assert workers
    process.kill()
    waited = time.monotonic() + 20
    while (alive := [worker for worker in workers if is_running(worker)]) and time.monotonic() < waited:
        time.sleep(0.01)
    for worker in alive:
        os.kill(worker, signal.SIGKILL)
    process.communicate()
    assert not alive


def is_running(process: int) -> bool:
    """Whether there is such a process, and not only what is left of one until somebody asks how it ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_missing_shard_is_an_error_that_names_it(sharded: Path, tmp_path: Path) -> None:
    copy(sharded, tmp_path)
    fedsynth(tmp_path, "preprocess", *OPTIONS[:4])
    (tmp_path / "data/sampled_data/all_data_3_niid_9.json").unlink()
    before = contents(tmp_path / "data")
    result = fedsynth(tmp_path, "preprocess", "-k", 5, "--workers", 2, check=1)
    assert "all_data_3_niid_9.json is gone" in result.stderr
    assert contents(tmp_path / "data") == before


def test_damaged_shard_is_an_error_that_names_it(sharded: Path, tmp_path: Path) -> None:
    copy(sharded, tmp_path)
    path = tmp_path / "data/all_data/all_data_5.json"
    path.write_bytes(path.read_bytes()[:-50])
    before = contents(tmp_path / "data")
    result = fedsynth(tmp_path, "preprocess", *OPTIONS, "--workers", 2, check=1)
    assert "all_data_5.json" in result.stderr
    assert contents(tmp_path / "data") == before


def test_worker_that_cannot_see_the_folder_says_so(sharded: Path, tmp_path: Path) -> None:
    """A worker in a mount namespace of its own, where the data folder is hidden: a folder that is not shared."""
    copy(sharded, tmp_path)
    hidden = tmp_path / "data"
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True)
    if probe.returncode != 0:
        pytest.skip("mount namespaces need privileges")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    scheduler = _dask(["scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard"])
    hide = f"mount -t tmpfs none {hidden} && exec {sys.executable} -m dask worker {address} --nthreads 1 --no-dashboard"
    worker = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", f"{hide} --local-directory {tmp_path}"],
        env=environment(PYTHONWARNINGS="default"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for_workers(address, 1)
        result = fedsynth(tmp_path, "preprocess", *OPTIONS, "--scheduler", address, check=1)
    finally:
        _kill(worker)
        _kill(scheduler)
    assert "not there on" in result.stderr
    assert "shared file system" in result.stderr
    assert set(contents(hidden)) == {f"all_data/all_data_{number}.json" for number in range(8)}


def test_dask_missing_names_the_command_to_install_it(sharded: Path, tmp_path: Path) -> None:
    copy(sharded, tmp_path)
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden/distributed.py").write_text("raise ImportError('not installed')")
    path = f"{tmp_path / 'hidden'}{os.pathsep}{environment()['PYTHONPATH']}"
    options = [*OPTIONS, "--scheduler", "tcp://127.0.0.1:1"]
    result = fedsynth(tmp_path, "preprocess", *options, check=1, env=environment(PYTHONPATH=path))
    assert "pip install 'dask >= 2024.1' 'distributed >= 2024.1'" in result.stderr


def test_one_worker_imports_no_engine_of_a_cluster(sharded: Path, tmp_path: Path) -> None:
    copy(sharded, tmp_path)
    script = (
        "import sys, json; from fedsynth.cli import main\nheavy = {'dask', 'distributed', 'multiprocessing'}\n"
        "try: main(['preprocess', '-k', '5'])\n"
        "except SystemExit: print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    assert json.loads(result.stdout.splitlines()[-1]) == []
