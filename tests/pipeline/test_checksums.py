"""Verifying a data folder against a checksum file."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.commands import fedsynth, generate


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-k", 5, "-t", "sample")
    return folder


def verify(cwd: Path, *args: object, check: int) -> list[str]:
    file = args or ("meta/dir-checksum.md5",)
    return fedsynth(cwd, "preprocess", "--verify", *file, check=check).stdout.splitlines()


def test_untouched_data_verifies(data: Path, tmp_path: Path) -> None:
    assert verify(tmp_path, check=0) == ["4 files match"]


def test_changed_missing_and_new_files_are_told(data: Path, tmp_path: Path) -> None:
    (data / "all_data/all_data.json").write_text("{}")
    (data / "test/all_data_keep_5_test_9.json").unlink()
    (data / "train/more.json").write_text("{}")
    assert verify(tmp_path, check=1) == [
        "changed: all_data/all_data.json",
        "missing: test/all_data_keep_5_test_9.json",
        "new: train/more.json",
        "2 files match",
    ]


def test_a_single_file_matches(data: Path, tmp_path: Path) -> None:
    for path in sorted(data.rglob("*.json"))[1:]:
        path.unlink()
    assert verify(tmp_path, check=1)[-1] == "1 file matches"


def test_change_that_keeps_size_and_time_is_found(data: Path, tmp_path: Path) -> None:
    import os

    path = data / "all_data/all_data.json"
    status = path.stat()
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert verify(tmp_path, check=1)[0] == "changed: all_data/all_data.json"


def test_md5sum_agrees(data: Path, tmp_path: Path) -> None:
    subprocess.run(["md5sum", "-c", "meta/dir-checksum.md5"], cwd=tmp_path, check=True, capture_output=True)


def test_md5sums_own_file_in_any_order_verifies(data: Path, tmp_path: Path) -> None:
    command = "find data/ -type f -name '*.json' -exec md5sum -b {} + | sort -r > sums"
    subprocess.run(command, shell=True, cwd=tmp_path, check=True)
    assert verify(tmp_path, "sums", check=0) == ["4 files match"]


def test_folder_of_another_name_verifies(data: Path, tmp_path: Path) -> None:
    data.rename(tmp_path / "elsewhere")
    assert verify(tmp_path, "meta/dir-checksum.md5", "--data-dir", "elsewhere", check=0) == ["4 files match"]


@pytest.mark.parametrize("text", ["", "no checksums\n", "abc  data/x.json\n"])
def test_file_without_checksums_is_an_error(text: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "sums").write_text(text)
    assert verify(tmp_path, "sums", check=1) == []


def test_verify_runs_no_stage(tmp_path: Path) -> None:
    generate(tmp_path)
    (tmp_path / "sums").write_text("0" * 32 + "  data/all_data/all_data.json\n")
    fedsynth(tmp_path, "preprocess", "-k", 5, "--verify", "sums", check=1)
    assert not (tmp_path / "data/rem_user_data").exists()


def test_nochecksum_leaves_the_file_out(tmp_path: Path) -> None:
    generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-k", 5, "--nochecksum")
    assert not (tmp_path / "meta/dir-checksum.md5").exists()
