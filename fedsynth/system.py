"""The calls that differ between operating systems, each with a way that works everywhere.

Nothing else in fedsynth uses POSIX-only calls, so this is the one module to read when a platform misbehaves.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from io import FileIO
from pathlib import Path
from types import ModuleType
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # everywhere else
    msvcrt = None  # type: ignore[assignment]

HAVE_PREAD = hasattr(os, "pread")
HAVE_SIGNAL_MASK = hasattr(signal, "pthread_sigmask")
MOST_PROCESSES = 61 if os.name == "nt" else 1024
"""Windows can't wait for more at a time."""

_CANT_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)
"""What some FUSE and CIFS mounts say to a sync of a folder."""

_FICLONE = 0x40049409
"""Linux's number for sharing all of a file with another."""

_seek_lock = threading.Lock()


def read_at(file: FileIO, offset: int, size: int) -> bytes:
    """Return `size` bytes from `offset` on, fewer where the file ends; threads may share the file."""
    data = _read_once(file, offset, size)
    while len(data) < size:  # Linux hands out at most 2 GiB at a time
        more = _read_once(file, offset + len(data), size - len(data))
        if not more:
            break
        data += more
    return data


def read_slices(file: FileIO, offsets: Sequence[int], sizes: Sequence[int]) -> list[bytes]:
    """Return many small slices, each shorter where the file ends; `read_at` without its cost per call."""
    if not HAVE_PREAD:
        return [read_at(file, offset, size) for offset, size in zip(offsets, sizes, strict=True)]
    descriptor, pread = file.fileno(), os.pread
    return [pread(descriptor, size, offset) for offset, size in zip(offsets, sizes, strict=True)]


def _read_once(file: FileIO, offset: int, size: int) -> bytes:
    if HAVE_PREAD:
        return os.pread(file.fileno(), size, offset)
    with _seek_lock:
        file.seek(offset)
        return file.read(size)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors the name of the file: Python's own lack it when writing fails, as on a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a small file, with line feeds on every system, and make it survive a power cut."""
    with naming(path), path.open("w", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Make a file's contents survive a power cut."""
    with naming(path), path.open("rb+") as file:
        os.fsync(file.fileno())


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's contents; where the file system can share them between the two (Btrfs, XFS), none are copied."""
    if not _clone(source, target):
        shutil.copyfile(source, target)


def _clone(source: Path, target: Path) -> bool:
    """Make a new file of the same contents as Linux's FICLONE does; False, and no file, where that can't be done."""
    if fcntl is None or sys.platform != "linux":
        return False
    with source.open("rb") as original, target.open("xb") as copy, contextlib.suppress(OSError):
        fcntl.ioctl(copy, _FICLONE, original.fileno())
        return True
    target.unlink()  # another kind of file system, or two of them
    return False


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut, where the system can: Windows can't open folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:
        if os.name == "nt":
            return
        raise
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANT_SYNC:
            error.filename = str(folder)
            raise
    finally:
        os.close(descriptor)


def move_folder(source: Path, target: Path) -> None:
    """Rename a folder to a name that is free or an empty folder's: Windows can't rename over one."""
    with contextlib.suppress(FileNotFoundError):
        target.rmdir()
    source.rename(target)


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the lock file, or raise BlockingIOError at once. The system lets go of it however the process ends.

    Raises OSError (ELOOP) if the path is a link: what that leads to is not ours to open or to make.
    """
    with open(path, "a+b", opener=_open_no_link) as file:
        if not _try_lock(file):
            raise BlockingIOError(f"{path}: locked by another process")
        try:
            yield
        finally:
            _unlock(file)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def _try_lock(file: Any) -> bool:
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _unlock(file: Any) -> None:
    if fcntl is None and msvcrt is not None:
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)


def process_is_alive(pid: int) -> bool:
    """Whether a process of this number runs on this machine; where that can't be asked without harm (Windows), yes."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C for the end of the block, and from processes started in it until they `release_interrupts`.

    Where signals can't be masked (Windows) such processes get it while they start. Where Ctrl-C is ignored, as for what
    a script starts with `&`, it stays ignored, for them too. Threads but the main one never get it, and only mask it.
    """
    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, None):
        yield
        return
    main = threading.current_thread() is threading.main_thread()
    held: list[int] = []
    if main:
        signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if HAVE_SIGNAL_MASK else set()
    try:
        yield
    finally:
        if HAVE_SIGNAL_MASK:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if main:
            signal.signal(signal.SIGINT, before)
        if held:
            signal.raise_signal(signal.SIGINT)


@contextlib.contextmanager
def standard_error_silenced() -> Iterator[None]:
    """Lead standard error's descriptor nowhere, for the processes that are started in the block to inherit."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
        finally:
            os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def main_module_hidden() -> Iterator[None]:
    """Keep processes that are started in the block from running the caller's script first, as spawned ones would."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def start_process_helper() -> None:
    """Start multiprocessing's own helper before any process: started along with one it lets Ctrl-C through to that."""
    if HAVE_SIGNAL_MASK:
        from multiprocessing.resource_tracker import ensure_running

        with interrupts_held(), standard_error_silenced():
            ensure_running()


def fill_standard_streams() -> None:
    """Open what of standard input, output and error is closed: the next file opened would be taken for it."""
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def release_interrupts(handler: Callable[[int, Any], None]) -> None:
    """Let the handler have Ctrl-C from now on, in a process started with interrupts held; ignored stays ignored."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)
    if HAVE_SIGNAL_MASK:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
