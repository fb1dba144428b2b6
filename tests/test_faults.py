"""What goes wrong around a run: full disks, Ctrl-C, read-only folders, other runs, and what earlier runs left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import appeared, contents, environment, fedsynth, generate, leftovers, start

fcntl = pytest.importorskip("fcntl")
resource = pytest.importorskip("resource")

CHAIN = ("preprocess", "-s", "niid", "--sf", 1.0, "-k", 5, "-t", "sample", "--smplseed", 1, "--spltseed", 2)
WRITERS = (CHAIN, ("generate", "-num-tasks", 5), ("clean",), ("split",), ("preprocess", "-t", "--overwrite"))
STAGES = ("sampled_data", "rem_user_data", "train", "test")


def failure(result: subprocess.CompletedProcess[str], status: int = 1) -> str:
    """Return the one sentence of a failed command."""
    assert result.returncode == status, result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("fedsynth: ")
    return lines[0]


def fails(cwd: Path, *args: object, **options: Any) -> str:
    return failure(fedsynth(cwd, *args, check=None, **options))


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What changes when a file is written again, even with the same bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_ino)
    return found


def copy_data(source: Path, target: Path) -> Path:
    for name in ("data", "meta"):
        shutil.copytree(source / name, target / name)
    return target


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where everything has run; only to be copied."""
    cwd = tmp_path_factory.mktemp("finished")
    generate(cwd, 20, "-num-dim", 3)
    fedsynth(cwd, *CHAIN)
    return cwd


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    return copy_data(finished, tmp_path)


# Full disks

Mount = Callable[[str], Path]


