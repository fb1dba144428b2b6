"""Laws of the pipeline, with random cases and real processes: what a run may delete, when, and what it may believe."""

from __future__ import annotations

import copy
import cProfile
import errno
import io
import json
import os
import pstats
import random
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fedsynth import LeafDataset
from fedsynth.errors import FedsynthError, StageError
from fedsynth.pipeline.options import remove_stage
from fedsynth.pipeline.preprocess import clean, preprocess
from fedsynth.pipeline.stats import measure, summarize_folder
from fedsynth.pipeline.workspace import open_workspace
from fedsynth.records.mark import TEXT, make_private
from fedsynth.records.origin import find_origin
from fedsynth.version import __version__
from tests.commands import contents, fedsynth, generate, leftovers

SMALL = ("generate", "-num-tasks", 12, "-num-dim", 2)
CHAIN = ("preprocess", "-s", "niid", "--sf", 1.0, "-k", 5, "-t", "sample", "--smplseed", 1, "--spltseed", 2)
OTHER = ("preprocess", "-s", "--sf", 0.8, "-k", 6, "-t", "user", "--smplseed", 3, "--spltseed", 4)
STAGES = ("sampled_data", "rem_user_data", "train", "test")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder where everything has run; only to be copied."""
    cwd = tmp_path_factory.mktemp("finished")
    fedsynth(cwd, *SMALL)
    fedsynth(cwd, *CHAIN)
    return cwd


@pytest.fixture
def done(finished: Path, tmp_path: Path) -> Path:
    return copied(finished, tmp_path / "done")


def copied(source: Path, target: Path) -> Path:
    for name in ("data", "meta"):
        shutil.copytree(source / name, target / name)
    return target


# L1: a run deletes only what a run made

WORDS = ("archive", "x", "split", "generate", "train", "all_data", "making", "committed", "trash", "synthetic_hist.png")
ENDINGS = ("", ".old", ".partial", ".ready", ".new", ".kept", ".pool", ".json", ".json.new", "-1", ".lock")
FOLDERS = (
    "data",
    "data/train",
    "data/val",
    "data/sampled_data",
    "data/all_data/deep",
    "meta",
    "data/.fedsynth-1",
    "data/.arrays",
)
COMMANDS = (
    SMALL,
    (*SMALL, "-seed", 5, "--overwrite"),
    CHAIN,
    (*OTHER, "--overwrite"),
    ("split", "-t", "user", "--overwrite"),
    ("split", "-t", "sample", "--tf", 0.7, "--vf", 0.2, "--new-users", 0.2, "--overwrite"),
    ("clean",),
    ("stats",),
    ("stats", "train"),
    ("preprocess", "--overwrite"),
)


def plant(rng: random.Random, cwd: Path, canary: Path) -> dict[str, str]:
    """Put files, folders and links of a user's into a data folder, with names like those of passing files.

    Return each file's text by what identifies it, which is the text itself.
    """
    planted = {}
    for number in range(rng.randint(3, 12)):
        hidden = rng.choice(("", ".", "."))
        place = cwd / rng.choice(FOLDERS) / f"{hidden}{rng.choice(WORDS)}{rng.choice(ENDINGS)}"
        if os.path.lexists(place) or not all(parent.is_dir() or not parent.exists() for parent in place.parents):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        kind = rng.choice(("file", "folder", "link"))
        text = f"mine {number}"
        if kind == "link":
            place.symlink_to(canary)
            continue
        if kind == "folder":
            place.mkdir()
            place = place / rng.choice(("notes.txt", ".fedsynth.txt", "record.json", "change.json"))
        if place.suffix == ".json" and place.parent.name in ("train", "val", "sampled_data"):
            continue  # would make the stage unreadable, which is another law's matter
        place.write_text(text)
        planted[text] = str(place.relative_to(cwd))
    return planted


def texts(cwd: Path) -> set[str]:
    """The contents of all small files below a folder, hidden ones too."""
    files = (path for path in cwd.rglob("*") if path.is_file() and not path.is_symlink() and path.stat().st_size < 99)
    return {path.read_text(errors="replace") for path in files}


@pytest.mark.parametrize("seed", range(12))
def test_whatever_runs_nothing_that_a_user_put_there_is_lost(seed: int, finished: Path, tmp_path: Path) -> None:
    rng = random.Random(seed)
    cwd = copied(finished, tmp_path / "work")
    canary = tmp_path / "canary.txt"
    canary.write_text("do not touch")
    planted = plant(rng, cwd, canary)
    for _ in range(4):
        command = rng.choice(COMMANDS)
        result = fedsynth(cwd, *command, check=None)
        assert result.returncode in (0, 1, 2), (command, result.stderr)
        assert "Traceback" not in result.stderr
        lost = {place for text, place in planted.items() if text not in texts(cwd)}
        assert not lost, (command, planted)
        assert canary.read_text() == "do not touch", command
        planted |= plant(rng, cwd, canary)


def test_own_folder_of_a_run_like_name_is_no_error(done: Path) -> None:
    """R1, word for word."""
    for place in ("data/.archive.old/notes.txt", "data/.x.ready/notes.txt", "data/.split.partial/notes.txt"):
        (done / place).parent.mkdir()
        (done / place).write_text("mine")
    (done / "data/.x.old").write_text("mine")
    for command in (("clean",), ("clean",), CHAIN, ("stats",), (*CHAIN, "--overwrite")):
        fedsynth(done, *command)
    assert sum(path.read_text() == "mine" for path in (done / "data").rglob(".*/notes.txt")) == 3
    assert (done / "data/.x.old").read_text() == "mine"


def test_private_folder_without_the_mark_is_somebody_elses(tmp_path: Path) -> None:
    (tmp_path / "data/.fedsynth/making").mkdir(parents=True)
    (tmp_path / "data/.fedsynth/making/notes.txt").write_text("mine")
    (tmp_path / "data/.fedsynth-1").symlink_to(tmp_path)
    fedsynth(tmp_path, *SMALL)
    fedsynth(tmp_path, *CHAIN)
    assert (tmp_path / "data/.fedsynth/making/notes.txt").read_text() == "mine"
    assert (tmp_path / "data/.fedsynth-2/.fedsynth").read_text() == TEXT


def test_processes_that_start_together_share_one_private_folder(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for turn in range(50):
        parent = tmp_path / str(turn)
        parent.mkdir()
        with ThreadPoolExecutor(4) as threads:
            assert set(threads.map(make_private, [parent] * 8)) == {parent / ".fedsynth"}


def test_private_folder_is_found_when_one_of_a_lower_number_is_gone(tmp_path: Path) -> None:
    """A change that waits in it to be moved would be forgotten, and two runs could hold two locks."""
    (tmp_path / "data/.fedsynth").mkdir(parents=True)
    (tmp_path / "data/.fedsynth/notes.txt").write_text("mine")
    generate(tmp_path, 5)
    shutil.rmtree(tmp_path / "data/.fedsynth")
    (tmp_path / "data/.fedsynth-1/committed").mkdir()
    with pytest.raises(StageError, match="just being moved into it"):
        LeafDataset(tmp_path / "data/all_data")
    fedsynth(tmp_path, *SMALL, check=1)
    assert not (tmp_path / "data/.fedsynth").exists()


def test_unfinished_mark_is_finished_before_anything_is_put_beside_it(tmp_path: Path) -> None:
    for text in ("", TEXT[:20]):
        for private in (tmp_path / "data/.fedsynth", tmp_path / "meta/.fedsynth"):
            shutil.rmtree(private, ignore_errors=True)
            private.mkdir(parents=True)
            (private / ".fedsynth").write_text(text)
        fedsynth(tmp_path, *SMALL)
        assert (tmp_path / "data/.fedsynth/.fedsynth").read_text() == TEXT
        assert (tmp_path / "meta/.fedsynth/.fedsynth").read_text() == TEXT
        shutil.rmtree(tmp_path / "meta")
        shutil.rmtree(tmp_path / "data")


@pytest.mark.parametrize("text", ["", TEXT[:20]])
def test_empty_file_of_the_marks_name_marks_nothing_that_holds_files(tmp_path: Path, text: str) -> None:
    generate(tmp_path, 5)
    for place in ("data", "meta"):
        shutil.rmtree(tmp_path / place / ".fedsynth")
        (tmp_path / place / ".fedsynth/making").mkdir(parents=True)
        (tmp_path / place / ".fedsynth/.fedsynth").write_text(text)
        (tmp_path / place / ".fedsynth/making/thesis").write_text("mine")
    fedsynth(tmp_path, *SMALL, "--overwrite")
    for place in ("data", "meta"):
        assert (tmp_path / place / ".fedsynth/making/thesis").read_text() == "mine"


def test_what_is_kept_is_told(done: Path) -> None:
    (done / "data/train/notes.txt").write_text("mine")
    message = fedsynth(done, "clean").stderr
    assert "train.kept: holds what stood in a folder that was replaced" in message
    assert contents(done / "data/train.kept") == {"notes.txt": b"mine"}
    (done / "data/all_data/all_data.json").write_text("{}")  # changed since: no run made this
    message = fedsynth(done, *SMALL, "--overwrite").stderr
    assert "all_data.kept" in message
    assert contents(done / "data/all_data.kept") == {"all_data.json": b"{}"}
    assert leftovers(done) == []


def test_what_nfs_leaves_of_open_files_is_no_error(done: Path) -> None:
    """R32: such files can't be deleted, and vanish when they are closed."""
    name = ".nfs00000000007a1e2b00000001"
    (done / "data/train" / name).write_text("deleted, but open")
    fedsynth(done, "clean")
    fedsynth(done, *CHAIN)
    assert not (done / "data/train.kept").exists()


