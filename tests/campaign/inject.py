"""The n-th call of a kind fails, for n from 1 until there are no more; and memory is out at the n-th line."""

from __future__ import annotations

import errno
import random
import subprocess
from collections.abc import Iterator
from itertools import count, product
from pathlib import Path

from tests.campaign.cases import Prepared
from tests.campaign.check import Check
from tests.campaign.laws import Tally, plant
from tests.campaign.server import Run, Server

CALLS = {
    "write": (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    "write+close": (errno.EDQUOT, errno.EIO),
    "close": (errno.EIO, errno.EDQUOT),
    "fsync": (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EINVAL),
    "rename": (errno.EIO, errno.ENOSPC),
    "mkdir": (errno.EIO, errno.ENOSPC, errno.EDQUOT),
    "unlink": (errno.EIO,),
    "open": (errno.EIO, errno.ENOSPC, errno.EDQUOT),
}
"""By call, the errors that it gives in turn. A quota on NFS fails at the write and again at the close."""

MEMORY = "no memory"
_THREADS = 4
_SOURCE = Path(__file__).with_name("faults.c")


def build(folder: Path) -> Path | str:
    """Compile the library; returns the reason if that can't be done here."""
    library = folder / "faults.so"
    command = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        return "there is no gcc here"
    except subprocess.CalledProcessError as error:
        return f"gcc can't compile it here: {error.stderr[-200:]}"
    return library


def inject(
    prepared: list[Prepared],
    share: float,
    server: Server,
    plain: Server,
    folder: Path,
    tally: Tally,
    rng: random.Random,
) -> None:
    """Let each call of each kind fail once, and once with all that follow, of which this is a share.

    server: with the library loaded; plain: without.
    """
    for case, call, stays in product(prepared, CALLS, ("0", "1")):
        if rng.random() > share**0.5:
            continue
        errors = CALLS[call]
        for at in _some(share**0.5, rng):
            number = errors[at % len(errors)]
            env = {"FAULT_CALL": call, "FAULT_AT": str(at), "FAULT_ERRNO": str(number), "FAULT_STAYS": stays}
            fault = f"{call} {at}{' and all after' if stays == '1' else ''}: {errno.errorcode[number]}"
            if not _Injection(case, folder, tally, plain, f"failing {call}", fault, rng).hits(server, env):
                break


def starve(
    prepared: list[Prepared], share: float, server: Server, folder: Path, tally: Tally, rng: random.Random
) -> None:
    """Raise MemoryError at single lines of each thread: at the first ones all, then at ever fewer, of which a share."""
    part = share**0.5  # of the threads, and of the lines of each
    for case, thread in product(prepared, range(_THREADS)):
        if rng.random() > part:
            continue
        at = 0
        while True:
            at += 1 + int(rng.expovariate(1) * (at // 8 + 1) / part + rng.expovariate(1) * (1 / part - 1))
            fault = f"thread {thread}, line {at}"
            if not _Injection(case, folder, tally, server, MEMORY, fault, rng).starves(server, thread, at):
                break


def _some(share: float, rng: random.Random) -> Iterator[int]:
    """Yield some numbers from 1 on, a share of all."""
    if share >= 1:
        yield from count(1)
    at = 0
    while True:
        at += 1 + int(rng.expovariate(share))
        yield at


class _Injection:
    """One fault in one run, and the checks after it."""

    def __init__(
        self, case: Prepared, folder: Path, tally: Tally, plain: Server, kind: str, fault: str, rng: random.Random
    ) -> None:
        self._case, self._tally, self._kind, self._fault = case, tally, kind, fault
        self._cwd, self._mark = folder / "injected", folder / "mark"
        self._check = Check(case, self._cwd, kind, tally, plain)
        self._cwd.mkdir(exist_ok=True)
        self._mark.unlink(missing_ok=True)
        case.set_up(self._cwd)
        if rng.random() < 0.2:
            plant(self._cwd, rng)
            self._fault += " among foreign files"

    def hits(self, server: Server, env: dict[str, str]) -> bool:
        """Run the command with a failing call. Returns whether it came to that."""
        env = {**env, "FAULT_UNDER": str(self._cwd), "FAULT_MARK": str(self._mark)}
        return self._judge(server.run(self._cwd, self._case.case.command, env=env))

    def starves(self, server: Server, thread: int, line: int) -> bool:
        """Run the command with memory that is out at a line of a thread. Returns whether it came to that."""
        return self._judge(server.run(self._cwd, self._case.case.command, memory=(thread, line, str(self._mark))))

    def _judge(self, run: Run) -> bool:
        if not self._mark.exists():
            return False
        self._tally.count(self._kind, self._case.case.name)
        self._check.sentence(self._fault, run)
        self._check.right_after(self._fault)
        if run.status == 0:
            self._check.after_success(self._fault)
        else:
            self._check.after_another_command(self._fault)
        self._check.after_rerun(self._fault)
        return True
