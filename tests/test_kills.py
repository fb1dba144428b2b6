"""Runs that die: killed at random moments, and crashed before each single change that they make to the disk."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands import contents, environment, fedsynth, leftovers, start

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX processes")

CRASHED = 77
GENERATE = ("generate", "-num-tasks", 150)
SAMPLE = ("sample", "-s", "niid", "--sf", 1.0, "--smplseed", 1)
REMOVE = ("remove-users", "-k", 5)
SPLIT = ("split", "-t", "sample", "--spltseed", 2)
CHAIN = ("preprocess", "-s", "niid", "--sf", 1.0, "-k", 5, "-t", "sample", "--smplseed", 1, "--spltseed", 2)
IID = ("preprocess", "-s", "iid", "--iu", 0.1, "--sf", 0.5, "-k", 5, "-t", "user", "--smplseed", 1, "--spltseed", 2)
KILLS = {
    "generate": ((), GENERATE, 10),
    "chain": ((GENERATE,), CHAIN, 12),
    "iid": ((GENERATE,), IID, 8),
    "sample": ((GENERATE,), SAMPLE, 5),
    "remove-users": ((GENERATE, SAMPLE), REMOVE, 5),
    "split": ((GENERATE, SAMPLE, REMOVE), SPLIT, 6),
}
"""By name: the commands before, the command that is killed, and how many kills must hit it."""


def link_tree(source: Path, target: Path) -> None:
    """Set a folder up as another one is; hard links keep sizes and times, and nothing is ever changed in place."""
    for path in source.rglob("*"):
        if path.is_file() and path.name != "lock":
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, copy)


def results(cwd: Path) -> dict[str, bytes]:
    """Everything that must come out the same every time: the manifest holds times."""
    found = {f"data/{name}": data for name, data in contents(cwd / "data").items()}
    meta = {f"meta/{name}": data for name, data in contents(cwd / "meta").items()}
    meta.pop("meta/manifest.json", None)
    return found | meta


def by_folder(data: Path) -> dict[str, dict[str, bytes]]:
    if not data.is_dir():
        return {}
    return {path.name: contents(path) for path in data.iterdir() if not path.name.startswith(".")}


def assert_whole(data: Path, *whole: dict[str, dict[str, bytes]]) -> None:
    """Every visible folder holds just what it holds in one of these."""
    for name, files in by_folder(data).items():
        assert files in [state[name] for state in whole if name in state], f"{data / name}: {list(files)}"


@pytest.mark.parametrize("name", KILLS)
def test_killed_command_leaves_no_half_folder_and_its_rerun_ends_right(name: str, tmp_path: Path) -> None:
    before, command, wanted = KILLS[name]
    for args in before:
        fedsynth(tmp_path, *args)
    (tmp_path / "data").mkdir(exist_ok=True)
    link_tree(tmp_path, tmp_path / "before")
    began = time.monotonic()
    fedsynth(tmp_path, *command)
    duration = time.monotonic() - began
    expected, folders = results(tmp_path), by_folder(tmp_path / "data")

    rng = random.Random(name)
    hits = left = 0
    for attempt in range(4 * wanted):
        cwd = tmp_path / f"kill{attempt}"
        (cwd / "data").mkdir(parents=True)
        link_tree(tmp_path / "before", cwd)
        process = start(cwd, *command)
        time.sleep(rng.uniform(0.15, 1) * duration)
        process.kill()
        process.communicate()
        hits += process.returncode == -9
        left += bool(leftovers(cwd))
        assert_whole(cwd / "data", folders)
        fedsynth(cwd, *command)
        assert results(cwd) == expected
        assert leftovers(cwd) == []
        if hits == wanted:
            break
    print(f"{name}: {hits} kills hit, {left} left hidden folders")
    assert hits == wanted
    assert ": kept" in fedsynth(cwd, *command).stdout


def test_at_least_40_kills_hit_over_the_chain() -> None:
    assert sum(wanted for _, _, wanted in KILLS.values()) >= 40


DRIVER = f"""
import json, os, sys, threading
import fedsynth.pipeline.generate
import fedsynth.cli.commands
from fedsynth.cli import main

