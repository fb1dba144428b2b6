"""A stage reads the very file that was indexed and hashed, or says that it changed; a copy is whole."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedsynth import system
from fedsynth.errors import DataError
from fedsynth.leaf import reader
from fedsynth.leaf.carry import CopyJob, carry_out
from fedsynth.leaf.offsets import LeafIndex
from fedsynth.leaf.plan import FilePlan, PooledUsers
from fedsynth.leaf.reader import IndexJob, SampleReader, index_file, read_index
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.stamp import FileStamp, stamp_file
from tests.conftest import WriteLeaf

USERS = {"a": ([1, 2], [0, 1]), "b": ([3, 4], [1, 1])}
CHANGED = "all_data.json: changed while it was read; run the same command again"


@pytest.fixture
def source(write_leaf: WriteLeaf) -> Path:
    return write_leaf(USERS)


def replace_file(path: Path) -> None:
    """Another file of the same size comes to this name: same users, other values."""
    other = path.with_name("other")
    other.write_text(path.read_text().replace("[1, 2]", "[7, 8]").replace("[3, 4]", "[5, 6]"))
    status = path.stat()
    assert other.stat().st_size == status.st_size
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def write_in_place(path: Path) -> None:
    text = path.read_text()
    path.write_text(text.replace("[3, 4]", "[5, 6]"))
    os.utime(path, ns=(1, 1))


CHANGES = pytest.mark.parametrize("change", [replace_file, write_in_place, os.unlink], ids=lambda f: f.__name__)


def whole(index: LeafIndex) -> FilePlan:
    return FilePlan.of_whole_users(index.counts, range(len(index.counts.users)))


def masked(index: LeafIndex) -> FilePlan:
    return FilePlan.of_masks(index.counts, [True, True], b"\1\0\1\0", [1, 1])


def pooled(index: LeafIndex) -> FilePlan:
    sizes = array("q", [2, 1])
    return FilePlan(sizes, PooledUsers(array("q", [0, 2, 3]), sizes), first_name=0)


PLANS = pytest.mark.parametrize("plan", [whole, masked, pooled], ids=lambda f: f.__name__)


def job(index: LeafIndex, plan: Callable[[LeafIndex], FilePlan], target: Path) -> CopyJob:
    return CopyJob(index, {target: plan(index)}, "0" * 32)


@CHANGES
@PLANS
@pytest.mark.parametrize("samples", [False, True])
def test_a_file_that_changed_since_it_was_indexed_is_an_error(
    samples: bool, plan: Any, change: Any, source: Path, tmp_path: Path
) -> None:
    index = read_index(source, samples=samples)
    change(source)
    with pytest.raises(DataError, match=r"all_data\.json: (changed while|is gone|not there)"):
        carry_out(job(index, plan, tmp_path / "out.json"))


@pytest.mark.parametrize("change", [replace_file, write_in_place], ids=lambda f: f.__name__)
@pytest.mark.parametrize("plan", [whole, masked], ids=lambda f: f.__name__)
def test_a_change_in_the_middle_is_noticed_or_makes_no_difference(
    plan: Any, change: Any, source: Path, tmp_path: Path
) -> None:
    """A file that is replaced stays the one that is read."""
    index = read_index(source)
    expected = carry_out(job(index, plan, tmp_path / "expected.json"))[tmp_path / "expected.json"][0].md5
    users = iter(range(9))

    def progress(done: int) -> None:
        if next(users) == 0:
            change(source)

    if change is write_in_place:
        with pytest.raises(DataError, match=CHANGED):
            carry_out(job(index, plan, tmp_path / "out.json"), progress)
    else:
        found = carry_out(job(index, plan, tmp_path / "out.json"), progress)
        assert found[tmp_path / "out.json"][0].md5 == expected
        assert stamp_file(tmp_path / "out.json").md5 == expected


@pytest.mark.parametrize("md5", [None, "known"])
def test_index_and_stamp_are_of_one_file(md5: str | None, source: Path) -> None:
    data, status = source.read_bytes(), source.stat()
    users = iter(range(9))

    def progress(done: int) -> None:
        if next(users) == 0:
            replace_file(source)

    index, stamp = index_file(IndexJob(source, md5, samples=False), progress)
    assert stamp == FileStamp(len(data), status.st_mtime_ns, md5 or hashlib.md5(data).hexdigest())
    assert index.state is not None
    assert index.state.inode == status.st_ino
    with pytest.raises(DataError, match=CHANGED):
        SampleReader(index)


@pytest.mark.parametrize("md5", [None, "known"])
@pytest.mark.parametrize("text", [None, "damage"])
def test_a_file_written_to_while_it_is_indexed_is_an_error(text: str | None, md5: str | None, source: Path) -> None:
    def progress(done: int) -> None:
        write_in_place(source)
        if text is not None:
            source.write_text(text)

    with pytest.raises(DataError, match=CHANGED):
        index_file(IndexJob(source, md5, samples=False), progress)


def test_a_file_is_read_once_for_index_and_sum(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []

    def counted(path: Path) -> Any:
        opened.append(path)
        return open_unchanged(path)

    open_unchanged = reader.open_unchanged
    monkeypatch.setattr(reader, "open_unchanged", counted)
    _, stamp = index_file(IndexJob(source, None, samples=False))
    assert stamp == stamp_file(source)
    assert opened == [source]


def test_an_index_of_what_was_written_fits_the_file_moved_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    path.parent.mkdir()
    with LeafWriter(path, ["a"], [1]) as writer:
        writer.write_user(b'{"x": [1], "y": [2]}')
        stamp, index = writer.finish()
    assert stamp == stamp_file(path)
    moved = path.parent.rename(tmp_path / "moved") / "a.json"
    with SampleReader(replace(index, path=moved)) as opened:
        assert opened.text(0) == b'{"x": [1], "y": [2]}'


@pytest.fixture
def exact(tmp_path: Path) -> tuple[LeafIndex, str]:
    """A file that fedsynth wrote, whose copies are plain copies."""
    with LeafWriter(tmp_path / "all_data.json", ["a", "b"], [2, 2]) as writer:
        for x, y in USERS.values():
            writer.write_user(json.dumps({"x": x, "y": y}).encode())
        stamp, index = writer.finish()
    return index, stamp.md5


def test_a_copy_is_stamped_as_what_it_is(exact: tuple[LeafIndex, str], tmp_path: Path) -> None:
    target = tmp_path / "out.json"
    stamp, index = carry_out(CopyJob(exact[0], {target: whole(exact[0])}, exact[1]))[target]
    assert stamp == stamp_file(target)
    with SampleReader(index) as opened:
        assert opened.text(1) == b'{"x": [3, 4], "y": [1, 1]}'


@pytest.mark.parametrize("change", [replace_file, write_in_place, os.unlink], ids=lambda f: f.__name__)
@pytest.mark.parametrize("late", [False, True])
def test_a_copy_of_a_file_that_changes_is_an_error(
    late: bool, change: Any, exact: tuple[LeafIndex, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile

    def changing(source: Path, target: Path) -> None:
        if late:
            copyfile(source, target)
        change(source)
        if not late and source.exists():
            copyfile(source, target)
        elif not late:
            raise FileNotFoundError(errno.ENOENT, "gone", str(source))

    monkeypatch.setattr(system.shutil, "copyfile", changing)
    target = tmp_path / "out.json"
    with pytest.raises((DataError, FileNotFoundError), match=r"changed while it was read|is gone|gone"):
        carry_out(CopyJob(exact[0], {target: whole(exact[0])}, exact[1]))


def test_a_copy_that_is_cut_off_is_an_error(
    exact: tuple[LeafIndex, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system.shutil, "copyfile", lambda source, target: target.write_bytes(b'{"users": ['))
    target = tmp_path / "out.json"
    with pytest.raises(OSError, match="bytes were copied") as caught:
        carry_out(CopyJob(exact[0], {target: whole(exact[0])}, exact[1]))
    assert caught.value.filename == str(target)
