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
        ratio = f"{self.ratio:7.3f}" if self.ratio is not None else f"{'-':>7}"
        return f"{self.work:60} {_told(self.plain)} {_told(self.fedsynth)} {ratio}   {self.target}"


def _told(cost: Cost | None) -> str:
    """Return a cost's columns: seconds, those of processors, those of waiting, and the peak.

    Waiting is what the processors leave of the seconds, mostly for the disk: a slow disk shows there, slow code before.
    It is hidden where several threads compute at once.
    """
    if cost is None:
        return f"{'-':>38}"
    apart = f"{cost.cpu:7.3f} {max(0.0, cost.seconds - cost.cpu):7.3f}" if cost.cpu else f"{'-':>7} {'-':>7}"
    return f"{cost.seconds:8.3f} s {apart} {cost.peak:8.0f} MB"


def _named(side: str) -> str:
    return f"{side:>8}   {'cpu':>7} {'waiting':>7} {'peak':>11}"


HEADER = f"{'work':60} {_named('plain')} {_named('fedsynth')} {'ratio':>7}   target"


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
    return Row(work, median([theirs for theirs, _ in costs]), median([mine for _, mine in costs]), ratio, target)


def python(*args: object) -> list[str]:
    """Return the command line of this Python with these arguments."""
    return [sys.executable, *map(str, args)]


def median(costs: Sequence[Cost]) -> Cost:
    """Return the median of the seconds and the largest peak."""
    seconds, cpu = (statistics.median(getattr(cost, name) for cost in costs) for name in ("seconds", "cpu"))
    return Cost(seconds, max(cost.peak for cost in costs), cpu)
