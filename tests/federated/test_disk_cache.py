"""Arrays kept on disk."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth.errors import StageError
from fedsynth.federated import LeafDataset
from tests.commands import ROOT, appeared, environment
from tests.conftest import WriteLeaf

USERS = {"b": ([[1, 2.5], [3, 4]], [0, 1]), "a": ([[5.0, 6.0]], [2])}


def cached(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / ".arrays").iterdir() if path.name != ".fedsynth")


def test_the_cache_is_used_again_and_follows_the_file(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    first = LeafDataset(file, cache=True)["b"]
    assert not first.features.flags.writeable
    [made] = cached(file.parent)
    stamp = made.stat().st_mtime_ns
    LeafDataset(file, cache=True)["b"]
    assert [path.stat().st_mtime_ns for path in cached(file.parent)] == [stamp]
    write_leaf({"b": ([[7, 7], [8, 8]], [1, 1]), "a": ([[0, 0]], [0])})
    assert LeafDataset(file, cache=True)["b"].features.tolist() == [[7, 7], [8, 8]]
    [after] = cached(file.parent)
    assert after != made
    assert [path.name for path in file.parent.glob("*") if not path.name.startswith(".")] == [file.name]


def test_a_damaged_cache_is_made_again(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    LeafDataset(file, cache=True)["b"]
    [made] = cached(file.parent)
    for name, size in itertools.product(("x.npy", "y.npy", "offsets.npy"), (-3, 20, 0)):
        (made / name).write_bytes((made / name).read_bytes()[:size])
        assert LeafDataset(file, cache=True)["b"].features.tolist() == [[1.0, 2.5], [3.0, 4.0]]


def test_caches_of_other_dtypes_do_not_mix(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    for dtype in ("float32", "float64", "float32"):
        assert LeafDataset(file, dtype=dtype, cache=True)["b"].features.dtype == dtype


def test_byte_orders_do_not_mix(write_leaf: WriteLeaf) -> None:
    file = write_leaf(USERS)
    for dtype in (">f8", "<f8", ">f8"):
        features = LeafDataset(file, dtype=dtype, cache=True)["b"].features
        assert features.dtype.str == dtype
        assert features.tolist() == [[1.0, 2.5], [3.0, 4.0]]


def empty(made: Path) -> None:
    np.save(made / "offsets.npy", np.array([], int))


def scalar(made: Path) -> None:
    np.save(made / "offsets.npy", np.array(3))


def other_offsets(made: Path) -> None:
    np.save(made / "offsets.npy", np.array([0, 1, 3]))


def other_type(made: Path) -> None:
    np.save(made / "x.npy", np.zeros((3, 2), "i2"))


def zipped(made: Path) -> None:
    np.savez(made / "x.npz", a=1)
    (made / "x.npz").rename(made / "x.npy")


def broken_header(made: Path) -> None:
    text = (made / "x.npy").read_bytes()
    (made / "x.npy").write_bytes(text[:12] + b"{'desc((" + text[20:])


def missing(made: Path) -> None:
    (made / "y.npy").unlink()


def a_file(made: Path) -> None:
    shutil.rmtree(made)
    made.write_text("x")


def a_folder(made: Path) -> None:
    (made / "y.npy").unlink()
    (made / "y.npy").mkdir()


@pytest.mark.parametrize(
    "damage", [empty, scalar, other_offsets, other_type, zipped, broken_header, missing, a_file, a_folder]
)
def test_whatever_the_damage_the_cache_is_made_again(write_leaf: WriteLeaf, damage: Callable[[Path], None]) -> None:
    file = write_leaf(USERS)
    LeafDataset(file, cache=True)["b"]
    [made] = cached(file.parent)
    damage(made)
    user = LeafDataset(file, cache=True)["b"]
    assert (user.features.tolist(), user.labels.tolist()) == ([[1.0, 2.5], [3.0, 4.0]], [0, 1])
    assert not user.features.flags.writeable
    assert cached(file.parent) == [made]
    stamp = (made / "x.npy").stat().st_mtime_ns
    LeafDataset(file, cache=True)["b"]
    assert (made / "x.npy").stat().st_mtime_ns == stamp


def test_a_folder_that_cannot_be_written_is_an_error(write_leaf: WriteLeaf, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("x")
    for folder in (taken, taken / "below"):
        with pytest.raises(StageError, match=r"taken.*can't be made or read .*, expected a folder to write to"):
            LeafDataset(write_leaf(USERS), cache=folder)["b"]
    assert taken.read_text() == "x"


def test_a_move_that_fails_is_an_error(write_leaf: WriteLeaf, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(StageError, match="No space left on device"):
        LeafDataset(write_leaf(USERS), cache=True)["b"]


def test_what_a_killed_run_left_goes_after_an_hour(write_leaf: WriteLeaf) -> None:
    file = write_leaf({str(user): ([[0.5] * 50] * 20, [1] * 20) for user in range(2000)})
    script = f"from fedsynth.federated import LeafDataset; LeafDataset({str(file)!r}, cache=True)['0']"
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=environment())
    while not appeared(file.parent, ".arrays/.new-*/*/x.npy") and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.wait()
    [left] = cached(file.parent)
    LeafDataset(file, cache=True)["0"]
    assert left in cached(file.parent), "it may still be at work"
    for path in (left, *left.rglob("*")):
        os.utime(path, (0, 0))
    file.write_text(file.read_text() + " ")
    load_in_a_process(file, True, "0")
    [made] = cached(file.parent)
    assert not made.name.startswith(".new-")


def replaced(write_leaf: WriteLeaf, *, same: str) -> LeafDataset:
    """Put other contents of the same size and time into a cached file: into the file itself, or by renaming."""
    file = write_leaf(USERS)
    LeafDataset(file, cache=True)["b"]
    status = file.stat()
    text = file.read_text().replace("2.5", "9.5")
    if same == "inode":
        file.write_text(text)
    else:
        (file.parent / "new").write_text(text)
        (file.parent / "new").rename(file)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    return LeafDataset(file, cache=True)


@pytest.mark.parametrize("same", ["inode", "nothing"])
def test_other_contents_of_the_same_size_and_time_are_never_served(write_leaf: WriteLeaf, same: str) -> None:
    assert replaced(write_leaf, same=same)["b"].features.tolist() == [[1.0, 9.5], [3.0, 4.0]]


def test_a_moved_folder_keeps_its_cache(write_leaf: WriteLeaf, tmp_path: Path) -> None:
    file = write_leaf(USERS)
    LeafDataset(file, cache=True)["b"]
    [made] = cached(file.parent)
    stamp = (made / "x.npy").stat().st_mtime_ns
    moved = file.parent.rename(tmp_path / "moved")
    LeafDataset(moved, cache=True)["b"]
    assert [path.name for path in cached(moved)] == [made.name]
    assert (moved / ".arrays" / made.name / "x.npy").stat().st_mtime_ns == stamp


def load_in_a_process(file: Path, cache: bool | Path, user: str) -> None:
    """What is left from before is looked for once in a process."""
    folder = cache if isinstance(cache, bool) else str(cache)
    script = f"from fedsynth.federated import LeafDataset; LeafDataset({str(file)!r}, cache={folder!r})[{user!r}]"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment(), check=True)


@pytest.mark.parametrize("beside", [True, False])
def test_caches_of_files_that_are_gone_go_too(write_leaf: WriteLeaf, tmp_path: Path, beside: bool) -> None:
    first = write_leaf(USERS, "data/all_data/d_0.json")
    second = write_leaf({"z": ([[1, 2]], [1])}, "data/all_data/d_1.json")
    cache: bool | Path = beside or tmp_path / "caches"
    folder = first.parent / ".arrays" if beside else tmp_path / "caches"
    for file in (first, second):
        LeafDataset(file, cache=cache)[next(iter(LeafDataset(file)))]
    assert len(list(folder.glob("*-*"))) == 2
    first.unlink()
    os.utime(second)
    load_in_a_process(second, cache, "z")
    assert len(list(folder.glob("*-*"))) == 1


def test_the_folder_is_marked_only_if_it_was_made_here(write_leaf: WriteLeaf, tmp_path: Path) -> None:
    file = write_leaf(USERS)
    LeafDataset(file, cache=True)["b"]
    mark = file.parent / ".arrays/.fedsynth"
    assert mark.read_bytes() == b"This folder was made by fedsynth, which may delete it and all that is in it.\n"
    own = tmp_path / "own"
    own.mkdir()
    LeafDataset(file, cache=own)["b"]
    assert not (own / ".fedsynth").exists()


def test_what_the_cache_did_not_make_stays(write_leaf: WriteLeaf, tmp_path: Path) -> None:
    file = write_leaf(USERS)
    LeafDataset(file, cache=True)["b"]
    [made] = cached(file.parent)
    target = tmp_path / "target"
    target.mkdir()
    (target / "x.npy").write_text("mine")
    folder = file.parent / ".arrays"
    mine = [folder / "notes.txt", folder / ".new-notes/a.txt", made / "mine.txt", target / "x.npy"]
    (folder / f"{'0' * 16}-1-2-3-4-f8-i8").symlink_to(target)
    (folder / ".new-link").symlink_to(target)
    (folder / ".new-notes").mkdir()
    for path in mine[:3]:
        path.write_text("mine")
    for path in (folder / ".new-notes", *(folder / ".new-notes").iterdir()):
        os.utime(path, (0, 0))
    os.utime(file)
    load_in_a_process(file, True, "b")
    assert [path.read_text() for path in mine] == ["mine"] * 4
    assert sorted(path.name for path in made.iterdir()) == ["mine.txt"]
    assert [path.name for path in target.iterdir()] == ["x.npy"]
