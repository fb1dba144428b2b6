"""What the API leaves as it is: signal handlers, the caller's script, other threads."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fedsynth
from tests.commands import environment


def handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals()}


def run_everything() -> None:
    fedsynth.generate(num_tasks=20, num_shards=4, stream="independent", workers=2)
    fedsynth.preprocess(fraction=1.0, min_samples=1, split="sample", workers=2)
    fedsynth.measure("data/train", workers=2)
    with pytest.raises(fedsynth.StageError):
        fedsynth.generate(num_tasks=5)


def in_a_thread(work: Callable[[], None]) -> None:
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@pytest.mark.parametrize("run", [lambda work: work(), in_a_thread], ids=["main thread", "another thread"])
def test_signal_handlers_are_left_alone(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def mine(number: int, frame: Any) -> None: ...

    before = signal.signal(signal.SIGINT, mine)
    try:
        found, hook = handlers(), threading.excepthook
        run(run_everything)
        assert handlers() == found
        assert threading.excepthook is hook
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    finally:
        signal.signal(signal.SIGINT, before)


def test_workers_do_not_run_the_callers_script(tmp_path: Path) -> None:
    """Which has no `if __name__ == "__main__"`, as most scripts of a few lines."""
    (tmp_path / "script.py").write_text(
        "import fedsynth\nprint('begins')\n"
        "made = fedsynth.generate(num_tasks=12, num_shards=3, stream='independent', workers=2)\nprint(made.users)\n"
    )
    result = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=120
    )
    assert (result.stdout, result.stderr) == ("begins\n12\n", "")


def test_two_threads_that_want_one_folder_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One makes the data, the other keeps it or is told that the folder is busy: never a mixture."""
    monkeypatch.chdir(tmp_path)
    outcomes: list[str] = []

    def make() -> None:
        try:
            outcomes.append("kept" if fedsynth.generate(num_tasks=200).kept else "made")
        except fedsynth.BusyError:
            outcomes.append("busy")

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("made") == 1
    assert len(outcomes) == 3
    assert len(fedsynth.LeafDataset("data/all_data")) == 200
