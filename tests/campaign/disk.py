"""A disk that is full, at every size in steps from what is there to what would be enough."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.campaign.cases import Prepared
from tests.campaign.check import Check
from tests.campaign.laws import Tally
from tests.campaign.server import Server

KIND = "full disks"
_PAGE = 4096
_ENOUGH = "64m"


def fill(prepared: list[Prepared], steps: int, server: Server, folder: Path, tally: Tally) -> str | None:
    """Run every case at so many sizes of a tmpfs. Returns the reason if this machine mounts none."""
    place = folder / "disk"
    place.mkdir()
    try:
        _mount(place)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no tmpfs can be mounted here ({error})"
    try:
        for case in prepared:
            for size in _sizes(case, place, steps):
                _run_full(case, size, place, server, tally)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    return None


def _mount(place: Path) -> None:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_ENOUGH}", "tmpfs", str(place)]
    subprocess.run(command, check=True, capture_output=True)


def _resize(place: Path, size: int | str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True, capture_output=True)


def _sizes(case: Prepared, place: Path, steps: int) -> Iterator[int]:
    """Yield sizes from what the data need before the command to more than any way of making the new needs."""
    case.set_up(place)
    used = _used(place)
    needed = 2 * case.grown + 64 * _PAGE
    for step in range(steps):
        yield max(used, _PAGE) + step * needed // steps // _PAGE * _PAGE  # 0 is no limit


def _used(place: Path) -> int:
    import os

    status = os.statvfs(place)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@contextmanager
def _limited(place: Path, size: int) -> Iterator[None]:
    _resize(place, size)
    try:
        yield
    finally:
        _resize(place, _ENOUGH)


def _run_full(case: Prepared, size: int, place: Path, server: Server, tally: Tally) -> None:
    check = Check(case, place, KIND, tally, server)
    case.set_up(place)
    fault = f"disk of {size:,} bytes"
    with _limited(place, size):
        run = server.run(place, case.case.command)
        check.sentence(fault, run)
        check.right_after(fault)
    if run.status == 0:
        tally.count("disks large enough", case.case.name)
        check.after_success(fault)
    else:
        tally.count(KIND, case.case.name)
        check.after_another_command(fault)
    check.after_rerun(fault)
