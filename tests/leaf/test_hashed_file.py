"""A file is whole or an error: whatever fails, in whichever thread, is raised, soon, and no thread is left."""

from __future__ import annotations

import errno
import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.leaf import hashed_file, lane
from fedsynth.leaf.hashed_file import HashedFile
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.stamp import BLOCK, FileState, stamp_file

APART = pytest.mark.parametrize("hash_apart", [False, True])
SECONDS = 60
"""Within which everything ends, on a busy machine too."""


@pytest.fixture(autouse=True)
def all_ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hashed_file, "PATIENCE", 0.05)
    monkeypatch.setattr(lane, "PATIENCE", 0.05)
    before, start = threading.active_count(), time.monotonic()
    yield
    assert threading.active_count() == before
    assert time.monotonic() - start < SECONDS


class Disk:
    """A file whose nth write, and close, do what they are told to."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.writes = 0
        self.fail_at: dict[int, Callable[[], int | None]] = {}
        self.at_close: Callable[[], int | None] | None = None

    def write(self, data: memoryview) -> int | None:
        self.writes += 1
        if self.writes in self.fail_at:
            return self.fail_at[self.writes]()
        return int(self._file.write(data[: len(data) // 2 or 1]))  # disks may take less than they are given

    def fileno(self) -> int:
        return int(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        if self.at_close is not None:
            self.at_close()


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*arguments: Any) -> Any:
        raise error

    return fail


def write_many(file: HashedFile) -> None:
    """More than may wait, in small and large pieces."""
    for number in range(60):
        file.write(bytes([number]) * (BLOCK // 2 if number % 4 else 6 * BLOCK))


def write_all(path: Path, prepare: Callable[[HashedFile], object], *, hash_apart: bool) -> None:
    """Write and close a file in which something is made to fail, as `LeafWriter` does."""
    file = HashedFile(path, hash_apart=hash_apart)
    try:
        prepare(file)
        write_many(file)
        file.close()
    finally:
        file.abandon()


@pytest.fixture(params=["ENOSPC", "EDQUOT", "MemoryError", "KeyboardInterrupt", "ZeroDivisionError"])
def error(request: pytest.FixtureRequest) -> BaseException:
    if request.param.startswith("E"):
        number = getattr(errno, request.param)
        return OSError(number, os.strerror(number))
    kinds = (MemoryError, KeyboardInterrupt, ZeroDivisionError)
    return {kind.__name__: kind for kind in kinds}[request.param]("injected")


@APART
@pytest.mark.parametrize("at", [1, 2, 17, 60])
def test_an_error_at_a_write_is_raised(error: BaseException, at: int, hash_apart: bool, tmp_path: Path) -> None:
    def prepare(file: HashedFile) -> None:
        disk = Disk(file._file)
        disk.fail_at[at] = raising(error)
        disk.at_close = raising(OSError(errno.EDQUOT, "Disk quota exceeded"))  # NFS says it once more
        file._file = disk  # type: ignore[assignment]

    with pytest.raises(type(error)) as caught:
        write_all(tmp_path / "a", prepare, hash_apart=hash_apart)
    assert caught.value is error
    if isinstance(error, OSError):
        assert error.filename == str(tmp_path / "a")


@APART
@pytest.mark.parametrize("taken", [0, None])
def test_a_disk_that_takes_nothing_is_an_error(taken: int | None, hash_apart: bool, tmp_path: Path) -> None:
    def prepare(file: HashedFile) -> None:
        disk = Disk(file._file)
        disk.fail_at[3] = lambda: taken
        file._file = disk  # type: ignore[assignment]

    with pytest.raises(OSError, match="the disk takes no more bytes"):
        write_all(tmp_path / "a", prepare, hash_apart=hash_apart)


@APART
def test_a_disk_that_lies_is_found_out(hash_apart: bool, tmp_path: Path) -> None:
    def prepare(file: HashedFile) -> None:
        disk = Disk(file._file)
        disk.fail_at[3] = lambda: 1
        file._file = disk  # type: ignore[assignment]

    with pytest.raises(OSError, match="bytes were in the file"):
        write_all(tmp_path / "a", prepare, hash_apart=hash_apart)


@APART
@pytest.mark.parametrize("call", ["fsync", "fstat"])
def test_an_error_at_the_end_is_raised(
    call: str, error: BaseException, hash_apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(type(error)) as caught:
        write_all(
            tmp_path / "a",
            lambda file: monkeypatch.setattr(hashed_file.os, call, raising(error)),
            hash_apart=hash_apart,
        )
    monkeypatch.undo()
    assert caught.value is error


@APART
def test_a_quota_that_is_told_when_closing_is_raised_with_the_name(hash_apart: bool, tmp_path: Path) -> None:
    def prepare(file: HashedFile) -> None:
        disk = Disk(file._file)
        disk.at_close = raising(OSError(errno.EDQUOT, "Disk quota exceeded"))
        file._file = disk  # type: ignore[assignment]

    with pytest.raises(OSError, match="quota") as caught:
        write_all(tmp_path / "a", prepare, hash_apart=hash_apart)
    assert caught.value.filename == str(tmp_path / "a")


@APART
@pytest.mark.parametrize("at", [0, 1, 20])
def test_an_error_while_hashing_is_raised(error: BaseException, at: int, hash_apart: bool, tmp_path: Path) -> None:
    class Hash:
        def __init__(self) -> None:
            self.updates = 0

        def update(self, data: bytes) -> None:
            self.updates += 1
            if self.updates > at:
                raise error

    with pytest.raises(type(error)) as caught:
        write_all(tmp_path / "a", lambda file: setattr(file, "_hash", Hash()), hash_apart=hash_apart)
    assert caught.value is error


@APART
@pytest.mark.parametrize("queue", ["_done", "things"])
@pytest.mark.parametrize("at", [1, 2, 9])
def test_no_memory_for_a_queue_is_raised(queue: str, at: int, hash_apart: bool, tmp_path: Path) -> None:
    """Each put may need memory: those of blocks, of the end, and of what tells that a block is done."""

    class Short:
        def __init__(self, inner: Any) -> None:
            self._inner = inner
            self.puts = 0

        def put(self, item: Any) -> None:
            self.puts += 1
            if self.puts >= at:
                raise MemoryError
            self._inner.put(item)

        def get(self, timeout: float) -> Any:
            return self._inner.get(timeout=timeout)

    def prepare(file: HashedFile) -> None:
        owner, name = (file, "_done") if queue == "_done" else (file._writing, "_things")
        setattr(owner, name, Short(getattr(owner, name)))

    with pytest.raises(MemoryError):
        write_all(tmp_path / "a", prepare, hash_apart=hash_apart)


@APART
@pytest.mark.parametrize("last", [0, 1])
def test_no_thread_to_be_had_is_a_memory_error(
    last: int, hash_apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = iter(range(9))
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if next(started) >= last:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    if last and not hash_apart:
        HashedFile(tmp_path / "a").close()
        return
    with pytest.raises(MemoryError, match="no thread can be started"):
        LeafWriter(tmp_path / "a", ["u"], [1], hash_apart=hash_apart)


@APART
@pytest.mark.parametrize("thread", ["_writing", "_hashing"])
@pytest.mark.parametrize("late", [False, True])
def test_a_thread_that_dies_without_a_word_is_noticed(
    thread: str, late: bool, hash_apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that tells an error may itself fail."""
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)

    def prepare(file: HashedFile) -> None:
        lane = getattr(file, thread) or file._writing
        act, done = lane._act, iter(range(99))

        def act_until(block: Any) -> None:
            if next(done) >= (15 if late else 0):
                raise MemoryError
            act(block)

        lane._act = act_until
        lane._fail = raising(MemoryError())

    with pytest.raises(OSError, match="Input/output error") as caught:
        write_all(tmp_path / "a", prepare, hash_apart=hash_apart)
    assert caught.value.filename == str(tmp_path / "a")
    assert len(died) == 1


