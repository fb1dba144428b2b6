"""LEAF's way of writing options, in click: single-dash long names, options without a value, no guessing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from itertools import takewhile, zip_longest
from pathlib import Path
from typing import Any, TypeVar

import click

from fedsynth.errors import FedsynthError, UsageError

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Decorator = Callable[[Decorated], Decorated]

_LEAFS = re.compile(r"-[a-z][-a-z]+")
"""An option such as -num-tasks."""

_NUMBER = re.compile(r"-[0-9.]")
_NUMBERS = re.compile(r"[-+0-9.,e]*[0-9][-+0-9.,e]*")
_LIST = re.compile(r"[-0-9, ]*")
_TYPED = f"{__name__}.typed"
"""In a context's meta: the words of the command line, without values."""


def option(*names: str, **attributes: Any) -> Decorator[Any]:
    """An option of a command."""
    return click.option(*names, **attributes)


def bare(*names: str, value: str, **attributes: Any) -> Decorator[Any]:
    """An option that may be given without a value."""
    return click.option(*names, is_flag=False, flag_value=value, default=None, **attributes)


data_dir = option(
    "-data-dir",
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    help="The folder of the stages' folders (default: data); meta/ lies beside it.",
)
DATASET_NAME = "synthetic"
"""LEAF's; somebody's own data, partitioned, is called after its source."""
dataset_name = option(
    "--name", default=DATASET_NAME, help="The dataset's name (default: synthetic); shakespeare splits in order."
)
workers = option("-workers", "--workers", type=int, default=1, help="Processes on this machine (1: this one alone).")
scheduler = option("-scheduler", "--scheduler", metavar="ADDRESS", help="Run on the workers of this Dask scheduler.")
overwrite = option("--overwrite", is_flag=True, help="Replace what is there.")


class LeafCommand(click.Command):
    """A command that takes no option it does not know: click alone would read `-tf 0.8` as `-t f`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Check the names of all options, then parse. Raises UsageError that suggests the nearest one."""
        known = [name for param in self.get_params(ctx) for name in param.opts if name.startswith("-")]
        for word in args[: args.index("--")] if "--" in args else args:
            name = word.partition("=")[0]
            if name.startswith("-") and name != "-" and not _NUMBER.match(name) and name not in known:
                meant = _suggestion(name, known) or f"; `{ctx.command_path} --help` lists all"
                raise UsageError(f"no option {name}{meant}")
        self._check_negative(ctx, args)
        self._check_lists(ctx, args)
        ctx.meta[_TYPED] = {word.partition("=")[0] for word in args}
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; in its errors parameters are called as the user typed them."""
        try:
            return super().invoke(ctx)
        except FedsynthError as error:
            error.words = {
                "overwrite": "--overwrite",
                "data_dir": "--data-dir",
                **{param.name: option_name(param, ctx) for param in self.params if param.name and _is_option(param)},
            }
            raise

    def _check_negative(self, ctx: click.Context, args: list[str]) -> None:
        """Click takes a negative number after an option that may stand alone for another option."""
        alone = {name for param in self.get_params(ctx) if _may_stand_alone(param) for name in param.opts}
        for word, following in zip_longest(args, args[1:], fillvalue=""):
            name, given, value = word.partition("=")
            value = value if given else following
            if name in alone and _NUMBER.match(value):
                raise UsageError(f"{name} is {value}, expected a value that is not negative")

    def _check_lists(self, ctx: click.Context, args: list[str]) -> None:
        """Click takes what stands after a list's first number for arguments."""
        lists = {name for param in self.get_params(ctx) if _holds_numbers(param) for name in param.opts}
        for position, word in enumerate(args):
            name, given, value = word.partition("=")
            words = [value] if given else []
            words += takewhile(_NUMBERS.fullmatch, args[position + 1 :])
            if name in lists and len(words) > 1:
                found = ",".join(number for word in words for number in word.split(",") if number)
                raise UsageError(f"{name} is {' '.join(words)}, expected commas and no blanks: {name} {found}")


def option_name(param: click.Parameter, ctx: click.Context) -> str:
    """Return a parameter's option as it was typed; else with one dash, as LEAF's, where another option was typed so."""
    typed = ctx.meta[_TYPED]
    as_leaf = any(map(_LEAFS.fullmatch, typed))
    names = [name for name in param.opts if name in typed] or sorted(param.opts, key=len, reverse=not as_leaf)
    return names[0]


def as_typed(name: str) -> str:
    """Return the option of the running command's parameter of this name, see `option_name`."""
    ctx = click.get_current_context()
    return next(option_name(param, ctx) for param in ctx.command.params if param.name == name)


def _is_option(param: click.Parameter) -> bool:
    return isinstance(param, click.Option)


def _may_stand_alone(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and not param.is_flag and isinstance(param.flag_value, str)


def _holds_numbers(param: click.Parameter) -> bool:
    return isinstance(param, click.Option) and any(form in (param.metavar or "") for form in ("N,N", "P,P"))


def parse_probabilities(ctx: click.Context, param: click.Parameter, value: Any) -> tuple[float, ...] | None:
    """Return the numbers of "0.5,0.25,0.25"; a sequence of numbers (main.py's constant) is taken as it is."""
    if value is None:
        return None
    parts = value.split(",") if isinstance(value, str) else value
    try:
        return tuple(float(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{option_name(param, ctx)} is {value!r}, expected probabilities such as 0.5,0.5") from error


def parse_sizes(text: str) -> tuple[int, ...]:
    """Return the numbers of "5,12,7", or of a file that holds such, or one on each line. Raises UsageError."""
    found = text
    if not _LIST.fullmatch(text):
        try:
            found = Path(text).read_text()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "no text"
            raise UsageError(
                f"{as_typed('sizes')} is {text!r}, which is no list and no file ({why}), expected 5,12,7"
            ) from error
    try:
        return tuple(int(word) for word in found.replace(",", " ").split())
    except ValueError as error:
        raise UsageError(f"{text}: {error}, expected numbers of samples between spaces, commas or lines") from error


def _suggestion(name: str, known: list[str]) -> str:
    plain = {option.lstrip("-"): option for option in reversed(known)}
    close = difflib.get_close_matches(name.lstrip("-"), plain, n=1, cutoff=0.5)
    return f", did you mean {plain[close[0]]}?" if close else ""