@pytest.fixture
def tmpfs(tmp_path: Path) -> Iterator[Mount]:
    """Mount small file systems, where the machine lets us; all are unmounted at the end."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("this machine mounts no tmpfs for us")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


def resize(place: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)


@pytest.mark.parametrize("size", ["64k", "600k", "1m"])
def test_generate_on_a_full_disk_leaves_nothing_and_finishes_with_space_again(size: str, tmpfs: Mount) -> None:
    disk = tmpfs(size)
    message = fails(disk, "generate", "-num-tasks", 20)
    assert "all_data.json: No space left on device" in message
    assert contents(disk) == {}
    assert leftovers(disk) == []
    resize(disk, "20m")
    fedsynth(disk, "generate", "-num-tasks", 20)
    assert len(json.loads((disk / "data/all_data/all_data.json").read_text())["users"]) == 20


def test_preprocess_on_a_full_disk_keeps_whole_stages_and_finishes_later(tmpfs: Mount, finished: Path) -> None:
    disk = tmpfs("20m")
    whole = contents(finished / "data")
    for name in ("data/all_data", "meta"):
        shutil.copytree(finished / name, disk / name)
    shutil.rmtree(disk / "meta")
    used = sum(len(data) for data in contents(disk).values())
    seen = set()
    for extra in (0, 5, 25, 45, 65, 85, 125, 185):
        resize(disk, f"{(used >> 10) + 12 + extra}k")
        message = fails(disk, *CHAIN)
        assert "No space left on device" in message
        assert "/" in message.partition(": No space")[0]
        found = contents(disk / "data")
        assert all(whole[name] == data for name, data in found.items())
        assert leftovers(disk) == [] or any("/committed" in name for name in leftovers(disk))
        seen.add(frozenset(found))
        fedsynth(disk, "clean", check=None)
        if len(found) > 3:
            break
    resize(disk, "20m")
    fedsynth(disk, *CHAIN)
    assert contents(disk / "data") == whole
    assert leftovers(disk) == []


def limit_files(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("size", [1, 100, 500, 2_000, 5_000, 8_000])
def test_generate_with_files_too_large_names_the_file(size: int, tmp_path: Path) -> None:
    """The limits hit all_data.json, then truth.npz and then the manifest."""
    command = ("generate", "-num-tasks", 60, "-num-dim", 1, "-num-classes", 2)
    message = fails(tmp_path, *command, preexec_fn=limit_files(size))
    assert "File too large" in message
    assert any(
        name in message for name in ("all_data.json", "truth.npz", "manifest.json", "change.json", ".fedsynth")
    ), message
    assert contents(tmp_path) == {}
    fedsynth(tmp_path, *command)
    assert leftovers(tmp_path) == []


def test_ground_truth_that_does_not_fit_is_named(tmp_path: Path) -> None:
    command = ("generate", "-num-tasks", 1, "-num-dim", 1, "-num-classes", 2, "-seed", 2)
    (tmp_path / "whole").mkdir()
    fedsynth(tmp_path / "whole", *command)
    largest = (tmp_path / "whole/data/all_data/all_data.json").stat().st_size
    truth = (tmp_path / "whole/meta/truth.npz").stat().st_size
    for size in range(largest, truth, (truth - largest) // 5):
        cwd = tmp_path / str(size)
        cwd.mkdir()
        message = fails(cwd, *command, preexec_fn=limit_files(size))
        assert "truth.npz: File too large" in message
        assert contents(cwd) == {}
        fedsynth(cwd, *command)


@pytest.mark.parametrize("size", [1, 300, 700, 2_000, 3_000, 20_000, 40_000])
def test_preprocess_with_files_too_large_names_the_file(size: int, tmp_path: Path, finished: Path) -> None:
    shutil.copytree(finished / "data/all_data", tmp_path / "data/all_data")
    whole = contents(finished / "data")
    message = fails(tmp_path, *CHAIN, preexec_fn=limit_files(size))
    assert "File too large" in message
    assert any(f"{end}: " in message for end in (".json", ".txt", ".md5", ".fedsynth"))
    assert all(whole[name] == data for name, data in contents(tmp_path / "data").items())
    fedsynth(tmp_path, *CHAIN)
    assert contents(tmp_path / "data") == whole
    assert leftovers(tmp_path) == []


def test_small_files_of_meta_that_do_not_fit_are_named(tmp_path: Path, write_leaf: Any) -> None:
    """Tiny data: what is too large are the manifest and the record of the stage."""
    write_leaf({"a": ([1, 2, 3], [1, 2, 3]), "b": ([4, 5], [1, 2])})
    command = ("preprocess", "-k", 0)
    fedsynth(tmp_path, *command)
    largest = (tmp_path / "meta/manifest.json").stat().st_size
    fedsynth(tmp_path, "clean")
    shutil.rmtree(tmp_path / "meta")
    for size in range(150, largest - 20, 100):
        message = fails(tmp_path, *command, preexec_fn=limit_files(size))
        assert "File too large" in message
        assert ".json" in message
        fedsynth(tmp_path, "clean")
    fedsynth(tmp_path, *command)
    assert list(contents(tmp_path / "data/rem_user_data")) == ["all_data_keep_0.json"]


# Ctrl-C

MAKING = ".fedsynth/making/*/folders"


def wait_for(folder: Path, pattern: str, process: subprocess.Popen[str]) -> None:
    """Wait until a running command has come to the point where it makes such a file."""
    until = time.monotonic() + 30
    while not appeared(folder, pattern):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.001)


def interrupt(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=60)
    err = err.removeprefix("\n")  # ends the terminal's line with ^C
    return failure(subprocess.CompletedProcess(process.args, process.returncode, "", err), 130)


def catch(many: Path, tmp_path: Path, place: str, *args: object) -> tuple[Path, subprocess.Popen[str]]:
    """Start a command on a copy of the data and stop it in the middle of a stage; try again when it was too fast."""
    for attempt in range(10):
        cwd = tmp_path / str(attempt)
        shutil.copytree(many / "data/all_data", cwd / "data/all_data", copy_function=os.link)
        process = start(cwd, *args, env=environment(PYTHONWARNINGS="ignore"))  # as users run it
        wait_for(cwd / "data", place, process)
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        if process.poll() is None and appeared(cwd / "data", place):
            return cwd, process
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)
    pytest.fail("never caught it at work")


@pytest.mark.parametrize("pause", [0, 0.05, 0.2])
def test_ctrl_c_in_generate_leaves_nothing(pause: float, tmp_path: Path) -> None:
    process = start(tmp_path, "generate", "-num-tasks", 3000, env=environment(PYTHONWARNINGS="ignore"))
    wait_for(tmp_path / "data", f"{MAKING}/all_data/all_data.json", process)
    time.sleep(pause)
    assert "interrupted" in interrupt(process)
    assert contents(tmp_path) == {}
    assert leftovers(tmp_path) == []
    generate(tmp_path, 20)


@pytest.mark.parametrize(
    ("options", "place", "before"),
    [
        (("-s", "niid", "--sf", 0.9, "--smplseed", 1), f"{MAKING}/sampled_data", []),
        (("-s", "iid", "--sf", 0.9, "--iu", 0.1, "--smplseed", 1), f"{MAKING}/sampled_data", []),
        (("-k", 20), f"{MAKING}/rem_user_data", []),
        (("-k", 20, "-t", "sample", "--spltseed", 2), f"{MAKING}/train", ["rem_user_data"]),
    ],
)
def test_ctrl_c_in_preprocess_leaves_only_whole_stages(
    options: tuple[object, ...], place: str, before: list[str], many: Path, tmp_path: Path
) -> None:
    command = ("preprocess", *options)
    cwd, process = catch(many, tmp_path, place, *command)
    interrupt(process)
    assert sorted({name.split("/")[0] for name in contents(cwd / "data")}) == ["all_data", *before]
    assert len(contents(cwd / "data")) == 4 * (1 + len(before))
    assert leftovers(cwd) == []
    fedsynth(cwd, *command)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Several files, enough work for a stage to be caught at it."""
    cwd = tmp_path_factory.mktemp("many")
    generate(cwd, 300)
    first = cwd / "data/all_data/all_data.json"
    for number in range(3):
        os.link(first, first.with_name(f"all_data_{number}.json"))
    return cwd


