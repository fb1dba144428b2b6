"""`meta/dir-checksum.md5`, as `md5sum` writes it, and the check of a folder against such a file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fedsynth.errors import DataError, StageError, named
from fedsynth.records.layout import CHECKSUMS
from fedsynth.records.manifest import Manifest, replace_text
from fedsynth.records.stamp import stamp_file

_LINE = re.compile(r"(?P<escaped>\\?)(?P<md5>[0-9a-f]{32}) [ *](?P<path>.+)", re.DOTALL)


@dataclass(frozen=True)
class Differences:
    """How a data folder differs from a checksum file; paths from the data folder on."""

    changed: list[str]
    missing: list[str]
    new: list[str]
    same: int
    """Number of files that match."""

    def __bool__(self) -> bool:
        return bool(self.changed or self.missing or self.new)


def checksums(data_dir: Path, md5: Callable[[Path], str]) -> dict[str, str]:
    """Return the MD5 sum of every data file below a data folder, by path from its name on, in the order of bytes.

    Folders that are links are walked too, each once; hidden ones are not.
    """
    found = {}
    name = data_dir.resolve().name
    for path in _data_files(data_dir, set()):
        found["/".join([name, *path.relative_to(data_dir).parts])] = md5(path)
    return dict(sorted(found.items(), key=lambda item: os.fsencode(item[0])))


def _data_files(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _data_files(path, seen)
        elif path.name.endswith(".json") and path.is_file():
            yield path


def write_checksums(data_dir: Path, meta_dir: Path, manifest: Manifest) -> None:
    """Write the sums of every data file to `meta/dir-checksum.md5`; what the manifest knows is not read again."""
    lines = [_line(md5, path) for path, md5 in checksums(data_dir, manifest.md5).items()]
    replace_text(meta_dir / CHECKSUMS, "".join(lines))


def verify(data_dir: Path, file: Path) -> Differences:
    """Read every data file and compare the folder with a checksum file.

    Raises StageError if either is missing, DataError if the file holds no checksums.

    The data folder's own name does not count: LEAF's `data/...` is compared with whatever folder is named.
    """
    if not data_dir.is_dir():
        raise StageError(f"{data_dir}: no such folder, expected the data to verify; name it with {named('data_dir')}")
    expected = _read(file)
    found = {_below(path): md5 for path, md5 in checksums(data_dir, lambda path: stamp_file(path).md5).items()}
    return Differences(
        changed=[path for path in expected if path in found and found[path] != expected[path]],
        missing=[path for path in expected if path not in found],
        new=[path for path in found if path not in expected],
        same=sum(found.get(path) == md5 for path, md5 in expected.items()),
    )


def _line(md5: str, path: str) -> str:
    """Return a line as md5sum writes it: a name with line breaks or backslashes is escaped, the line marked by one."""
    escaped = "".join(_ESCAPES.get(char, char) for char in path)
    return f"{md5}  {path}\n" if escaped == path else f"\\{md5}  {escaped}\n"


_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_ESCAPED = re.compile(r"\\[\\nr]")


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_bytes().decode("utf-8", "surrogateescape").split("\n")
    except FileNotFoundError as error:
        raise StageError(f"{file}: no such file, expected checksums; preprocess writes meta/{CHECKSUMS}") from error
    expected = {}
    for number, line in enumerate(lines, 1):
        if not line.strip("\r"):
            continue
        match = _LINE.fullmatch(line.removesuffix("\r") if not line.startswith("\\") else line)
        if match is None:
            raise DataError(f"{file}: line {number} is {line[:60]!r}, expected `MD5  PATH` as md5sum writes it")
        path = match["path"]
        if match["escaped"]:
            path = _ESCAPED.sub(lambda found: {v: k for k, v in _ESCAPES.items()}[found[0]], path)
        expected[_below(path)] = match["md5"]
    if not expected:
        raise DataError(f"{file}: empty, expected lines of `MD5  PATH` as md5sum writes them")
    return expected


def _below(path: str) -> str:
    return path.removeprefix("./").partition("/")[2]
