"""Time whole processes: seconds by the clock, and the peak of resident memory as `/usr/bin/time -v` has it."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cost:
    """What a chain of processes took. seconds: all of them; peak: MB (10**6 bytes) of the largest one.

    cpu: seconds of processors, over all threads and child processes; 0 where it was not measured.
    """

    seconds: float
    peak: float
    cpu: float = 0.0


@dataclass(frozen=True)
class Row:
    """One line of the table: medians over pairs of runs, each pair one after the other."""

    work: str
    plain: Cost | None
    fedsynth: Cost
    ratio: float | None
    target: str

    def __str__(self) -> str:
        plain = f"{self.plain.seconds:8.3f} s {self.plain.peak:6.0f} MB" if self.plain else f"{'-':>20}"
        ratio = f"{self.ratio:7.3f}" if self.ratio is not None else f"{'-':>7}"
        mine = f"{self.fedsynth.seconds:8.3f} s {self.fedsynth.peak:6.0f} MB"
        return f"{self.work:60} {plain} {mine} {ratio}   {self.target}"


HEADER = f"{'work':60} {'plain':>20} {'fedsynth':>20} {'ratio':>7}   target"


def run(commands: Sequence[Sequence[str]], cwd: Path) -> Cost:
    """Run commands one after another in a folder. Raises RuntimeError if one fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # without compiled modules every start would pay for the compiler
    peak = cpu = 0.0
    started = time.perf_counter()
    for command in commands:
        process = subprocess.Popen(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")
        peak = max(peak, usage.ru_maxrss * 1024 / 1e6)
        cpu += usage.ru_utime + usage.ru_stime
    return Cost(time.perf_counter() - started, peak, cpu)


def compare(
    work: str,
    target: str,
    *,
    plain: Callable[[], Cost],
    fedsynth: Callable[[], Cost],
    pairs: int,
    check: Callable[[], None],
) -> Row:
    """Run both in turn, `pairs` times, and check after the first pair that they did the same."""
    costs = []
    for pair in range(pairs):
        costs.append((plain(), fedsynth()))
        if pair == 0:
            check()
    ratio = statistics.median(mine.seconds / theirs.seconds for theirs, mine in costs)
    return Row(work, _median([theirs for theirs, _ in costs]), _median([mine for _, mine in costs]), ratio, target)


def python(*args: object) -> list[str]:
    """Return the command line of this Python with these arguments."""
    return [sys.executable, *map(str, args)]


def _median(costs: Sequence[Cost]) -> Cost:
    return Cost(statistics.median(cost.seconds for cost in costs), max(cost.peak for cost in costs))