# Folders that can't be written


@pytest.fixture
def read_only(tmpfs: Mount, finished: Path) -> Path:
    disk = tmpfs("20m")
    copy_data(finished, disk)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    return disk


@pytest.mark.parametrize("command", [*WRITERS, ("stats",)], ids=str)
def test_read_only_file_system_is_an_error_that_names_the_place(command: tuple[object, ...], read_only: Path) -> None:
    before = contents(read_only)
    message = fails(read_only, *command)
    assert "data/" in message
    assert "Read-only file system" in message
    assert contents(read_only) == before


AS_NOBODY = """
import importlib, os, pkgutil, sys
import encodings.cp437, PIL.PngImagePlugin, numpy.ma  # what is imported late can't be read any more then
import fedsynth.cli, fedsynth.pipeline, fedsynth.processes, fedsynth.stats
for room in (fedsynth.cli, fedsynth.pipeline, fedsynth.processes, fedsynth.stats):
    for module in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
        importlib.import_module(module.name)
from fedsynth.cli import main
if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", [("generate", "-num-tasks", 5), CHAIN, ("stats",)])
def test_folder_without_permission_is_an_error_that_names_the_place(command: tuple[object, ...], done: Path) -> None:
    before = contents(done)
    (done / "data").chmod(0o555)
    (done / "data/.fedsynth/lock").chmod(0o444)
    for parent in done.parents[:4]:
        if parent.stat().st_uid == os.getuid() and parent.name.startswith(("pytest", "popen")):
            parent.chmod(0o755)
    done.chmod(0o755)
    try:
        args = [sys.executable, "-c", AS_NOBODY, *map(str, command)]
        result = subprocess.run(args, cwd=done, env=environment(), capture_output=True, text=True)
    finally:
        (done / "data").chmod(0o755)
    message = failure(result)
    assert "data/" in message
    assert "Permission denied" in message
    assert contents(done) == before


# Two runs at once


def test_locked_folder_is_an_error_that_says_who_holds_it(done: Path) -> None:
    before = contents(done)
    with (done / "data/.fedsynth/lock").open("a+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in WRITERS:
            message = fails(done, *command)
            assert "data: another fedsynth run is at work there" in message
        fedsynth(done, "stats")
    for kind in ("hist", "hist_nolabel", "labels", "models"):
        (done / f"data/synthetic_{kind}.png").unlink()
    assert contents(done) == before
    fedsynth(done, *CHAIN)


def test_second_of_two_runs_fails_while_the_first_goes_on(many: Path, tmp_path: Path) -> None:
    cwd, first = catch(
        many,
        tmp_path,
        f"{MAKING}/sampled_data",
        "preprocess",
        "-s",
        "niid",
        "--sf",
        0.9,
        "--smplseed",
        1,
    )
    message = fails(cwd, "preprocess", "-s", "iid", "--smplseed", 7)
    first.send_signal(signal.SIGCONT)
    _, err = first.communicate(timeout=60)
    assert "another fedsynth run" in message
    assert first.returncode == 0, err
    names = [path.name for path in (cwd / "data/sampled_data").iterdir()]
    assert len(names) == 4
    assert all("_niid_9.json" in name for name in names)


def test_two_runs_started_together_mix_nothing(finished: Path, tmp_path: Path) -> None:
    """Each ends as if it were alone, or fails and says why: with the other's lock, or with what the other made."""
    other = ("preprocess", "-s", "niid", "--sf", 1.0, "-k", 5, "-t", "sample", "--smplseed", 8, "--spltseed", 9)
    whole = {CHAIN: contents(finished / "data")}
    alone = copy_data(finished, tmp_path / "alone")
    fedsynth(alone, *other, "--overwrite")
    whole[other] = contents(alone / "data")
    for turn in range(6):
        cwd = tmp_path / f"together{turn}"
        shutil.copytree(finished / "data/all_data", cwd / "data/all_data")
        runs = {command: start(cwd, *command) for command in ((CHAIN, other) if turn % 2 else (other, CHAIN))}
        errors = {command: run.communicate(timeout=60)[1] for command, run in runs.items()}
        winners = [command for command, run in runs.items() if run.returncode == 0]
        assert len(winners) == 1, errors
        assert contents(cwd / "data") == whole[winners[0]]
        loser = other if winners == [CHAIN] else CHAIN
        assert runs[loser].returncode == 1
        assert "another fedsynth run" in errors[loser] or "--overwrite" in errors[loser]


