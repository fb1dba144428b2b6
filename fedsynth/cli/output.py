"""Standard output that may be closed, full, or no longer read: the work goes on, and the error is raised at the end."""

from __future__ import annotations

import errno
import os
import sys

import click

_failures: list[OSError] = []


def say(text: str) -> None:
    """Print a line on standard output; `close_output` raises what went wrong. What a terminal can't show is escaped."""
    try:
        click.echo(text)
    except UnicodeEncodeError:
        say(text.encode("ascii", "backslashreplace").decode())
    except OSError as error:
        _give_up(error)


def show_usage(command: click.Command) -> None:
    """Print a command's help on standard error, where what was typed is incomplete."""
    click.echo(click.Context(command, info_name="fedsynth").get_help(), err=True)


def close_output() -> None:
    """Write out what is left. Raises OSError if standard output had no room for all; not if nobody reads it."""
    try:
        if not sys.stdout.closed:
            sys.stdout.flush()
    except OSError as error:
        _give_up(error)
    failures = [error for error in _failures if error.errno not in (errno.EPIPE, errno.EBADF)]
    _failures.clear()
    if failures:
        raise OSError(failures[0].errno, f"{failures[0].strerror}, all else is done", "standard output")


def _give_up(error: OSError) -> None:
    """Discard the rest of the output, so that Python does not fail again when it ends."""
    _failures.append(error)
    stream = sys.__stdout__
    if stream is not None and stream is sys.stdout:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