CALLS = ("mkdir", "rename", "replace", "unlink", "rmdir", "fsync")

def arm(crash_at):
    lock, count = threading.Lock(), 0
    def watched(call):
        def act(*args, **options):
            nonlocal count
            with lock:
                count += 1
                if count == crash_at:
                    os._exit({CRASHED})
            return call(*args, **options)
        return act
    for name in CALLS:
        setattr(os, name, watched(getattr(os, name)))

for line in sys.stdin:
    cwd, args, crash_at = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(cwd)
        sink = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        arm(crash_at)
        status = 99
        try:
            main(args)
        except SystemExit as stop:
            status = stop.code
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs commands in forked children, each of which ends at once before its n-th change to names or its n-th sync."""


class Crasher:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, cwd: Path, args: tuple[object, ...], crash_at: int = 0) -> int:
        """Run a command, up to the given call; return its exit status."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        job = [str(cwd), list(map(str, args)), crash_at]
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def rerun(self, cwd: Path, args: tuple[object, ...]) -> None:
        status = self.run(cwd, args)
        assert status == 0, (cwd / "output").read_text()


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield Crasher(process)


SMALL = ("generate", "-num-tasks", 12, "-num-dim", 2)
OTHER = (*SMALL, "-seed", 5)
SEEDS = ("--smplseed", 3, "--spltseed", 4)
OTHER_CHAIN = ("preprocess", "-s", "--sf", 0.8, "-k", 6, "-t", "user", "--tf", 0.5, *SEEDS)
SIDES = ("split", "-t", "sample", "--tf", 0.7, "--vf", 0.2, "--new-users", 0.3, "--spltseed", 2)
REWRITE = ("preprocess", "-s", "iid", "--iu", 0.5, "--sf", 1.0, *SEEDS)
CRASHES = {
    "generate": ((), SMALL),
    "generate over other data": ((SMALL, OTHER_CHAIN), (*OTHER, "--overwrite")),
    "chain": ((SMALL,), CHAIN),
    "iid": ((SMALL,), REWRITE),
    "chain over another": ((SMALL, OTHER_CHAIN), (*CHAIN, "--overwrite")),
    "split": ((SMALL,), SPLIT),
    "split over another": ((SMALL, CHAIN), ("split", "-t", "user", "--spltseed", 9, "--overwrite")),
    "clean": ((SMALL, CHAIN), ("clean",)),
    "four sides": ((SMALL,), SIDES),
    "two sides over four": ((SMALL, SIDES), (*SPLIT, "--overwrite")),
    "four sides over two": ((SMALL, CHAIN), (*SIDES, "--overwrite")),
    "clean of four sides": ((SMALL, SIDES), ("clean",)),
}
"""By name: the commands before, and the command that crashes."""


def states(crasher: Crasher, name: str, tmp_path: Path) -> tuple[Path, dict[str, bytes], dict[str, bytes]]:
    """Run everything without a crash; return the folder before the command and the results of both."""
    before, command = CRASHES[name]
    cwd = tmp_path / "whole"
    (cwd / "data").mkdir(parents=True)
    for args in before:
        crasher.rerun(cwd, args)
    link_tree(cwd, tmp_path / "before")
    (tmp_path / "before/data").mkdir(parents=True, exist_ok=True)
    old = results(cwd)
    crasher.rerun(cwd, command)
    return tmp_path / "before", old, results(cwd)


@pytest.mark.parametrize("name", CRASHES)
def test_crash_before_any_change_leaves_whole_folders_and_the_rerun_ends_right(
    name: str, crasher: Crasher, tmp_path: Path
) -> None:
    _, command = CRASHES[name]
    start_from, _, new = states(crasher, name, tmp_path)
    before, after = by_folder(start_from / "data"), by_folder(tmp_path / "whole/data")
    for point in range(1, 1000):
        cwd = tmp_path / f"crash{point}"
        (cwd / "data").mkdir(parents=True)
        link_tree(start_from, cwd)
        status = crasher.run(cwd, command, point)
        if status != CRASHED:
            break
        assert_whole(cwd / "data", before, after)
        if command[0] != "generate":
            assert by_folder(cwd / "data")["all_data"] == before["all_data"]
        crasher.rerun(cwd, command)
        assert results(cwd) == new, f"crash {point}"
        assert leftovers(cwd) == [], f"crash {point}"
    assert status == 0
    assert point > 5
    print(f"{name}: {point - 1} crash points")