# What earlier runs left


def test_same_command_again_succeeds_and_rewrites_nothing(done: Path) -> None:
    fedsynth(done, *CHAIN)
    before = stamps(done / "data")
    out = fedsynth(done, *CHAIN).stdout
    assert stamps(done / "data") == before
    assert out.count("kept, made before") == 4
    assert "(seed 1)" in out
    assert "(seed 2)" in out


def test_generate_again_keeps_the_data(done: Path) -> None:
    before = stamps(done)
    out = fedsynth(done, "generate", "-num-tasks", 20, "-num-dim", 3).stdout
    assert "kept" in out
    assert stamps(done) == before


def test_seed_that_was_not_asked_for_matches_any(done: Path) -> None:
    before = stamps(done / "data")
    for seeds in ((), ("--smplseed", 1), ("--smplseed", -1, "--spltseed", -5)):
        fedsynth(done, "preprocess", "-s", "niid", "--sf", 1.0, "-k", 5, "-t", "sample", *seeds)
    assert stamps(done / "data") == before


@pytest.mark.parametrize(
    ("command", "folder"),
    [
        (("preprocess", "-s", "--sf", 1.0, "--smplseed", 3), "sampled_data"),
        (("preprocess", "-s", "--sf", 0.5), "sampled_data"),
        (("preprocess", "-s", "iid", "--sf", 1.0), "sampled_data"),
        (("preprocess", "-k", 6), "rem_user_data"),
        (("preprocess", "-t", "user"), "train"),
        (("preprocess", "-t", "--tf", 0.8), "train"),
        (("preprocess", "-t", "--spltseed", 7), "train"),
        (("preprocess", "-t", "--name", "shakespeare"), "train"),
        (("split", "-t", "user"), "train"),
        (("sample", "--sf", 0.5), "sampled_data"),
        (("remove-users",), "rem_user_data"),
        (("generate", "-num-tasks", 21, "-num-dim", 3), "all_data"),
        (("generate", "-num-tasks", 20, "-num-dim", 3, "-seed", 3), "all_data"),
        (("generate", "-num-tasks", 20, "-num-dim", 3, "-prob-clusters", "0.5,0.5"), "all_data"),
    ],
)
def test_other_parameters_fail_and_name_folder(command: tuple[object, ...], folder: str, done: Path) -> None:
    before = stamps(done)
    message = fails(done, *command)
    assert f"data/{folder}" in message
    assert "--overwrite" in message
    assert stamps(done) == before


