"""SIGKILL at random moments, also of the runs that repair what the one before left."""

from __future__ import annotations

import random
import shutil
from itertools import cycle
from pathlib import Path

from tests.campaign.cases import Prepared
from tests.campaign.check import Check
from tests.campaign.laws import Tally, plant
from tests.campaign.server import Server

KIND, RECOVERY = "kills", "kills in recovery"
_KILLED_AGAIN = 0.4
_MOST_IN_A_ROW = 3


def kill(prepared: list[Prepared], kills: int, server: Server, folder: Path, tally: Tally, rng: random.Random) -> None:
    """Kill commands until so many kills have hit, over all cases in turn."""
    for number, case in enumerate(cycle(prepared)):
        if _hits(tally) >= kills:
            return
        cwd = folder / f"kill{number}"
        case.set_up(cwd)
        _kill_once(case, cwd, server, tally, rng)
        shutil.rmtree(cwd)


def _hits(tally: Tally) -> int:
    return sum(count for (kind, _), count in tally.counts.items() if kind in (KIND, RECOVERY))


def _kill_once(case: Prepared, cwd: Path, server: Server, tally: Tally, rng: random.Random) -> None:
    check = Check(case, cwd, KIND, tally, server)
    planted = rng.random() < 0.5
    if planted:
        plant(cwd, rng)
    fault = f"killed{' among foreign files' if planted else ''}"
    for turn in range(_MOST_IN_A_ROW):
        moment = rng.uniform(0, 1.1) * case.seconds
        run = server.run(cwd, case.case.command, kill_after=moment, group=rng.random() < 0.3)
        if run.status == -9:
            tally.count(RECOVERY if turn else KIND, case.case.name)
        else:
            check.sentence("not killed", run)
        fault = f"{fault} at {moment:.3f} s"
        check.right_after(fault)
        if rng.random() > _KILLED_AGAIN:
            break
    if rng.random() < 0.5:
        check.after_another_command(fault)
    check.after_rerun(fault)
