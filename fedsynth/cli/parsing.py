"""LEAF's way of writing options, in click: single-dash long names, options without a value, no guessing."""

from __future__ import annotations

import difflib
import re
from typing import Any

import click

from fedsynth.errors import UsageError

_NUMBER = re.compile(r"-[0-9.]")


class LeafCommand(click.Command):
    """A command that takes no option it does not know: click alone would read `-tf 0.8` as `-t f`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check the names of all options, then parse. Raises UsageError that suggests the nearest one."""
        known = [name for param in self.get_params(ctx) for name in param.opts if name.startswith("-")]
        for word in args[: args.index("--")] if "--" in args else args:
            name = word.partition("=")[0]
            if name.startswith("-") and name != "-" and not _NUMBER.match(name) and name not in known:
                raise UsageError(f"no option {name}{_suggestion(name, known)}; `{ctx.command_path} --help` lists all")
        return super().parse_args(ctx, args)


def parse_probabilities(ctx: click.Context, param: click.Parameter, value: Any) -> tuple[float, ...]:
    """Return the numbers of "0.5,0.25,0.25"; a sequence of numbers (main.py's constant) is taken as it is."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(float(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{param.opts[0]} is {value!r}, expected probabilities such as 0.5,0.5") from error


def _suggestion(name: str, known: list[str]) -> str:
    plain = {option.lstrip("-"): option for option in reversed(known)}
    close = difflib.get_close_matches(name.lstrip("-"), plain, n=1, cutoff=0.5)
    return f", did you mean {plain[close[0]]}?" if close else ""
