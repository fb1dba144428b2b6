"""What may be seen after a fault, and what must be: bytes of folders, compared with those of undisturbed runs."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

State = dict[str, dict[str, str]]
"""By folder of data/, "data" for the files there and "meta": the visible files and their MD5 sums."""

_TIMED = ("manifest.json",)
"""Holds times, so it differs from run to run."""

_OUTSIDE, _LIST = "canary", "planted"
_FOREIGN_FILES = (
    "data/.archive.old/notes.txt",
    "data/.archive.ready/notes.txt",
    "data/.sample.partial/notes.txt",
    "data/.x.ready",
    "data/.mine.old",
    "data/.hidden",
    "data/notes.txt",
    "data/own/notes.txt",
    "meta/notes.txt",
    "meta/.mine.new",
)
_FOREIGN_LINKS = (
    "data/.synthetic_hist.png.new",
    "data/.link.old",
    "meta/.manifest.json.new",
    "meta/.dir-checksum.md5.new",
    "meta/.truth.npz.new",
)
_PRIVATE = (".fedsynth", ".lock")
_PRIVATE_BYTES = 64 << 10
"""What fedsynth may keep for itself when a run has ended; a forgotten stage is larger."""


def state_of(cwd: Path) -> State:
    """Return all visible files, without those that were planted."""
    found: State = {}
    for path in sorted(cwd.glob("data/**/*")) + sorted(cwd.glob("meta/**/*")):
        parts = path.relative_to(cwd).parts
        if not path.is_file() or any(part.startswith(".") for part in parts):
            continue
        if "/".join(parts) in _FOREIGN_FILES or parts[-1] in _TIMED:
            continue
        place = parts[1] if parts[0] == "data" and len(parts) > 2 else parts[0]
        found.setdefault(place, {})["/".join(parts)] = hashlib.md5(path.read_bytes()).hexdigest()
    return found


def plant(cwd: Path, rng: random.Random) -> None:
    """Put some files and links there that no run made, with names that might be taken for a run's."""
    canary = cwd / _OUTSIDE
    canary.mkdir()
    names = [name for name in (*_FOREIGN_FILES, *_FOREIGN_LINKS) if rng.random() < 0.5]
    for name in names:
        path = cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in _FOREIGN_LINKS:
            _target(cwd, name).write_text(name)
            path.symlink_to(_target(cwd, name))
        else:
            path.write_text(name)
    (canary / _LIST).write_text("\n".join(names))


def _target(cwd: Path, name: str) -> Path:
    return cwd / _OUTSIDE / name.replace("/", "-")


def _planted(cwd: Path) -> list[str]:
    found = cwd / _OUTSIDE / _LIST
    return found.read_text().split("\n") if found.is_file() and found.stat().st_size else []


def l1_broken(cwd: Path) -> Iterator[str]:
    """Say what of the planted files is gone or changed."""
    for name in _planted(cwd):
        path = cwd / name
        if name not in _FOREIGN_LINKS:
            if not path.is_file() or path.read_bytes() != name.encode():
                yield f"{name} is gone or changed"
            continue
        if not path.is_symlink():
            yield f"the link {name} is gone"
        if _target(cwd, name).read_bytes() != name.encode():
            yield f"what {name} leads to was written to"


def l2_broken(now: State, old: State, new: State) -> Iterator[str]:
    """Say which folders are neither as they were nor as they will be: half of one, or mixed."""
    for place, files in now.items():
        if place in ("data", "meta"):  # single files, each for itself
            for name, md5 in files.items():
                if md5 not in (old.get(place, {}).get(name), new.get(place, {}).get(name)):
                    yield f"{name} is neither the old nor the new one"
        elif files not in (old.get(place), new.get(place)):
            yield f"data/{place} is neither the old nor the new one: {sorted(files)}"


def l2_broken_after_recovery(now: State, old: State, new: State, replaces: bool) -> Iterator[str]:
    """Say what is missing when the next command has repaired what there was to repair."""
    yield from l2_broken(now, old, new)
    for place in old:
        if place not in now and place in new:
            yield f"{place}: the old one is gone, the new one is not there"
    if replaces and _folders(now) not in (_folders(old), _folders(new)):
        kinds = {place: _kind(place, now, old, new) for place in sorted({*_folders(old), *_folders(new)})}
        yield f"neither all old nor all new: {kinds}"


def _folders(state: State) -> State:
    """The stages' folders, and the truth, which belongs to all_data."""
    truth = {name: md5 for name, md5 in state.get("meta", {}).items() if name == "meta/truth.npz"}
    return {**{place: files for place, files in state.items() if place not in ("data", "meta")}, "truth": truth}


def _kind(place: str, now: State, old: State, new: State) -> str:
    found = [_folders(state).get(place) for state in (now, old, new)]
    if found[0] == found[1]:
        return "same" if found[1] == found[2] else "old"
    return "new" if found[0] == found[2] else "gone"


def l3_broken(cwd: Path, now: State, new: State) -> Iterator[str]:
    """Say what the last run left that an undisturbed one doesn't, or lacks."""
    for place in sorted({*now, *new}):
        if now.get(place) != new.get(place):
            yield f"{place}: {sorted(now.get(place, {}))} differ from those of an undisturbed run"
    foreign = {Path(name).parts[1] for name in _planted(cwd)}
    for path in [*cwd.glob("data/.*"), *cwd.glob("meta/.*")]:
        if path.name in _PRIVATE:
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else 0
            if size > _PRIVATE_BYTES:
                yield f"{path.relative_to(cwd)} holds {size:,} bytes"
        elif path.name not in foreign:
            yield f"{path.relative_to(cwd)} was left behind"


@dataclass
class Tally:
    """Counts by kind and case, and the laws that were broken."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def count(self, kind: str, case: str) -> None:
        self.counts[kind, case] += 1

    def blame(self, law: str, kind: str, case: str, detail: str) -> None:
        key = (law, kind, case)
        self.broken[key] += 1
        self.examples.setdefault(key, detail)
