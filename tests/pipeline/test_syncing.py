"""Files get to the disk in the background, and nothing is lost on the way."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fedsynth.pipeline.syncing import Syncing


def files(folder: Path) -> list[Path]:
    found = [folder / str(number) for number in range(4)]
    for path in found:
        path.write_text("text")
    return found


def test_all_files_are_synced_once_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    syncing = Syncing()
    for path in files(tmp_path):
        syncing.add(path)
    syncing.finish()
    assert synced == [path.stat().st_ino for path in files(tmp_path)]


@pytest.mark.parametrize("lost", [True, False])
def test_a_failed_sync_is_raised_with_the_files_name(
    lost: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = files(tmp_path)
    if lost:
        paths[1].unlink()
    else:
        monkeypatch.setattr(os, "fsync", failing)
    syncing = Syncing()
    for path in paths:
        syncing.add(path)
    with pytest.raises(OSError) as caught:
        syncing.finish()
    assert caught.value.filename == str(paths[1 if lost else 0])


def failing(descriptor: int) -> None:
    raise OSError(5, "Input/output error")


def test_without_threads_files_are_synced_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    synced: list[int] = []
    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(os, "fsync", synced.append)
    syncing = Syncing()
    syncing.add(files(tmp_path)[0])
    assert len(synced) == 1
    syncing.finish()


def test_abandoned_files_leave_no_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    syncing = Syncing()
    for path in files(tmp_path):
        syncing.add(path)
    syncing.abandon()
    assert threading.active_count() == before