def test_names_with_digits_that_are_no_numbers(done: Path) -> None:
    """R31."""
    (done / "data/all_data/all_data.json").rename(done / "data/all_data/\u00b21.json")
    (done / "meta/manifest.json").unlink()
    fedsynth(done, "clean")
    fedsynth(done, "preprocess", "-k", 5)
    assert list(contents(done / "data/rem_user_data")) == ["\u00b21_keep_5.json"]


def test_caches_go_with_their_folder_only_when_marked(done: Path) -> None:
    for name, mark in ((".arrays", True), (".mine", False)):
        (done / "data/train" / name).mkdir()
        (done / "data/train" / name / "x.npy").write_text(name)
        if mark:
            (done / "data/train" / name / ".fedsynth").write_text(TEXT)
    fedsynth(done, "clean")
    assert [path.name for path in (done / "data/train.kept").iterdir()] == [".mine"]


@pytest.mark.parametrize("name", ["manifest.json.new", "manifest.json", "dir-checksum.md5", "truth.npz"])
def test_links_among_the_records_are_never_written_through(name: str, done: Path, tmp_path: Path) -> None:
    """R20: a downloaded folder may hold any."""
    target = tmp_path / "precious.txt"
    target.write_text("do not touch")
    for parent in ("meta", "meta/.fedsynth", "data", "data/.fedsynth"):
        for link in (f".{name}", f"{name}.new", f".{name}.new", name):
            if not os.path.lexists(done / parent / link):
                (done / parent / link).symlink_to(target)
    for command in ((*SMALL, "-seed", 3, "--overwrite"), (*CHAIN, "--overwrite"), ("clean",)):
        fedsynth(done, *command, check=None)
    assert target.read_text() == "do not touch"


