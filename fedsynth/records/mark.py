"""What is fedsynth's own: private folders, told by a mark. Only what is in them is ever deleted unasked.

A private folder is `.fedsynth` in a data folder or beside records, where stages are made, and a disk cache's. A folder
of such a name without the mark is somebody else's: it is left alone, and the private one gets another name.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

from fedsynth.system import naming, process_is_alive

NAME = ".fedsynth"
"""The name of private folders, and of the mark in each."""

TEXT = "This folder was made by fedsynth, which may delete it and all that is in it.\n"

_PRIVATE = re.compile(f"{re.escape(NAME)}(?:-([1-9][0-9]{{0,8}}))?")


def is_marked(folder: Path) -> bool:
    """Whether a folder, which is none by way of a link, holds the mark. Raises OSError where that can't be told."""
    mark = folder / NAME
    if folder.is_symlink() or mark.is_symlink() or not mark.is_file():
        return False
    try:
        with naming(mark), mark.open("rb") as file:
            found = file.read(len(TEXT) + 1)
        if found == TEXT.encode():
            return True
        return TEXT.encode().startswith(found) and all(path == mark for path in folder.iterdir())  # just being made
    except FileNotFoundError:  # deleted meanwhile
        return False


def find_private(parent: Path) -> Path | None:
    """Return a folder's private folder, None if it has none.

    Also where one of a lower number is gone, which was not ours: else what is in ours would be forgotten.
    """
    try:
        names = [path.name for path in parent.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:  # to list it; it may be entered
        names = [NAME] if os.path.lexists(parent / NAME) else []
    own = sorted((int(match[1] or 0), match[0]) for match in map(_PRIVATE.fullmatch, names) if match)
    return next((parent / name for _, name in own if is_marked(parent / name)), None)


def make_private(parent: Path) -> Path:
    """Return a folder's private folder, made and marked if it was not there. Several processes may do so at once."""
    folder = find_private(parent)
    if folder is not None and _finish_mark(folder):
        return folder
    for folder in _candidates(parent):
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
        if _finish_mark(folder) or (_is_empty(folder) and _mark(folder)) or _finish_mark(folder):  # others did
            return folder
    raise AssertionError  # there are always more names


def put_mark(folder: Path) -> None:
    """Mark a folder that was just made."""
    (folder / NAME).touch(exist_ok=False)
    _write_mark(folder / NAME)


def discard(path: Path) -> None:
    """Delete what is in a private folder, a whole tree or one file; links are not followed. No error if it is gone.

    Nor for what another process holds open on NFS, where such files stay until they are closed: it is left for later.
    """
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=_raise_unless_open)
    else:
        path.unlink(missing_ok=True)


def _raise_unless_open(call: Any, path: str, error: Any) -> None:
    if not isinstance(error[1], FileNotFoundError) and error[1].errno not in (errno.EBUSY, errno.ENOTEMPTY):
        raise error[1]


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Give the name of a new file in the target's folder's private folder, to be renamed over the target at the end.

    The caller makes it, exclusively; on an error it is deleted. What killed processes left for the same target is
    deleted before.
    """
    private = make_private(target.parent)
    for path, pid in _passing(private, target.name):
        if not process_is_alive(pid):
            discard(path)
    new = private / f"{target.name}.{os.getpid()}.{token_hex(4)}"
    try:
        yield new
        new.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            discard(new)
        raise


def _passing(private: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Yield the files that are to be a target of this name, each with the process that made it."""
    for path in list(private.iterdir()):
        match = re.fullmatch(re.escape(name) + r"[.](\d{1,9})[.][0-9a-f]{8}", path.name)
        if match:
            yield path, int(match[1])


def _candidates(parent: Path) -> Iterator[Path]:
    return (parent / (f"{NAME}-{number}" if number else NAME) for number in itertools.count())


def _finish_mark(folder: Path) -> bool:
    """Whether a folder is marked, also once there is more in it: the process that began the mark may have died."""
    if not is_marked(folder):
        return False
    if (folder / NAME).stat().st_size < len(TEXT):
        _write_mark(folder / NAME)
    return True


def _write_mark(mark: Path) -> None:
    """Write the text, and never cut off what is there: others may write the same, and put files beside it."""
    with naming(mark), mark.open("r+b") as file:
        file.write(TEXT.encode())
        file.flush()
        os.fsync(file.fileno())


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


def _mark(folder: Path) -> bool:
    try:
        put_mark(folder)
    except FileExistsError:  # another process was faster
        return is_marked(folder)
    return True
