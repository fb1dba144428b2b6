"""What distinguishes one file's contents from another's."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

BLOCK = 1 << 18


@dataclass(frozen=True)
class FileStamp:
    """What distinguishes a file's contents. size: bytes; mtime_ns: time of the last change; md5: 32 hex digits."""

    size: int
    mtime_ns: int
    md5: str


@dataclass(frozen=True)
class FileState:
    """What shows that a file is still the same. size: bytes; mtime_ns: time of the last change of its contents.

    inode, ctime_ns: show that another file has replaced it, and that it was changed and its time set back.
    """

    size: int
    mtime_ns: int
    inode: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileState:
        """Return the state in a file's status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)


def stamp_file(path: Path) -> FileStamp:
    """Read a file and return its stamp; holds one block of 256 KiB."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
        status = os.fstat(file.fileno())
    return FileStamp(status.st_size, status.st_mtime_ns, digest.hexdigest())