# L2: what is there stays until what replaces it is there


def break_nothing(cwd: Path) -> None:
    """The command itself can't succeed."""


def remove_all_data(cwd: Path) -> None:
    shutil.rmtree(cwd / "data/all_data")


def damage_all_data(cwd: Path) -> None:
    file = cwd / "data/all_data/all_data.json"
    file.write_bytes(file.read_bytes()[:-40])


FAILURES: dict[str, tuple[Callable[[Path], None], tuple[object, ...]]] = {
    "all_data is gone": (remove_all_data, ("preprocess", "-t", "user", "--overwrite")),
    "all_data is damaged": (damage_all_data, (*OTHER, "--overwrite")),
    "nobody is left": (break_nothing, ("preprocess", "-s", "-k", 50000, "-t", "--overwrite")),
    "no stage": (break_nothing, ("preprocess", "--overwrite")),
    "last stage fails": (break_nothing, ("preprocess", "-s", "-t", "user", "--tf", 0.01, "--overwrite")),
    "no samples": (break_nothing, ("sample", "--sf", 0.00001, "--overwrite")),
    "wrong option": (break_nothing, ("preprocess", "-s", "iid", "--sf", 3, "--overwrite")),
}


@pytest.mark.parametrize("name", FAILURES)
def test_overwriting_that_fails_leaves_the_old_as_it_was(name: str, done: Path) -> None:
    damage, command = FAILURES[name]
    damage(done)
    before = contents(done)
    result = fedsynth(done, *command, check=None)
    assert result.returncode in (1, 2), result.stdout
    assert len(result.stderr.splitlines()) == 1
    assert contents(done) == before
    assert leftovers(done) == []


