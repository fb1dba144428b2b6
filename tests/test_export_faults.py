"""What goes wrong around an export: targets in the way, full disks, kills, stale data, what is not installed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from fedsynth.errors import StageError
from fedsynth.pipeline.delivery import RECORD, deliver
from fedsynth.records.mark import TEXT, discard
from fedsynth.records.stamp import stamp_file
from tests.commands import contents, environment, fedsynth, generate, start
from tests.test_faults import CHAIN, Mount, fails, limit_files, resize, tmpfs  # noqa: F401

pytest.importorskip("pyarrow")

FORMATS = ("huggingface", "parquet", "arrow", "pfllib")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a split dataset and an export of each format; only to be copied."""
    cwd = tmp_path_factory.mktemp("finished")
    generate(cwd, 20, "-num-dim", 3)
    fedsynth(cwd, *CHAIN)
    for to in FORMATS:
        fedsynth(cwd, "export", "--to", to, to)
    return cwd


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    for name in ("data", "meta"):
        shutil.copytree(finished / name, tmp_path / name)
    return tmp_path


def leftovers(cwd: Path) -> list[str]:
    """What is in the private folder beside exports, but for its mark and locks."""
    found = (path for path in (cwd / ".fedsynth").rglob("*") if path.name != ".fedsynth" and path.suffix != ".lock")
    return sorted(str(path.relative_to(cwd)) for path in found)


def test_a_target_that_exists_is_kept(done: Path) -> None:
    (done / "out").mkdir()
    (done / "out/mine.txt").write_text("mine")
    assert "out: exists; add --overwrite to replace it" in fails(done, "export", "out")
    assert "out: not made by `fedsynth export`" in fails(done, "export", "out", "--overwrite")
    (done / "file").write_text("mine")
    assert "file: found a file" in fails(done, "export", "file", "--overwrite")
    (done / "link").symlink_to(done / "out")
    assert "link: a link" in fails(done, "export", "link", "--overwrite")
    assert contents(done / "out") == {"mine.txt": b"mine"}
    (done / "empty").mkdir()
    fedsynth(done, "export", "empty", "--to", "parquet")


@pytest.mark.parametrize("place", ["file/out", "file/more/out", "dangling/out"])
def test_a_target_in_what_is_no_folder_names_that(place: str, done: Path) -> None:
    (done / "file").write_text("mine")
    (done / "dangling").symlink_to("nowhere")
    message = fails(done, "export", "--to", "parquet", place)
    assert (
        f"{place.removesuffix('/out')}: a file, or in one, or a link that leads nowhere, expected a folder" in message
    )
    assert (done / "file").read_text() == "mine"


def test_a_target_whose_name_has_line_feeds_is_still_one_line(done: Path) -> None:
    said = fedsynth(done, "export", "--to", "parquet", "train", "a\n\x1b[31mb").stdout.splitlines()
    assert said[-1].startswith("export: a\\n\\x1b[31mb: parquet, 1 file")
    assert len(said) == 2


@pytest.mark.parametrize("change", ["new", "changed", "link"])
def test_overwrite_replaces_only_what_an_export_made(change: str, done: Path, finished: Path) -> None:
    fedsynth(done, "export", "out")
    if change == "new":
        (done / "out/data/notes.txt").write_text("mine")
    elif change == "changed":
        (done / "out/README.md").write_text("mine")
    else:
        (done / "elsewhere").write_bytes((done / "out/README.md").read_bytes())
        (done / "out/README.md").unlink()
        (done / "out/README.md").symlink_to(done / "elsewhere")
    before = contents(done / "out")
    message = fails(done, "export", "out", "--overwrite", "--to", "parquet")
    assert "a run deletes only what a run made" in message
    assert "notes.txt" in message or "README.md" in message
    assert contents(done / "out") == before
    shutil.rmtree(done / "out")
    fedsynth(done, "export", "out")
    fedsynth(done, "export", "out", "--overwrite", "--to", "parquet")
    assert contents(done / "out") == contents(finished / "parquet")
    assert leftovers(done) == []


def test_what_comes_into_a_folder_while_it_is_replaced_is_kept(done: Path) -> None:
    fedsynth(done, "export", "out", "--to", "parquet")
    with deliver(done / "out", overwrite=True) as delivery:
        (delivery.new / "a").write_text("new")
        (done / "out/mine.txt").write_text("mine")
        delivery.commit({"a": stamp_file(delivery.new / "a")})
    assert contents(done / "out") == {"a": b"new"}
    assert contents(done / "out.kept")["mine.txt"] == b"mine"


def test_another_run_at_the_same_folder_is_an_error(done: Path) -> None:
    with deliver(done / "out", overwrite=False):
        assert "out: another fedsynth run is writing it" in fails(done, "export", "out")
        fedsynth(done, "export", "other", "--to", "parquet")
    assert leftovers(done) == []


