"""Run the campaign, or a part of it, and print what was done and which laws were broken."""

from __future__ import annotations

import argparse
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.campaign.cases import CASES, Prepared, prepare
from tests.campaign.disk import fill
from tests.campaign.inject import build, inject, starve
from tests.campaign.kills import kill
from tests.campaign.laws import Tally
from tests.campaign.server import Server

KILLS, DISK_STEPS = 1000, 40


def main() -> int:
    """Do what the options say; return 1 if a law was broken."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="campaign-"))
    tally = Tally()
    began = time.monotonic()
    print(f"seed {options.seed}, in {folder}", flush=True)
    server = Server(folder)
    try:
        chosen = [case for case in CASES if re.search(options.cases, case.name)]
        prepared = [prepare(case, server, folder) for case in chosen]
        _run(options, prepared, server, folder, tally)
    finally:  # what was found is printed however it ends
        _print(tally)
        print(f"{sum(tally.counts.values()):,} faults in {time.monotonic() - began:.0f} s, seed {options.seed}")
        server.close()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if tally.broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=sys.modules["tests.campaign"].__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--kills", type=int, help=f"kill so many times ({KILLS:,}); without any of these three: all")
    parser.add_argument("--disk", action="store_true", help="fill disks")
    parser.add_argument("--inject", action="store_true", help="inject errors")
    parser.add_argument("--tenth", action="store_true", help="a tenth of each")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="of the choices")
    parser.add_argument("--cases", default="", metavar="REGEX", help="only cases of such names")
    options = parser.parse_args()
    if options.kills is None and not options.disk and not options.inject:
        options.kills, options.disk, options.inject = KILLS, True, True
    return options


def _run(options: argparse.Namespace, prepared: list[Prepared], server: Server, folder: Path, tally: Tally) -> None:
    share = 0.1 if options.tenth else 1.0
    rng = random.Random(options.seed)
    if options.kills:
        _timed("kills", lambda: kill(prepared, int(options.kills * share), server, folder, tally, rng))
    alone = [case for case in prepared if case.case.workers == 1]
    if options.disk:
        steps = max(4, int(DISK_STEPS * share))
        _timed("full disks", lambda: fill(alone, steps, server, folder, tally))
    if options.inject:
        _timed("injected errors", lambda: _inject(prepared, share, server, folder, tally, rng))
        _timed("no memory", lambda: starve(alone, share, server, folder, tally, rng))


def _inject(
    prepared: list[Prepared], share: float, plain: Server, folder: Path, tally: Tally, rng: random.Random
) -> str | None:
    library = build(folder)
    if isinstance(library, str):
        return library
    server = Server(folder, preload=library)
    try:
        for workers, part in ((1, share), (2, share / 5)):
            inject([case for case in prepared if case.case.workers == workers], part, server, plain, folder, tally, rng)
    finally:
        server.close()
    return None


def _timed(what: str, act: object) -> None:
    began = time.monotonic()
    reason = act()  # type: ignore[operator]
    said = f"left out: {reason}" if reason else f"{time.monotonic() - began:.0f} s"
    print(f"{what}: {said}", flush=True)


def _print(tally: Tally) -> None:
    by_kind: dict[str, dict[str, int]] = defaultdict(dict)
    for (kind, case), number in tally.counts.items():
        by_kind[kind][case] = number
    for kind, cases in by_kind.items():
        print(f"{kind}: {sum(cases.values()):,}")
        print("    " + ", ".join(f"{case} {number:,}" for case, number in cases.items()))
    for law, number in sorted((law, number) for law, number in _by_law(tally).items()):
        print(f"{law} BROKEN: {number:,} times")
    for key, example in sorted(tally.examples.items()):
        law, kind, case = key
        print(f"{law}, {kind}, {case}, {tally.broken[key]:,} times, first: {example}")


def _by_law(tally: Tally) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for (law, _, _), number in tally.broken.items():
        found[law] += number
    return found


if __name__ == "__main__":
    sys.exit(main())