@pytest.mark.parametrize("size", [200, 1500, 4000, 8000, 20_000])
def test_overwriting_on_a_full_disk_leaves_old_or_new(size: int, done: Path, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    before = contents(done / "data")
    command = (*CHAIN[:-1], 7, "--overwrite")
    whole = copied(done, tmp_path / "whole")
    fedsynth(whole, *command)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))  # noqa: E731
    fedsynth(done, *command, check=None, preexec_fn=limit)
    fedsynth(done, "stats", "train", "--no-measures")
    found = {name: data for name, data in contents(done / "data").items() if not name.endswith(".png")}
    assert found in (before, contents(whole / "data"))


def test_split_side_that_can_not_be_replaced_is_noticed_before_anything_is(done: Path) -> None:
    """R30: the disk of a linked folder is not mounted."""
    shutil.rmtree(done / "data/train")
    (done / "data/train").symlink_to("/nowhere/at/all")
    before = contents(done)
    for command in (("split", "--overwrite"), ("preprocess", "-t", "user", "--overwrite"), ("clean",)):
        assert "a link that leads nowhere" in fedsynth(done, *command, check=1).stderr
        assert contents(done) == before
    (done / "data/train").unlink()
    fedsynth(done, "split", "--overwrite")


def test_intermediate_folders_that_were_deleted_come_back_as_they_were(tmp_path: Path) -> None:
    """Drawn anew, what is in train would be stale, which was not: without a seed given, too."""
    generate(tmp_path)
    command = ("preprocess", "-s", "niid", "--sf", 0.8, "-k", 5, "-t", "sample")
    fedsynth(tmp_path, *command)
    before = contents(tmp_path)
    for gone in (["sampled_data", "rem_user_data"], ["sampled_data"], ["rem_user_data"]):
        for name in gone:
            shutil.rmtree(tmp_path / "data" / name)
        fedsynth(tmp_path, *command)
        after = contents(tmp_path)
        assert {name: after[name] for name in after if name.startswith("data/")} == {
            name: before[name] for name in before if name.startswith("data/")
        }
        LeafDataset(tmp_path / "data/train")


@pytest.mark.parametrize("name", ["truth.npz", "manifest.json"])
def test_folder_where_a_record_goes_is_found_before_anything_is_moved(done: Path, name: str) -> None:
    place = done / "meta" / name
    place.unlink()
    place.mkdir()
    before = contents(done)
    for _ in range(2):
        message = fedsynth(done, *SMALL, "-seed", 5, "--overwrite", check=1).stderr
        assert str(place) in message
    assert contents(done) == before
    place.rmdir()
    fedsynth(done, *SMALL, "-seed", 5, "--overwrite")


def test_commit_of_which_nothing_can_be_moved_never_happened(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a folder of somebody else's in a sticky data folder, or one that is immutable."""
    before = contents(done)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.parent == done / "data":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(self))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    for run in (
        lambda: clean(done / "data"),
        lambda: preprocess(done / "data", [remove_stage(3)], overwrite=["rem_user_data", "train", "test"]),
    ):
        with pytest.raises(PermissionError):
            run()
        assert contents(done) == before
        assert len(LeafDataset(done / "data/train")) > 0


# L4: data is described only as what it is; other laws of the kind are in tests/truth


def test_two_data_folders_with_one_parent_share_nothing(tmp_path: Path) -> None:
    """R25."""
    fedsynth(tmp_path, *SMALL)
    truth = (tmp_path / "meta/truth.npz").read_bytes()
    fedsynth(tmp_path, *SMALL, "-seed", 5, "-data-dir", "data2")
    fedsynth(tmp_path, *CHAIN, "--data-dir", "data2")
    assert (tmp_path / "meta/truth.npz").read_bytes() == truth
    assert sorted(contents(tmp_path / "meta/data2")) == [
        "dir-checksum.md5",
        "manifest.json",
        "sampling_seed.txt",
        "split_seed.txt",
        "truth.npz",
    ]
    for folder in ("data/all_data", "data2/all_data", "data2/train"):
        assert measure(tmp_path / folder)["concept.oracle_accuracy"] > 0.9


