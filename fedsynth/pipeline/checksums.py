"""`meta/dir-checksum.md5`, as `md5sum` writes it, and the check of a folder against such a file."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedsynth.errors import DataError, StageError
from fedsynth.records.manifest import Manifest, replace_text
from fedsynth.records.stamp import stamp_file

FILE_NAME = "dir-checksum.md5"
_LINE = re.compile(r"(?P<md5>[0-9a-f]{32}) [ *](?P<path>.+)")


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
    """Return the MD5 sum of every data file below a data folder, by path from its name on, in the order of bytes."""
    found = {}
    for path in data_dir.rglob("*.json"):
        parts = path.relative_to(data_dir).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            found["/".join([data_dir.absolute().name, *parts])] = md5(path)
    return dict(sorted(found.items(), key=lambda item: item[0].encode("utf-8", "surrogateescape")))


def write_checksums(data_dir: Path, meta_dir: Path, manifest: Manifest) -> None:
    """Write the sums of every data file to `meta/dir-checksum.md5`; what the manifest knows is not read again."""
    lines = [f"{md5}  {path}\n" for path, md5 in checksums(data_dir, manifest.md5).items()]
    replace_text(meta_dir / FILE_NAME, "".join(lines))


def verify(data_dir: Path, file: Path) -> Differences:
    """Read every data file and compare the folder with a checksum file.

    Raises StageError if either is missing, DataError if the file holds no checksums.

    The data folder's own name does not count: LEAF's `data/...` is compared with whatever folder is named.
    """
    if not data_dir.is_dir():
        raise StageError(f"{data_dir}: no such folder, expected the data to verify; name it with --data-dir")
    expected = _read(file)
    found = {_below(path): md5 for path, md5 in checksums(data_dir, lambda path: stamp_file(path).md5).items()}
    return Differences(
        changed=[path for path in expected if path in found and found[path] != expected[path]],
        missing=[path for path in expected if path not in found],
        new=[path for path in found if path not in expected],
        same=sum(found.get(path) == md5 for path, md5 in expected.items()),
    )


def _read(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError as error:
        raise StageError(f"{file}: no such file, expected checksums; preprocess writes meta/{FILE_NAME}") from error
    expected = {}
    for number, line in enumerate(lines, 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(f"{file}: line {number} is {line[:60]!r}, expected `MD5  PATH` as md5sum writes it")
        expected[_below(match["path"])] = match["md5"]
    if not expected:
        raise DataError(f"{file}: empty, expected lines of `MD5  PATH` as md5sum writes them")
    return expected


def _below(path: str) -> str:
    return path.removeprefix("./").partition("/")[2]