def test_a_damaged_record_is_nobodys(done: Path) -> None:
    fedsynth(done, "export", "out", "--to", "parquet")
    for damage in (b"", b"[]", b"{}", b'{"format": 2, "files": {}}', b'{"format": 1, "files": {"a": 3}}', b"\xff"):
        (done / "out" / RECORD).write_bytes(damage)
        assert "damaged" in fails(done, "export", "out", "--overwrite")


@pytest.mark.parametrize("to", FORMATS)
def test_files_that_grow_too_large_are_named_and_nothing_stays(to: str, done: Path, finished: Path) -> None:
    sizes = sorted(len(data) for data in contents(finished / to).values())
    for size in (1, sizes[0] - 1, sizes[-1] - 1):
        message = fails(done, "export", "--to", to, "out", preexec_fn=limit_files(size))
        assert "File too large" in message
        assert "out" in message or ".fedsynth" in message
        assert not (done / "out").exists()
        assert leftovers(done) == []
    fedsynth(done, "export", "--to", to, "out")
    assert contents(done / "out") == contents(finished / to)


@pytest.mark.parametrize("to", ["huggingface", "arrow"])
def test_a_disk_that_fills_up_keeps_what_was_there(to: str, tmpfs: Mount, finished: Path) -> None:  # noqa: F811
    disk = tmpfs("20m")
    for name in ("data", "meta"):
        shutil.copytree(finished / name, disk / name)
    fedsynth(disk, "export", "--to", "parquet", "out")
    before = contents(disk / "out")
    status = os.statvfs(disk)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize >> 10
    needed = sum(map(len, contents(finished / to).values())) >> 10
    for share in (0.05, 0.4, 0.8):
        resize(disk, f"{used + int(share * needed)}k")
        message = fails(disk, "export", "--to", to, "out", "--overwrite")
        assert "No space left on device" in message
        assert contents(disk / "out") == before
        assert leftovers(disk) == []
    resize(disk, "20m")
    fedsynth(disk, "export", "--to", to, "out", "--overwrite")
    assert contents(disk / "out") == contents(finished / to)


def test_killed_exports_leave_the_old_or_the_new_and_the_next_one_finishes(done: Path, finished: Path) -> None:
    fedsynth(done, "export", "--to", "parquet", "out")
    old, new = contents(finished / "parquet"), contents(finished / "huggingface")
    began = time.monotonic()
    fedsynth(done, "export", "other", "--to", "huggingface")
    takes = time.monotonic() - began
    for number in range(8):
        process = start(done, "export", "out", "--overwrite")
        time.sleep(takes * (0.3 + 0.1 * number))
        process.kill()
        process.communicate()
        assert not (done / "out").exists() or contents(done / "out") in (old, new)
    fedsynth(done, "export", "out", "--overwrite")
    assert contents(done / "out") == new
    assert leftovers(done) == []


def test_a_run_that_died_between_two_renamings_is_taken_back(done: Path, finished: Path) -> None:
    fedsynth(done, "export", "--to", "parquet", "out")
    work = done / ".fedsynth/out.export"
    work.mkdir()
    (done / "out").rename(work / "old")
    (work / "new").mkdir()
    (work / "new/half").write_text("half")
    assert "out: exists" in fails(done, "export", "out")
    assert contents(done / "out") == contents(finished / "parquet")
    assert leftovers(done) == []


def test_a_replaced_folder_that_was_half_deleted_never_comes_back(tmp_path: Path, monkeypatch: Any) -> None:
    """Law 2, killed while the old one is deleted, with the new one deleted by hand before the next run."""
    for text in ("old", "new"):
        monkeypatch.setattr("fedsynth.pipeline.delivery.discard", discard if text == "old" else discard_half)
        with (
            contextlib.suppress(InterruptedError),
            deliver(tmp_path / "out", overwrite=True) as delivery,
        ):
            for name in ("a", "b"):
                (delivery.new / name).write_text(text)
            delivery.commit({name: stamp_file(delivery.new / name) for name in ("a", "b")})
    monkeypatch.undo()
    assert contents(tmp_path / "out")["a"] == b"new"
    shutil.rmtree(tmp_path / "out")
    with deliver(tmp_path / "out", overwrite=False):
        pass
    assert not (tmp_path / "out").exists()
    assert leftovers(tmp_path) == []


def discard_half(path: Path) -> None:
    """Die over deleting a folder that held something."""
    if (path / "a").exists():
        (path / "a").unlink()
        raise InterruptedError


