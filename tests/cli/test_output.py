"""Standard streams that are closed, full or no longer read: the work is done, and the exit status says what is true."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import contents, environment, fedsynth

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")

CHAIN = "preprocess -s niid --sf 1.0 -k 5 -t sample --smplseed 1 --spltseed 2"
COMMANDS = ["generate -num-tasks 12 -num-dim 2", CHAIN, "stats", "stats --json", "verify sums.md5", "clean"]
FULL = "standard output: No space left on device"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    fedsynth(folder, "generate", "-num-tasks", 12, "-num-dim", 2)
    fedsynth(folder, *CHAIN.split())
    shutil.copy(folder / "meta/dir-checksum.md5", folder / "sums.md5")
    return folder


@pytest.fixture
def ready(whole: Path, tmp_path: Path) -> Path:
    """A folder in which each command has something to do or to say."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path


def shell(cwd: Path, command: str, streams: str) -> subprocess.CompletedProcess[str]:
    script = f"{sys.executable} -m fedsynth {command} {streams}"
    return subprocess.run(
        ["bash", "-c", script], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", ">&- 2>&- <&-", "2>/dev/full", ">&- --workers 2"])
def test_chain_is_done_whatever_streams_are_closed(streams: str, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "data/all_data", tmp_path / "data/all_data")
    result = shell(tmp_path, CHAIN, streams)
    said = [line.partition(" has")[0] for line in result.stderr.splitlines()]
    assert (result.returncode, said) == (0, ["fedsynth: --workers 2"] if "--workers" in streams else [])
    assert contents(tmp_path / "data") == contents(whole / "data")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_closed_streams_do_no_harm(streams: str, command: str, ready: Path) -> None:
    result = shell(ready, command, streams)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("command", [*COMMANDS, "--help", "clean --help"])
def test_full_standard_output_is_one_sentence_at_the_end(command: str, ready: Path) -> None:
    result = shell(ready, command, ">/dev/full")
    assert result.returncode == 1
    assert "No space left on device" in result.stderr
    assert result.stderr.count("\n") == 1


def test_full_standard_output_does_not_stop_the_stages(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "data/all_data", tmp_path / "data/all_data")
    result = shell(tmp_path, CHAIN, ">/dev/full")
    assert result.returncode == 1
    assert FULL in result.stderr
    assert contents(tmp_path / "data") == contents(whole / "data")


@pytest.mark.parametrize("command", [*COMMANDS, "--help", "preprocess --help"])
def test_pipe_that_nobody_reads_is_no_error(command: str, ready: Path) -> None:
    result = shell(ready, command, "| true; exit ${PIPESTATUS[0]}")
    assert result.stderr == ""
    assert result.returncode in ((0, 1) if command.endswith("--help") else (0,))


def test_stages_go_on_when_only_the_first_line_is_read(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "data/all_data", tmp_path / "data/all_data")
    result = shell(tmp_path, CHAIN, "| head -1; exit ${PIPESTATUS[0]}")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("sample: ")
    assert contents(tmp_path / "data") == contents(whole / "data")


def test_name_that_the_terminal_cannot_show_is_escaped(ready: Path) -> None:
    (ready / "data/all_data/w\u0151rld.json").write_text("{}")
    command = [sys.executable, "-m", "fedsynth", "verify", "sums.md5"]
    env = environment(PYTHONIOENCODING="latin-1:strict")
    result = subprocess.run(command, cwd=ready, env=env, capture_output=True, text=True)
    assert "new: all_data/w\\u0151rld.json" in result.stdout
    assert (result.returncode, result.stderr) == (1, "")


def test_no_arguments_show_the_help(tmp_path: Path) -> None:
    """However click of some version would do it."""
    result = fedsynth(tmp_path, check=2)
    assert "\n  preprocess " in result.stderr
    assert "\\n" not in result.stderr
    assert result.stdout == ""


ENDED = """
import os, signal, threading
from fedsynth.cli import main
before, hook, variables = signal.getsignal(signal.SIGINT), threading.excepthook, dict(os.environ)
for args in (["--help"], ["foo"], ["stats"]):
    try:
        main(args)
    except SystemExit:
        pass
    assert signal.getsignal(signal.SIGINT) is before
    assert threading.excepthook is hook
    assert dict(os.environ) == variables
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_caller_of_main_keeps_ctrl_c_and_what_else_is_the_processs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", ENDED]
    result = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert result.stdout.endswith("interrupted\n"), result.stderr
    assert result.returncode == 0


def test_ctrl_c_is_ignored_when_the_process_ends(tmp_path: Path) -> None:
    script = (
        "import atexit, signal\nfrom fedsynth.cli import main\n"
        "atexit.register(lambda: print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN))\nmain(['--help'])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("True\n")
