"""What people see: progress bars on a terminal, a line per stage, and one sentence when something is wrong."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

import click

from fedsynth.cli import OUT_OF_MEMORY
from fedsynth.cli.output import say
from fedsynth.engine import Progress, no_progress
from fedsynth.errors import FedsynthError, UsageError
from fedsynth.pipeline.checksums import Differences
from fedsynth.pipeline.run import StageResult
from fedsynth.words import counted

_OS_ADVICE = {
    errno.ENOSPC: "free some space and run the same command again",
    errno.EDQUOT: "free some space and run the same command again",
    errno.EFBIG: "the limit on file sizes (`ulimit -f`) is too low for this data",
    errno.EACCES: "check who owns the folder and what its permissions are",
    errno.EPERM: "check who owns the folder and what its permissions are",
    errno.EROFS: "choose a folder that can be written with --data-dir",
}


@contextlib.contextmanager
def progress_bar(what: str, users: int, *, unit: str = "user") -> Iterator[Progress]:
    """Show a bar of users, or of other units, on standard error if that is a terminal; users: 0 if not known."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    from tqdm import tqdm  # 40 ms that only terminals pay

    with tqdm(total=users or None, desc=what, unit=unit, leave=False) as bar:

        def advance(users: int) -> None:
            bar.update(users)

        yield advance


def show_result(result: StageResult) -> None:
    """Print the result of a stage on standard output, and what needs attention on standard error."""
    record = result.record
    seed = "" if record.seed is None else f" (seed {record.seed})"
    for name, after in record.after.items():
        what = f"{counted(after['users'], 'user')}, {counted(after['samples'], 'sample')}"
        verb = "kept, made before with the same parameters and input" if result.kept else "done"
        say(f"{record.stage.replace('_', ' ')}: {name}: {what}{seed}: {verb}")
    for note in result.notes:
        warn(note)
    if record.left_out.count:
        count, users = record.left_out.count, record.left_out.users
        more = ", ..." if count > len(users) else ""
        warn(
            f"{record.stage}: dropped {counted(count, 'user')} with too few samples to split: {', '.join(users)}{more}"
        )


def show_differences(differences: Differences) -> None:
    """Print how a folder differs from its checksums."""
    for kind in ("changed", "missing", "new"):
        for path in getattr(differences, kind):
            say(f"{kind}: {printable(path)}")
    say(f"{counted(differences.same, 'file')} {'matches' if differences.same == 1 else 'match'}")


def warn(message: str) -> None:
    """Print one line on standard error, as `printable` has it."""
    with contextlib.suppress(OSError):  # closed or full: there is nowhere else to say it
        click.echo(f"fedsynth: {printable(message)}", err=True)


def printable(text: str) -> str:
    """Return text with unprintable characters escaped, so that names of users and files can't control a terminal."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def explain(error: BaseException) -> tuple[str, int]:
    """Return the sentence for an error and the exit status: 2 for a wrong option, 130 for Ctrl-C, 1 for the rest.

    Raises errors that are nobody's fault but the program's.
    """
    match error:
        case click.Abort() | KeyboardInterrupt():
            return "interrupted; what was unfinished has been removed, run the same command again to go on", 130
        case click.UsageError():
            return error.format_message(), 2
        case UsageError():
            return str(error), 2
        case FedsynthError():
            return str(error), 1
        case OSError():
            return _explain_os_error(error), 1
        case MemoryError():
            return OUT_OF_MEMORY, 1
    raise error


def _explain_os_error(error: OSError) -> str:
    name = error.filename2 or error.filename
    where = "" if name is None else f"{os.fsdecode(name)}: "
    advice = _OS_ADVICE.get(error.errno or 0, "nothing was left half done, run the same command again")
    return f"{where}{error.strerror or error}; {advice}"