def test_what_was_to_be_replaced_is_kept_where_somebody_took_its_name(tmp_path: Path) -> None:
    out, work = tmp_path / "out", tmp_path / ".fedsynth/out.export"
    with deliver(out, overwrite=False) as delivery:
        (delivery.new / "a").write_text("made")
        delivery.commit({"a": stamp_file(delivery.new / "a")})
    (work / "new").mkdir(parents=True)
    out.rename(work / "old")
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    with pytest.raises(StageError, match="out: not made by"), deliver(out, overwrite=True):
        pass
    assert contents(out) == {"mine.txt": b"mine"}
    assert contents(tmp_path / "out.kept")["a"] == b"made"
    assert leftovers(tmp_path) == []


def test_private_folders_of_others_are_left_alone(done: Path) -> None:
    (done / ".fedsynth").mkdir()
    (done / ".fedsynth/out.export").mkdir()
    (done / ".fedsynth/out.export/new").write_text("mine")
    fedsynth(done, "export", "out", "--to", "parquet")
    assert (done / ".fedsynth/out.export/new").read_text() == "mine"
    assert (done / ".fedsynth-1/.fedsynth").read_text() == TEXT


def test_stale_folders_are_refused(done: Path) -> None:
    fedsynth(done, "generate", "-num-tasks", 20, "-num-dim", 3, "-seed", 5, "--overwrite")
    message = fails(done, "export", "out")
    assert "data/train: stale" in message
    file = next((done / "data/test").glob("*.json"))
    file.write_text(file.read_text().replace("0.", "1.", 1))
    assert "data/test: " in fails(done, "export", "test", "out")
    assert not (done / "out").exists()


def test_data_that_changes_meanwhile_is_an_error(done: Path) -> None:
    from fedsynth.pipeline.export import ExportWish, export_folders
    from fedsynth.pipeline.export_tables import Tables

    written = Tables.write

    def write(tables: Tables, delivery: object) -> object:
        found = written(tables, delivery)  # type: ignore[arg-type]
        os.utime(next((done / "data/train").glob("*.json")), (1, 1))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tables, "write", write)
        with pytest.raises(Exception, match="changed while it was read"):
            export_folders(done / "data", done / "out", ExportWish(to="parquet"))
    assert not (done / "out").exists()


def test_damaged_files_are_named(done: Path) -> None:
    file = done / "data/all_data/all_data.json"
    for name in ("meta", "data/train", "data/test"):
        shutil.rmtree(done / name)
    text = file.read_text()
    for damage in (text[:-20], text.replace("0.", "NaN,", 1), text.replace('"y": [', '"y": ["a", ', 1), "{}", ""):
        file.write_text(damage)
        assert "all_data.json" in fails(done, "export", "out")
    assert not (done / "out").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--to", "csv"), "-to is 'csv', expected one of huggingface, parquet, arrow, pfllib"),
        (("--dtype", "int8"), "--dtype is 'int8', expected one of float32, float64"),
        (("--workers", "0"), "workers is 0"),
    ],
)
def test_what_is_not_known_is_listed(options: tuple[str, ...], sentence: str, done: Path) -> None:
    from tests.test_faults import failure

    assert sentence in failure(fedsynth(done, "export", *options, "out", check=None), status=2)


@pytest.mark.parametrize("place", ["data", "data/train", "data/rem_user_data", "data/train/out", "."])
def test_the_data_is_no_target(place: str, done: Path) -> None:
    from tests.test_faults import failure

    before = contents(done)
    failure(fedsynth(done, "export", "--overwrite", place, check=None), status=2)
    assert contents(done) == before


def test_missing_folders_are_named(done: Path) -> None:
    assert "data/val: missing or empty" in fails(done, "export", "val", "out")
    shutil.rmtree(done / "data")
    assert "data/all_data: missing or empty" in fails(done, "export", "out")


def test_pyarrow_that_is_not_installed_is_named_and_pfllib_does_without(done: Path) -> None:
    (done / "hidden").mkdir()
    (done / "hidden/pyarrow.py").write_text("raise ImportError('not here')")
    without = environment()
    without["PYTHONPATH"] = f"{done / 'hidden'}{os.pathsep}{without['PYTHONPATH']}"
    message = fails(done, "export", "out", env=without)
    assert "pyarrow is not installed" in message
    assert "run `pip install '.[arrow]'` where fedsynth was cloned, or `pip install 'pyarrow >= 16.1'`" in message
    assert not (done / "out").exists()
    fedsynth(done, "export", "--to", "pfllib", "out", env=without)
    assert json.loads((done / "out/config.json").read_text())["num_classes"] == 5


def test_a_file_that_changes_before_the_commit_is_an_error(tmp_path: Path) -> None:
    with (
        pytest.raises(StageError, match="changed since this run wrote it"),
        deliver(tmp_path / "out", overwrite=False) as delivery,
    ):
        (delivery.new / "a").write_text("new")
        stamp = stamp_file(delivery.new / "a")
        (delivery.new / "a").write_text("newer")
        delivery.commit({"a": stamp})
    assert not (tmp_path / "out").exists()