@APART
def test_the_end_is_noticed_without_memory_to_tell_it(hash_apart: bool, tmp_path: Path) -> None:
    file = HashedFile(tmp_path / "a", hash_apart=hash_apart)
    file.write(b"x" * BLOCK)
    lane = file._writing
    take = lane._things.get

    class Full:
        put = staticmethod(raising(MemoryError()))
        get = staticmethod(take)

    lane._things = Full()  # type: ignore[assignment]
    file.abandon()
    assert not lane.alive


@APART
def test_writer_that_can_not_write_its_head_leaves_no_thread(
    hash_apart: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HashedFile, "write", raising(MemoryError()))
    with pytest.raises(MemoryError):
        LeafWriter(tmp_path / "a", ["u"], [1], hash_apart=hash_apart)


@APART
def test_a_file_that_another_makes_longer_is_an_error(hash_apart: bool, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="bytes were in the file"):
        write_all(tmp_path / "a", lambda file: os.truncate(tmp_path / "a", 10**9), hash_apart=hash_apart)


@APART
def test_a_slow_disk_lets_only_so_much_wait(hash_apart: bool, tmp_path: Path) -> None:
    file = HashedFile(tmp_path / "a", hash_apart=hash_apart)
    slow = threading.Event()
    disk = Disk(file._file)
    disk.fail_at[1] = lambda: int(slow.wait(0.3)) or os.write(disk.fileno(), b"\0")
    file._file = disk  # type: ignore[assignment]
    most = 0
    for _ in range(20):
        file.write(bytes(6 * BLOCK))
        most = max(most, file._waiting)
    stamp, _ = file.close()
    assert most <= hashed_file._WAITING
    assert stamp.size == 120 * BLOCK


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.lists(st.one_of(st.integers(0, 3), st.integers(0, 3 * BLOCK), st.integers(15 * BLOCK, 18 * BLOCK)), max_size=8),
    st.booleans(),
)
def test_pieces_of_any_size_make_their_file(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], hash_apart: bool
) -> None:
    path = tmp_path_factory.mktemp("pieces") / "a"
    pieces = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    file = HashedFile(path, hash_apart=hash_apart)
    for piece in pieces:
        file.write(piece)
    stamp, state = file.close()
    data = path.read_bytes()
    path_state = FileState.of(path.stat())
    assert data == b"".join(pieces)
    assert stamp == stamp_file(path)
    assert stamp.md5 == hashlib.md5(data).hexdigest()
    assert state == path_state
    path.unlink()


def test_what_comes_just_when_the_wait_for_it_gives_up_is_done() -> None:
    """As on a busy machine: the thread sleeps between the end of its wait and the look at whether all is over."""
    done: list[int] = []
    doing = lane.Lane("lane", done.append, pytest.fail)

    class Late(queue.SimpleQueue[Any]):
        waits = 0

        def get(self, block: bool = True, timeout: float | None = None) -> Any:
            if block:
                self.waits += 1
                if self.waits == 1:
                    doing.put(7)
                    doing._ended = True
                    raise queue.Empty
            return super().get(block, timeout)

    doing._things = Late()
    doing.start()
    doing.end()
    assert done == [7]
