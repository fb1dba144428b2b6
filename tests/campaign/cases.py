"""The commands that are disturbed, what runs before them, and what they must end in."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from tests.campaign.laws import State, state_of
from tests.campaign.server import Server

Command = tuple[object, ...]

SEEDS = ("--smplseed", 1, "--spltseed", 2)
GENERATE = ("generate", "-num-tasks", 45, "-num-dim", 6, "-num-shards", 3, "-stream", "independent")
OTHER = (*GENERATE, "-seed", 5)
NIID = ("preprocess", "-s", "niid", "--sf", 0.9, "-k", 5, "-t", "sample", *SEEDS)
IID = ("preprocess", "-s", "iid", "--iu", 0.5, "--sf", 0.5, "-t", "user", *SEEDS)
SAMPLE = ("sample", "-s", "niid", "--sf", 0.9, "--smplseed", 1)
REMOVE = ("remove-users", "-k", 5)
SPLIT = ("split", "-t", "sample", "--spltseed", 2)
SIDES = ("split", "-t", "sample", "--tf", 0.7, "--vf", 0.2, "--new-users", 0.2, "--spltseed", 2)
CACHE = """
import hashlib
from fedsynth import LeafDataset
dataset = LeafDataset("data/train", cache=True)
digest = hashlib.md5()
for user in dataset.user_ids:
    digest.update(dataset[user].features.tobytes() + dataset[user].labels.tobytes())
print(digest.hexdigest())
"""


@dataclass(frozen=True)
class Case:
    """A command and those before it. replaces: it changes over from old to new in one step."""

    name: str
    before: tuple[Command, ...]
    command: Command
    replaces: bool = False
    workers: int = 1

    def with_workers(self) -> Case:
        return replace(self, name=f"{self.name}, 2 workers", command=(*self.command, "--workers", 2), workers=2)


_ONE_PROCESS = (
    Case("generate", (), GENERATE),
    Case("generate over other data", (GENERATE, NIID), (*OTHER, "--overwrite"), replaces=True),
    Case("niid by sample", (GENERATE,), NIID),
    Case("iid by user", (GENERATE,), IID),
    Case("niid over iid", (GENERATE, IID), (*NIID, "--overwrite"), replaces=True),
    Case("iid over niid", (GENERATE, NIID), (*IID, "--overwrite"), replaces=True),
    Case("sample", (GENERATE,), SAMPLE),
    Case("remove-users", (GENERATE, SAMPLE), REMOVE),
    Case("split", (GENERATE, SAMPLE, REMOVE), SPLIT),
    Case(
        "split over another", (GENERATE, NIID), ("split", "-t", "user", "--spltseed", 9, "--overwrite"), replaces=True
    ),
    Case("four sides", (GENERATE,), SIDES),
    Case("two sides over four", (GENERATE, SIDES), (*SPLIT, "--overwrite"), replaces=True),
    Case("four sides over two", (GENERATE, NIID), (*SIDES, "--overwrite"), replaces=True),
    Case("stats", (GENERATE, NIID), ("stats",)),
)
CASES = (
    *_ONE_PROCESS,
    Case("clean", (GENERATE, NIID), ("clean",)),
    Case("clean of four sides", (GENERATE, SIDES), ("clean",)),
    Case("verify", (GENERATE, NIID), ("verify", "meta/dir-checksum.md5")),
    Case("cache", (GENERATE, NIID), ("python", CACHE)),
    *(case.with_workers() for case in _ONE_PROCESS),
)


@dataclass(frozen=True)
class Prepared:
    """A case with the folder before its command, and what an undisturbed run makes and takes."""

    case: Case
    start: Path
    old: State
    new: State
    output: str
    seconds: float
    grown: int
    """Bytes that the data have more afterwards, at least those of a new dataset's files."""

    def set_up(self, cwd: Path) -> None:
        """Make a folder as it is before the command; what was there goes."""
        for child in cwd.iterdir() if cwd.is_dir() else ():
            shutil.rmtree(child)
        shutil.copytree(self.start, cwd, dirs_exist_ok=True)


def prepare(case: Case, server: Server, folder: Path) -> Prepared:
    """Run a case undisturbed."""
    start, cwd = folder / f"{case.name}-before", folder / f"{case.name}-after"
    (start / "data").mkdir(parents=True)
    (start / "meta").mkdir()
    for command in case.before:
        done = server.run(start, command)
        assert done.status == 0, (case.name, command, done.stderr)
    shutil.copytree(start, cwd)
    done = server.run(cwd, case.command)
    assert done.status == 0, (case.name, done.stderr)
    size = sum(path.stat().st_size for path in cwd.rglob("*") if path.is_file())
    found = Prepared(case, start, state_of(start), state_of(cwd), done.stdout, done.seconds, size)
    shutil.rmtree(cwd)
    return found