def test_clean_forgets_every_stage(done: Path) -> None:
    """R6: own files put where a stage's were are taken then."""
    fedsynth(done, "clean")
    assert list(json.loads((done / "meta/manifest.json").read_text())["stages"]) == ["generate"]
    (done / "data/sampled_data").mkdir()
    shutil.copy(done / "data/all_data/all_data.json", done / "data/sampled_data/mine.json")
    fedsynth(done, "preprocess", "-k", 5)
    assert (done / "data/rem_user_data/mine_keep_5.json").exists()


def test_records_are_found_from_wherever_a_folder_is_named(done: Path) -> None:
    """R8."""
    before = contents(done / "meta")
    fedsynth(done / "data/all_data", *SMALL, "-data-dir", "..")
    assert contents(done / "meta") == before
    assert not (done / "data/meta").exists()
    assert not (done / "data/all_data/meta").exists()
    (done / "link").symlink_to(done / "data")
    here = Path.cwd()
    try:
        os.chdir(done / "data/train")
        for name in (".", "../train", str(done / "link/train"), str(done / "data/../data/train/.")):
            dataset = LeafDataset(name)
            assert dataset.true_model(dataset.user_ids[0]).shape == (3, 5)
            assert "concept.oracle_accuracy" in measure(name)
    finally:
        os.chdir(here)