@pytest.mark.parametrize(
    "name",
    [
        "generate over other data",
        "chain over another",
        "split over another",
        "clean",
        "chain",
        "four sides",
        "two sides over four",
        "four sides over two",
        "clean of four sides",
    ],
)
def test_after_any_crash_the_next_command_finds_all_of_the_old_or_all_of_the_new(
    name: str, crasher: Crasher, tmp_path: Path
) -> None:
    """The chain alone commits stage by stage; all others change everything in one step."""
    start_from, _, _ = states(crasher, name, tmp_path)
    before, after = by_folder(start_from / "data"), by_folder(tmp_path / "whole/data")
    seen = set()
    for point in range(1, 1000):
        cwd = tmp_path / f"crash{point}"
        (cwd / "data").mkdir(parents=True)
        link_tree(start_from, cwd)
        if crasher.run(cwd, CRASHES[name][1], point) != CRASHED:
            break
        crasher.rerun(cwd, ("stats", "--no-measures"))
        found = {folder: files for folder, files in by_folder(cwd / "data").items() if not folder.endswith(".png")}
        if name == "chain":
            assert all(files in (before.get(folder), after.get(folder)) for folder, files in found.items())
            assert ("train" in found) == ("test" in found)
        else:
            assert found in (before, after), f"crash {point}"
        seen.add(found == after)
    assert name == "chain" or seen == {False, True}


def test_overwriting_never_loses_the_old_data_before_the_new_is_committed(crasher: Crasher, tmp_path: Path) -> None:
    name = "generate over other data"
    start_from, old, new = states(crasher, name, tmp_path)
    key = "data/all_data/all_data.json"
    seen = set()
    for point in range(1, 1000):
        cwd = tmp_path / f"crash{point}"
        (cwd / "data").mkdir(parents=True)
        link_tree(start_from, cwd)
        if crasher.run(cwd, CRASHES[name][1], point) != CRASHED:
            break
        visible = results(cwd).get(key)
        committed = cwd / "data/.fedsynth/committed/folders/all_data/all_data.json"
        assert visible in (old[key], new[key]) or committed.read_bytes() == new[key]
        seen.add(visible)
        if visible == old[key] and not committed.exists():  # nothing has happened yet
            crasher.rerun(cwd, SMALL)
            assert results(cwd) == old
            assert leftovers(cwd) == []
    assert seen == {old[key], None, new[key]}


@pytest.mark.parametrize("name", ["generate", "chain", "split"])
def test_two_crashes_in_a_row_are_repaired(name: str, crasher: Crasher, tmp_path: Path) -> None:
    """The second one comes while the first one's leavings are dealt with."""
    start_from, _, new = states(crasher, name, tmp_path)
    for first in (4, 9, 14, 17, 18, 19, 20, 21, 22, 24, 27):
        for second in (1, 2, 3, 4, 6, 8):
            cwd = tmp_path / f"crash{first}-{second}"
            (cwd / "data").mkdir(parents=True)
            link_tree(start_from, cwd)
            crasher.run(cwd, CRASHES[name][1], first)
            crasher.run(cwd, CRASHES[name][1], second)
            crasher.rerun(cwd, CRASHES[name][1])
            assert results(cwd) == new, f"crashes {first}, {second}"
            assert leftovers(cwd) == []


def test_split_that_died_between_its_two_folders_is_finished_by_any_later_run(crasher: Crasher, tmp_path: Path) -> None:
    start_from, _, new = states(crasher, "split", tmp_path)
    halves = 0
    for point in range(1, 1000):
        cwd = tmp_path / f"crash{point}"
        (cwd / "data").mkdir(parents=True)
        link_tree(start_from, cwd)
        if crasher.run(cwd, SPLIT, point) != CRASHED:
            break
        if (cwd / "data/train").exists() != (cwd / "data/test").exists():
            halves += 1
            crasher.rerun(cwd, SMALL)
            assert results(cwd) == new
    assert halves