def test_overwrite_makes_the_stages_again_and_never_touches_all_data(done: Path) -> None:
    all_data = stamps(done / "data/all_data")
    fedsynth(done, "preprocess", "-s", "iid", "--iu", 0.5, "--sf", 0.5, "-t", "user", "--overwrite")
    assert stamps(done / "data/all_data") == all_data
    assert not (done / "data/rem_user_data").exists()
    assert list(contents(done / "data/train")) == ["all_data_iid_5_5_train_9.json"]


def test_single_stage_overwrites_only_its_own_folders(done: Path) -> None:
    before = {name: stamps(done / "data" / name) for name in ("all_data", "sampled_data", "train", "test")}
    fedsynth(done, "remove-users", "-k", 7, "--overwrite")
    assert {name: stamps(done / "data" / name) for name in before} == before
    assert list(contents(done / "data/rem_user_data")) == ["all_data_niid_0_keep_7.json"]
    message = fails(done, "split", "--spltseed", 2)
    assert "data/train" in message


def test_clean_removes_the_four_stages_only(done: Path) -> None:
    all_data = stamps(done / "data/all_data")
    (done / "data/.fedsynth/making/folders").mkdir(parents=True)
    (done / "data/notes.txt").write_text("mine")
    out = fedsynth(done, "clean").stdout
    assert all(name in out for name in STAGES)
    assert stamps(done / "data/all_data") == all_data
    assert sorted(contents(done / "data")) == ["all_data/all_data.json", "notes.txt"]
    assert leftovers(done) == []
    fedsynth(done, "clean")


def test_stages_made_from_older_data_are_an_error(done: Path) -> None:
    fedsynth(done, "generate", "-num-tasks", 20, "-num-dim", 3, "-seed", 5, "--overwrite")
    before = contents(done)
    shutil.rmtree(done / "data/rem_user_data")
    for command in (("preprocess", "-k", 5), ("preprocess", "-t"), CHAIN, ("remove-users", "-k", 5)):
        message = fails(done, *command)
        assert "data/sampled_data" in message
        assert "--overwrite" in message
    shutil.rmtree(done / "data/sampled_data")
    message = fails(done, "preprocess", "-t", "--spltseed", 2)
    assert "data/train" in message
    fedsynth(done, *CHAIN, "--overwrite")
    after = contents(done)
    assert after["data/all_data/all_data.json"] == before["data/all_data/all_data.json"]
    assert after["data/sampled_data/all_data_niid_0.json"] != before["data/sampled_data/all_data_niid_0.json"]


def test_deep_stale_data_is_found(done: Path) -> None:
    """The folder that is read fits the one before; that one no longer fits all_data."""
    fedsynth(done, "generate", "-num-tasks", 20, "-num-dim", 3, "-seed", 5, "--overwrite")
    message = fails(done, "split", "--spltseed", 2)
    assert "stale" in message
    assert "all_data.json has changed" in message


def test_data_generated_again_with_the_same_bytes_is_not_stale(done: Path) -> None:
    fedsynth(done, "generate", "-num-tasks", 20, "-num-dim", 3, "--overwrite")
    assert fedsynth(done, *CHAIN).stdout.count("kept") == 4


def test_touched_file_is_not_stale(done: Path) -> None:
    os.utime(done / "data/all_data/all_data.json", (1, 1))
    assert fedsynth(done, *CHAIN).stdout.count("kept") == 4


def test_new_input_file_is_noticed(done: Path) -> None:
    shutil.copy(done / "data/all_data/all_data.json", done / "data/all_data/more.json")
    assert "more.json is new" in fails(done, *CHAIN)


