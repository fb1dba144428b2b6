"""`-target`: what is being tried while it is solved, and what was reached."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fedsynth.pipeline.solve import Level


def target_lines(levels: Sequence[Level]) -> Iterator[str]:
    """Yield a table of the levels that were asked for."""
    yield f"{'target':<25} {'asked':>9} {'reached':>9} {'chance':>9}"
    for level in levels:
        numbers = (level.target.level, level.reached, level.chance)
        yield f"{level.target.measure:<25} " + " ".join(f"{_number(number):>9}" for number in numbers)


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.1f}" if value >= 100 else f"{value:.3f}"


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[str], None]]:
    """Show on one line of standard error what is being tried, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return

    def show(text: str) -> None:
        click.echo(f"\r\033[Ksolving {text}", nl=False, err=True)

    try:
        yield show
    finally:
        click.echo("\r\033[K", nl=False, err=True)
