"""The ways that work on every system give what the POSIX ones give."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedsynth import system
from fedsynth.system import (
    copy_file,
    exclusive_lock,
    interrupts_held,
    move_folder,
    read_at,
    read_slices,
    standard_error_silenced,
    sync_file,
    sync_folder,
)
from tests.commands import contents, environment, fedsynth

IID = ("preprocess", "-s", "iid", "--iu", 0.5, "--sf", 0.5, "-t", "user", "--smplseed", 3, "--spltseed", 4)
COMMANDS: tuple[tuple[object, ...], ...] = (
    ("generate", "-num-tasks", 40, "-prob-clusters", "0.5,0.5"),
    ("preprocess", "-s", "niid", "--sf", 0.9, "-k", 5, "-t", "sample", "--smplseed", 1, "--spltseed", 2),
    (*IID, "--overwrite"),
    IID,
    ("generate", "-num-tasks", 30, "-seed", 5, "--overwrite"),
    ("stats", "--workers", 2),
    ("clean",),
    ("preprocess", "-t", "--spltseed", 6),
)

WITHOUT_POSIX = """
import os, signal, subprocess, sys, types

class Locks:
    # Windows: one lock per file, which ends with the process; PermissionError when another holds it.
    LK_NBLCK, LK_UNLCK = 2, 0
    held = set()

    def locking(self, descriptor, mode, size):
        assert size == 1 and os.lseek(descriptor, 0, os.SEEK_CUR) == 0
        key = os.fstat(descriptor).st_ino
        if mode == self.LK_UNLCK:
            self.held.remove(key)
        elif key in self.held:
            raise PermissionError(13, "Permission denied")
        else:
            self.held.add(key)

del os.pread
if hasattr(os, "preadv"):
    del os.preadv
if hasattr(signal, "pthread_sigmask"):
    del signal.pthread_sigmask
sys.modules["fcntl"] = None
locks = sys.modules["msvcrt"] = Locks()

real_open, real_rename = os.open, os.rename

def open_no_folders(path, flags, mode=0o777, *, dir_fd=None):
    if dir_fd is None and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return real_open(path, flags, mode, dir_fd=dir_fd)

def rename_over_nothing(source, target, **options):
    if os.path.exists(target):
        raise FileExistsError(17, "Cannot create a file when that file already exists", str(source), None, str(target))
    real_rename(source, target, **options)

import fedsynth.system as system
assert system.fcntl is None and system.msvcrt is locks and not system.HAVE_PREAD
assert not system.HAVE_SIGNAL_MASK
system.os = types.SimpleNamespace(**{**vars(os), "name": "nt", "open": open_no_folders})
os.rename = rename_over_nothing

import fedsynth.cli
try:
    fedsynth.cli.main(sys.argv[1:])
finally:
    assert not locks.held
"""
"""Runs a command as on Windows, as far as that can be had here; msvcrt's locks are of this process alone."""


def without_posix(cwd: Path, *args: object) -> None:
    command = [sys.executable, "-c", WITHOUT_POSIX, *map(str, args)]
    result = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


