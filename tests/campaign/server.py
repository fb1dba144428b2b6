"""Run commands through the driver, and read what they say."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.commands import ROOT, environment

TIMEOUT = 25.0
"""Seconds in which every command here ends a hundred times over, were it not for a fault."""


@dataclass(frozen=True)
class Run:
    """What became of a command. status: its exit status, -9 if it was killed; hung: it had to be."""

    status: int
    seconds: float
    hung: bool
    stdout: str
    stderr: str

    def complaint(self) -> str | None:
        """Return what is wrong with how it failed, None if it succeeded or failed with one sentence."""
        lines = self.stderr.splitlines()
        if self.hung:
            return f"no end after {TIMEOUT:g} seconds"
        if self.status not in (0, 1):
            return f"exit status {self.status}: {self.stderr[-300:]}"
        if any(not line.startswith("fedsynth: ") for line in lines):
            return f"not a sentence: {self.stderr[-400:]}"
        if self.status == 1 and not lines:
            return "fails without a word"
        return None


class Server:
    """A driver process. preload: a library that it, and all that it starts, loads first."""

    def __init__(self, folder: Path, preload: Path | None = None) -> None:
        self._logs = [folder / "stdout", folder / "stderr"]
        env = environment(PYTHONWARNINGS="ignore")
        if preload is not None:
            env["LD_PRELOAD"] = str(preload)
        command = [sys.executable, "-m", "tests.campaign.driver"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(
        self,
        cwd: Path,
        args: Sequence[object],
        *,
        kill_after: float | None = None,
        group: bool = False,
        env: Mapping[str, str] | None = None,
        memory: tuple[int, int, str] | None = None,
    ) -> Run:
        """Run a command in a folder. kill_after: seconds; group: with its workers; memory: see the driver."""
        job = {
            "cwd": str(cwd),
            "args": [str(arg) for arg in args],
            "kill_after": kill_after,
            "group": group,
            "timeout": TIMEOUT,
            "env": dict(env or {}),
            "memory": memory,
            "stdout": str(self._logs[0]),
            "stderr": str(self._logs[1]),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        stdout, stderr = (log.read_text(errors="replace") if log.exists() else "" for log in self._logs)
        return Run(answer["status"], answer["seconds"], answer["hung"], stdout, stderr)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