def test_linked_folders_are_summed_and_verified(done: Path) -> None:
    """R25: damage behind a link is damage."""
    (done / "data/train").rename(done / "elsewhere")
    (done / "data/train").symlink_to(done / "elsewhere")
    (done / "data/all_data/loop").symlink_to(done / "data")
    assert "5 files match" in fedsynth(done, "verify", "meta/dir-checksum.md5").stdout
    file = next((done / "elsewhere").iterdir())
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))
    assert "changed: train/" in fedsynth(done, "verify", "meta/dir-checksum.md5", check=1).stdout


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\r", "\u2028", "x\x1b[31m", os.fsdecode(b"\xff\xfe"), "y" * 200])
def test_odd_names_are_summed_as_md5sum_does(name: str, done: Path) -> None:
    """R10."""
    (done / "data/all_data/all_data.json").rename(done / f"data/all_data/{name}.json")
    fedsynth(done, "clean")
    (done / "meta/manifest.json").unlink()
    fedsynth(done, "preprocess", "-k", 5)
    subprocess.run(["md5sum", "-c", "--quiet", "meta/dir-checksum.md5"], cwd=done, check=True)
    assert "2 files match" in fedsynth(done, "verify", "meta/dir-checksum.md5").stdout
    fedsynth(done, "preprocess", "-k", 5)
    LeafDataset(done / "data/rem_user_data")
    (done / f"data/all_data/{name}.json").unlink()
    out = fedsynth(done, "verify", "meta/dir-checksum.md5", check=1).stdout
    assert "missing: all_data/" in out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize("kind", ["fifo", "folder", "link to nowhere", "loop"])
def test_what_is_no_file_is_one_sentence_at_once(kind: str, done: Path) -> None:
    """R10."""
    for folder in ("all_data", "train"):
        place = done / "data" / folder / "x.json"
        if kind == "fifo":
            os.mkfifo(place)
        elif kind == "folder":
            place.mkdir()
        else:
            place.symlink_to(place if kind == "loop" else "/nowhere")
    for command in (("stats",), ("stats", "train"), ("preprocess", "-t"), ("sample", "--overwrite")):
        result = fedsynth(done, *command, check=1)
        assert "x.json: " in result.stderr
        assert "expected a regular file" in result.stderr
    with pytest.raises(StageError, match=r"x\.json"):
        LeafDataset(done / "data/train")


def test_reader_that_finds_a_change_half_moved_says_so_and_stats_finishes_it(done: Path) -> None:
    private = done / "data/.fedsynth"
    with open_workspace(done / "data") as workspace, workspace.draft(["train"]) as draft:
        new = draft.add_folder("train")
        shutil.copytree(done / "data/train", new, dirs_exist_ok=True)
        record = workspace.manifest.stages["split"]
        outputs = [file for file in record.outputs if file.folder == "train"]
        draft.add_record(msgspec.structs.replace(record, outputs=outputs))
        draft.seal(done / "data", workspace.manifest)
        next(new.iterdir()).write_text("{}")
        draft.root.rename(private / "committed")
    new = next((private / "committed/folders/train").iterdir())
    new.write_bytes(next((done / "data/test").iterdir()).read_bytes())
    with pytest.raises(StageError, match="just being moved into it"):
        LeafDataset(done / "data/test")
    message = fedsynth(done, "stats", check=1).stderr  # this one is not whole: its files are not those recorded
    assert "not what a run of fedsynth left there" in message
    assert (private / "committed/folders/train").exists()


def test_data_replaced_while_it_is_measured_is_noticed(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R23."""
    import fedsynth.pipeline.stats as stats

    def replace_meanwhile(*args: Any) -> Any:
        fedsynth(done, *SMALL, "-seed", 8, "--overwrite")
        return original(*args)

    original = stats.find_truth
    monkeypatch.setattr(stats, "find_truth", replace_meanwhile)
    with pytest.raises(FedsynthError, match="changed while it was read"):
        measure(done / "data/all_data")


@pytest.mark.parametrize("folder", ["all_data", "train"])
def test_truth_is_claimed_only_while_the_data_that_was_opened_stands(done: Path, folder: str) -> None:
    """Truth that is replaced with the data belongs to no other dataset, and is not to be deleted."""
    users = LeafDataset(done / "data" / folder)
    fedsynth(done, *SMALL, "-seed", 8, "--overwrite")
    with pytest.raises(FedsynthError, match="stale" if folder == "train" else "changed since it was opened"):
        users.true_model(users.user_ids[0])


def test_data_replaced_while_it_is_opened_is_noticed(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fedsynth.federated.leaf_dataset as loader

    def replace_meanwhile(path: Path) -> Any:
        found = original(path)
        fedsynth(done, *SMALL, "-seed", 8, "--overwrite")
        return found

    original = loader.find_origin
    monkeypatch.setattr(loader, "find_origin", replace_meanwhile)
    with pytest.raises(FedsynthError, match="changed while it was read"):
        LeafDataset(done / "data/all_data")


# L5: meta is input


def mutated(values: Any, rng: random.Random) -> Any:
    """Change one thing somewhere in JSON values."""
    odd = [None, -1, 2**70, 1.5, "", "../../x", "\x1b[31mred", [], {}, True, "data/train/../../x", "0" * 32, "a/b/c/d"]
    if isinstance(values, dict) and values and rng.random() < 0.85:
        key = rng.choice(sorted(values))
        match rng.randrange(8):
            case 0:
                return {name: value for name, value in values.items() if name != key}
            case 1:
                return {**values, str(rng.choice(odd)): values[key]}
            case _:
                return {**values, key: mutated(values[key], rng)}
    if isinstance(values, list) and values and rng.random() < 0.8:
        number = rng.randrange(len(values))
        return [*values[:number], mutated(values[number], rng), *values[number + 1 :]]
    return copy.deepcopy(rng.choice(odd))


def readers(cwd: Path) -> list[Callable[[], object]]:
    return [
        lambda: LeafDataset(cwd / "data/train")[LeafDataset(cwd / "data/train").user_ids[0]],
        lambda: summarize_folder(cwd / "data/train"),
        lambda: measure(cwd / "data/all_data", features=False),
        lambda: preprocess(cwd / "data", [remove_stage(5)]),
    ]


def test_odd_manifests_are_one_sentence_and_reach_no_path(done: Path, tmp_path: Path) -> None:
    path = done / "meta/manifest.json"
    good = json.loads(path.read_text())
    outside = contents(tmp_path)
    refused = 0
    for seed in range(400):
        rng = random.Random(seed)
        path.write_text(json.dumps(mutated(good, rng)))
        for read in readers(done):
            try:
                read()
            except FedsynthError:
                refused += 1
    assert refused > 800
    path.write_text(json.dumps(good))
    changed = {name for name, data in contents(tmp_path).items() if outside.get(name) != data}
    assert changed <= {"done/meta/dir-checksum.md5", "done/meta/manifest.json"}


def test_escape_codes_of_a_manifest_reach_no_terminal(done: Path) -> None:
    path = done / "meta/manifest.json"
    good = path.read_text()
    for old in ('"niid"', '"remove_users"', f'"{__version__}"', '"all_data"', "all_data_niid_0.json", '"users"'):
        path.write_text(good.replace(old, json.dumps("\x1b[31mred")))
        for command in (("preprocess", "-k", 5), CHAIN, ("stats",), ("generate", "-num-tasks", 3)):
            result = fedsynth(done, *command, check=None)
            assert "\x1b" not in result.stdout + result.stderr
            assert "Traceback" not in result.stderr


def test_format_of_another_version_is_refused(done: Path) -> None:
    path = done / "meta/manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    message = fedsynth(done, *CHAIN, check=1).stderr
    assert "Expected format 1, got 99" in message


@pytest.mark.parametrize("name", [".fedsynth", ".fedsynth-3", "manifest.json", "truth.npz", "meta"])
def test_data_folder_whose_records_would_be_where_other_records_are_is_refused(done: Path, name: str) -> None:
    """In meta/NAME: those of `.fedsynth` were deleted by the next run on `data`, those of truth.npz were in its way."""
    before = contents(done)
    assert "this name is for records" in fedsynth(done, *SMALL, "--data-dir", name, check=2).stderr
    assert contents(done) == before
    assert sorted(path.name for path in (done / "meta/.fedsynth").iterdir()) == [".fedsynth"]


def test_hostile_commit_changes_nothing(done: Path) -> None:
    """R7: a record in a downloaded folder that would replace all_data by nothing."""
    before = contents(done)
    committed = done / "data/.fedsynth/committed"
    change = {"format": 1, "removed": [], "replaced": {}, "meta": [], "records": [], "dropped": []}
    for folders in (["all_data"], ["../../x"], [], 3):
        for part in ("folders/all_data", "replaced"):
            (committed / part).mkdir(parents=True)
        (committed / "change.json").write_text(json.dumps({**change, "folders": folders}))
        for command in (SMALL, CHAIN, ("clean",), ("stats",)):
            assert "not what a run of fedsynth left there" in fedsynth(done, *command, check=1).stderr
        assert contents(done) == before
        shutil.rmtree(committed)
    fedsynth(done, *CHAIN)


@pytest.mark.parametrize("link", ["", "folders", "replaced"])
def test_commit_that_links_out_of_the_data_folder_moves_and_deletes_nothing(done: Path, link: str) -> None:
    """With `committed/replaced -> ~` in a downloaded folder, all of ~ was moved there, and empty folders deleted."""
    committed = done / "data/.fedsynth/committed"
    victim = done / "victim"
    for part in ("folders", "replaced", "empty", "replaced/empty", "letters"):
        (victim / part).mkdir(parents=True)
    change = {"format": 1, "folders": [], "removed": [], "replaced": {}, "meta": [], "records": [], "dropped": []}
    for name in ("change.json", "letters/one"):
        (victim / name).write_text(json.dumps(change))
    if link:
        for part in ("folders", "replaced"):
            (committed / part).mkdir(parents=True)
        (committed / "change.json").write_text(json.dumps(change))
        (committed / link).rmdir()
    (committed / link).symlink_to(victim)
    before = sorted(victim.rglob("*")), contents(done)
    for command in (CHAIN, ("clean",), ("stats",)):
        assert "not what a run of fedsynth left there" in fedsynth(done, *command, check=1).stderr
    assert (sorted(victim.rglob("*")), contents(done)) == before


def test_commit_puts_aside_only_what_it_names(done: Path) -> None:
    committed = done / "data/.fedsynth/committed"
    for part in ("folders", "replaced/letters"):
        (committed / part).mkdir(parents=True)
    change = {"format": 1, "folders": [], "removed": [], "replaced": {}, "meta": [], "records": [], "dropped": []}
    (committed / "change.json").write_text(json.dumps(change))
    assert "letters is not part of it" in fedsynth(done, *CHAIN, check=1).stderr
    assert (committed / "replaced/letters").is_dir()


def test_hostile_truths_are_one_sentence(done: Path) -> None:
    """R7, R29: odd compression, bombs, pickles, shapes that do not fit."""
    path = done / "meta/truth.npz"
    with np.load(path) as content:
        arrays = dict(content)
    bomb = io.BytesIO()
    np.lib.format.write_array_header_1_0(bomb, {"descr": "<f8", "fortran_order": False, "shape": (12, 50_000_000, 5)})
    hostile: list[Callable[[], None]] = [
        lambda: np.savez_compressed(path, **arrays),
        lambda: np.savez(path, **{**arrays, "cluster": arrays["cluster"][:5]}),
        lambda: np.savez(path, **{**arrays, "cluster": arrays["cluster"] + 7}),
        lambda: np.savez(path, **{**arrays, "num_samples": np.array(["a"] * 12)}),
        lambda: np.savez(path, **{**arrays, "Q": np.array([None, {}], dtype=object)}),
        lambda: np.savez(path, **{name: values for name, values in arrays.items() if name != "data_md5"}),
        lambda: np.savez(path, **{**arrays, "format": np.array(99)}),
        lambda: np.savez(path, **{**arrays, "seed": arrays["seed"] + 1}),
        lambda: rezip(path, arrays, zipfile.ZIP_LZMA, b""),
        lambda: rezip(path, arrays, zipfile.ZIP_STORED, bomb.getvalue()),
        lambda: rezip(path, arrays, zipfile.ZIP_STORED, b"\x93NUMPY\x09\x09garbage"),
    ]
    for make in hostile:
        make()
        for command in (("stats",), ("stats", "--json", "train")):
            result = fedsynth(done, *command, check=1)
            assert len(result.stderr.splitlines()) == 1, result.stderr
            assert "truth.npz" in result.stderr
        with pytest.raises(FedsynthError, match=r"truth\.npz"):
            LeafDataset(done / "data/train")["0"]


def rezip(path: Path, arrays: dict[str, Any], method: int, models: bytes) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w") as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)
        if models:
            archive.writestr("models.npy", models)


def test_damaged_truths_are_data_errors_whatever_the_byte(done: Path) -> None:
    path = done / "meta/truth.npz"
    good = path.read_bytes()
    rng = random.Random(1)
    refused = 0
    for _ in range(300):
        text = bytearray(good)
        for _ in range(rng.randint(1, 4)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        path.write_bytes(text[: rng.choice((len(text), len(text), rng.randrange(len(text))))])
        try:
            measure(done / "data/train")
        except FedsynthError:
            refused += 1
    assert refused > 150


def test_clean_after_clean_is_quiet(done: Path) -> None:
    assert clean(done / "data").removed == list(STAGES)
    assert clean(done / "data").removed == []


# Where folders are of another kind


def mounted(place: Path) -> None:
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(place)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine mounts no tmpfs for us")


def test_data_on_another_disk_than_its_parent(tmp_path: Path) -> None:
    """R9, R28: what goes to meta is made there."""
    (tmp_path / "data").mkdir()
    mounted(tmp_path / "data")
    try:
        for command in (SMALL, CHAIN, (*OTHER, "--overwrite"), (*SMALL, "-seed", 4, "--overwrite"), ("clean",)):
            fedsynth(tmp_path, *command)
        assert measure(tmp_path / "data/all_data")["concept.oracle_accuracy"] > 0.9
        assert leftovers(tmp_path) == []
    finally:
        subprocess.run(["umount", str(tmp_path / "data")], check=True)


def test_stage_folder_that_is_a_mount_point_is_an_error_that_changes_nothing(done: Path) -> None:
    shutil.rmtree(done / "data/test")
    (done / "data/test").mkdir()
    mounted(done / "data/test")
    try:
        before = contents(done)
        message = fedsynth(done, *CHAIN, "--overwrite", check=1).stderr
        assert "data/test: a mount point" in message
        assert contents(done) == before
        assert leftovers(done) == []
    finally:
        subprocess.run(["umount", str(done / "data/test")], check=True)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Data folders of few and of many files, preprocessed."""
    folders = {}
    for number in (30, 240):
        cwd = tmp_path_factory.mktemp(f"shards{number}")
        folders[number] = generate(cwd, number, "-num-dim", 1, "-num-shards", number, "-max-samples", 8)
        fedsynth(cwd, "preprocess", "-s", "niid", "--sf", 1.0, "-k", 1, "-t", "user", "--smplseed", 1, "--spltseed", 2)
    return folders


LOOKUPS: dict[str, Callable[[Path], object]] = {
    "open all_data": lambda data: LeafDataset(data / "all_data"),
    "where train is from": lambda data: find_origin(data / "train"),
    "keep": lambda data: preprocess(data, [remove_stage(1)]),
    "replace": lambda data: preprocess(data, [remove_stage(2)], overwrite=["rem_user_data"]),
    "clean": clean,
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_many_shards_are_looked_up_in_constant_time(name: str, shards: dict[int, Path], tmp_path: Path) -> None:
    """R17: what grew with the square was the number of comparisons, counted here by calls."""
    calls = {}
    for number, data in shards.items():
        cwd = copied(data.parent, tmp_path / str(number))
        profile = cProfile.Profile()
        with profile:
            LOOKUPS[name](cwd / "data")
        calls[number] = pstats.Stats(profile).total_calls  # type: ignore[attr-defined]
    assert calls[240] < 9 * calls[30]