def test_every_command_gives_the_same_bytes_without_posix_calls(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    for command in COMMANDS:
        fedsynth(here, *command)
        without_posix(there, *command)
        found, expected = contents(there), contents(here)
        for files in (found, expected):
            files.pop("meta/manifest.json")  # holds times
        assert found.keys() == expected.keys(), command
        assert found == expected, command


@pytest.mark.parametrize("have_pread", [True, False])
def test_reading_at_an_offset(have_pread: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if have_pread and not system.HAVE_PREAD:
        pytest.skip("no pread here")
    monkeypatch.setattr(system, "HAVE_PREAD", have_pread)
    path = tmp_path / "f"
    path.write_bytes(bytes(range(100)))
    with path.open("rb", buffering=0) as file:
        assert read_at(file, 10, 5) == bytes(range(10, 15))
        assert read_at(file, 0, 3) == bytes(range(3))
        assert read_at(file, 98, 10) == bytes([98, 99])
        assert read_at(file, 100, 1) == b""
        assert read_at(file, 50, 0) == b""
        found = read_slices(file, [40, 0, 98, 7], [2, 1, 9, 0])
        assert found == [bytes([40, 41]), bytes([0]), bytes([98, 99]), b""]


@pytest.mark.parametrize("have_pread", [True, False])
def test_short_reads_are_continued(have_pread: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux reads at most 2 GiB at a time."""
    if have_pread and not system.HAVE_PREAD:
        pytest.skip("no pread here")
    once = system._read_once
    monkeypatch.setattr(system, "HAVE_PREAD", have_pread)
    monkeypatch.setattr(system, "_read_once", lambda file, offset, size: once(file, offset, min(size, 7)))
    path = tmp_path / "f"
    path.write_bytes(bytes(range(100)))
    with path.open("rb", buffering=0) as file:
        assert read_at(file, 3, 90) == bytes(range(3, 93))
        assert read_at(file, 90, 90) == bytes(range(90, 100))


def test_threads_share_a_file_without_pread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "HAVE_PREAD", False)
    path = tmp_path / "f"
    path.write_bytes(b"".join(number.to_bytes(4, "big") for number in range(5000)))
    wrong: list[int] = []

    def read_all(numbers: range) -> None:
        wrong.extend(n for n in numbers if read_at(file, 4 * n, 4) != n.to_bytes(4, "big"))

    with path.open("rb", buffering=0) as file:
        threads = [threading.Thread(target=read_all, args=(range(first, 5000, 4),)) for first in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


class Msvcrt:
    """Windows' locks: of one byte at the file's place, refused while another handle has it."""

    LK_NBLCK, LK_UNLCK = 2, 0

    def __init__(self) -> None:
        self.held: dict[tuple[int, int], int] = {}

    def locking(self, descriptor: int, mode: int, size: int) -> None:
        place = (os.fstat(descriptor).st_ino, os.lseek(descriptor, 0, os.SEEK_CUR))
        if mode == self.LK_UNLCK:
            if self.held.get(place) != descriptor:
                raise PermissionError(13, "Permission denied")
            del self.held[place]
        elif place in self.held:
            raise PermissionError(13, "Permission denied")
        else:
            self.held[place] = descriptor


def use_msvcrt(monkeypatch: pytest.MonkeyPatch) -> Msvcrt:
    locks = Msvcrt()
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "msvcrt", locks)
    return locks


@pytest.mark.parametrize("windows", [False, True])
def test_lock_is_held_once_and_let_go(windows: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if windows:
        use_msvcrt(monkeypatch)
    lock = tmp_path / ".lock"
    with exclusive_lock(lock), pytest.raises(BlockingIOError, match="locked"):  # noqa: SIM117
        with exclusive_lock(lock):
            pytest.fail("held twice")
    with pytest.raises(ZeroDivisionError), exclusive_lock(lock):
        raise ZeroDivisionError
    with exclusive_lock(lock):
        pass


def test_windows_lock_is_let_go_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locks = use_msvcrt(monkeypatch)
    with exclusive_lock(tmp_path / ".lock"):
        assert len(locks.held) == 1
    assert locks.held == {}


def test_system_without_any_locks_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "fcntl", None)
    monkeypatch.setattr(system, "msvcrt", None)
    with exclusive_lock(tmp_path / ".lock"):
        assert (tmp_path / ".lock").exists()


def refuse_folders(name: str) -> Any:
    def refuse(path: Any, *args: Any, **options: Any) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    return SimpleNamespace(**{**vars(os), "name": name, "open": refuse})


def test_folders_that_can_not_be_opened_are_not_synced_on_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "os", refuse_folders("nt"))
    sync_folder(tmp_path)


def test_folders_that_can_not_be_opened_are_an_error_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "os", refuse_folders("posix"))
    with pytest.raises(PermissionError):
        sync_folder(tmp_path)


def test_syncing_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    before = path.stat().st_mtime_ns
    sync_file(path)
    sync_folder(tmp_path)
    assert path.read_bytes() == b"abc"
    assert path.stat().st_mtime_ns == before


def test_folder_moves_to_a_free_name_and_over_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def as_on_windows(source: Path, target: Path) -> Path:
        if target.exists():
            raise FileExistsError(17, "Cannot create a file when that file already exists")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", as_on_windows)
    for name in ("free", "empty"):
        source, target = tmp_path / "source", tmp_path / name
        source.mkdir()
        (source / "f").write_text(name)
        if name == "empty":
            target.mkdir()
        move_folder(source, target)
        assert contents(target) == {"f": name.encode()}
        assert not source.exists()


def test_folder_in_use_is_never_replaced(tmp_path: Path) -> None:
    for name in ("source", "target"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text(name)
    with pytest.raises(OSError, match="not empty"):
        move_folder(tmp_path / "source", tmp_path / "target")
    assert contents(tmp_path) == {"source/f": b"source", "target/f": b"target"}


@pytest.mark.parametrize("have_mask", [True, False])
def test_ctrl_c_is_held_to_the_end_of_the_block(have_mask: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "HAVE_SIGNAL_MASK", have_mask and system.HAVE_SIGNAL_MASK)
    before = signal.getsignal(signal.SIGINT)
    done = []
    with pytest.raises(KeyboardInterrupt), interrupts_held():
        signal.raise_signal(signal.SIGINT)
        done.append("the rest of the block")
    assert done
    assert signal.getsignal(signal.SIGINT) is before
    with interrupts_held():
        pass


def test_what_is_ignored_or_masked_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts_held():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    masked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with interrupts_held():
            pass
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, set())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, masked)


def test_process_started_in_the_block_gets_no_ctrl_c() -> None:
    with interrupts_held():
        child = subprocess.Popen([sys.executable, "-c", "input(); print('whole')"], stdin=-1, stdout=-1, text=True)
    child.send_signal(signal.SIGINT)
    assert child.communicate("\n")[0] == "whole\n"
    assert child.returncode == 0


def test_holding_ctrl_c_is_the_main_threads_affair() -> None:
    done = []

    def work() -> None:
        with interrupts_held():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_folders_that_cannot_be_synced_are_left_as_they_are(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some FUSE and CIFS mounts."""

    def fsync(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fsync)
    sync_folder(tmp_path)


def test_folder_whose_sync_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match=tmp_path.name):
        sync_folder(tmp_path)


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs O_NOFOLLOW")
@pytest.mark.parametrize("there", [True, False])
def test_lock_is_never_taken_through_a_link(there: bool, tmp_path: Path) -> None:
    target = tmp_path / "mine.txt"
    if there:
        target.write_text("mine")
    (tmp_path / ".lock").symlink_to(target)
    with pytest.raises(OSError, match="lock"), exclusive_lock(tmp_path / ".lock"):
        pass
    assert target.exists() == there
    assert not there or target.read_text() == "mine"


def test_silenced_standard_error_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    with standard_error_silenced():
        os.write(2, b"nobody hears this")
    os.write(2, b"this is heard")
    assert capfd.readouterr().err == "this is heard"


def test_a_copy_has_the_files_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether this file system can share them or not, and where there is no such call at all."""
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 1000)
    for number, changed in enumerate(({}, {"fcntl": None})):
        for name, value in changed.items():
            monkeypatch.setattr(system, name, value)
        copy_file(source, tmp_path / str(number))
        assert (tmp_path / str(number)).read_bytes() == source.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="a call of Linux")
@pytest.mark.parametrize("error", [None, errno.EXDEV, errno.EOPNOTSUPP])
def test_contents_are_shared_where_that_can_be(
    error: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def ioctl(target: Any, request: int, source: int) -> None:
        asked.append(request)
        if error is not None:
            raise OSError(error, os.strerror(error))
        target.write(b"shared")

    monkeypatch.setattr(system.fcntl, "ioctl", ioctl)
    (tmp_path / "source").write_bytes(b"copied")
    copy_file(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == (b"shared" if error is None else b"copied")
    assert asked == [0x40049409]