def test_data_without_a_manifest_is_accepted(done: Path, tmp_path: Path, finished: Path) -> None:
    shutil.rmtree(done / "meta")
    for name in STAGES:
        shutil.rmtree(done / "data" / name)
    fedsynth(done, *CHAIN)
    assert contents(done / "data") == contents(finished / "data")


def test_stages_without_a_manifest_are_read_but_not_taken_for_ones_own(done: Path) -> None:
    shutil.rmtree(done / "meta")
    message = fails(done, *CHAIN)
    assert "data/sampled_data" in message
    for name in ("train", "test"):
        shutil.rmtree(done / "data" / name)
    fedsynth(done, "preprocess", "-t", "--spltseed", 2)
    assert (done / "data/train/all_data_niid_0_keep_5_train_9.json").exists()


@pytest.mark.parametrize("folder", STAGES)
def test_changed_output_file_is_noticed(folder: str, done: Path) -> None:
    file = next((done / "data" / folder).iterdir())
    text = bytearray(file.read_bytes())
    at = text.rindex(b"0")
    text[at : at + 1] = b"1"
    file.write_bytes(text)
    message = fails(done, *CHAIN)
    assert file.name in message
    assert "has changed" in message


def test_missing_output_file_is_noticed(done: Path) -> None:
    shutil.rmtree(done / "data/test")
    message = fails(done, *CHAIN)
    assert "data/test/all_data_niid_0_keep_5_test_9.json is gone" in message
    fedsynth(done, *CHAIN, "--overwrite")


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", '{"stages": 3}', '{"stages": {"split": {}}}', "\x00\xff"])
def test_damaged_manifest_is_named(damage: str, done: Path) -> None:
    before = contents(done / "data")
    (done / "meta/manifest.json").write_bytes(damage.encode("latin-1"))
    for command in (CHAIN, ("generate", "-num-tasks", 20)):
        assert "meta/manifest.json: damaged" in fails(done, *command)
    assert contents(done / "data") == before
    (done / "meta/manifest.json").unlink()
    fedsynth(done, *CHAIN, "--overwrite")
    assert contents(done / "data") == before


@pytest.mark.parametrize("name", ["train", "all_data"])
def test_file_where_a_folder_belongs_is_an_error_that_keeps_it(name: str, tmp_path: Path, finished: Path) -> None:
    if name == "train":
        shutil.copytree(finished / "data/all_data", tmp_path / "data/all_data")
    (tmp_path / "data").mkdir(exist_ok=True)
    (tmp_path / "data" / name).write_text("mine")
    command = CHAIN if name == "train" else ("generate", "-num-tasks", 5)
    assert f"data/{name}" in fails(tmp_path, *command)
    assert (tmp_path / "data" / name).read_text() == "mine"
    (tmp_path / "data" / name).unlink()
    fedsynth(tmp_path, *command)
    assert leftovers(tmp_path) == []


def test_stage_folder_that_is_a_link_can_be_cleared(done: Path) -> None:
    """People put large folders on other disks."""
    (done / "data/train").rename(done / "elsewhere")
    (done / "data/train").symlink_to(done / "elsewhere")
    assert fedsynth(done, *CHAIN).stdout.count("kept") == 4
    fedsynth(done, *CHAIN, "--overwrite")
    assert list(contents(done / "data/train")) == ["all_data_niid_0_keep_5_train_9.json"]
    fedsynth(done, "clean")
    assert leftovers(done) == []


def test_verify_tells_changed_missing_and_new_files(done: Path) -> None:
    sums = done / "meta/dir-checksum.md5"
    assert "5 files match" in fedsynth(done, "preprocess", "--verify", sums).stdout
    next((done / "data/train").iterdir()).write_text("{}")
    next((done / "data/test").iterdir()).unlink()
    (done / "data/all_data/new.json").write_text("{}")
    out = fedsynth(done, "verify", sums, check=1).stdout
    assert "changed: train/all_data_niid_0_keep_5_train_9.json" in out
    assert "missing: test/all_data_niid_0_keep_5_test_9.json" in out
    assert "new: all_data/new.json" in out
    assert "3 files match" in out
