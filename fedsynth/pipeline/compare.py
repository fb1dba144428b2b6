"""The measures of several folders side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import UsageError
from fedsynth.pipeline.run import Bar, no_bar
from fedsynth.pipeline.stats import describe
from fedsynth.stats.table import flat, side_by_side


@dataclass(frozen=True, repr=False)
class Comparison:
    """Folders and their measures. measured: by the folder's name, what `stats --json` says, in the order asked for.

    notes: what a user should know of where the data is from.
    """

    measured: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """Return a table: a line for each measure that any folder has, a column for each folder."""
        return side_by_side({name: flat(values) for name, values in self.measured.items()})

    def as_json(self) -> dict[str, Any]:
        """Return all numbers, unrounded, as JSON values."""
        return {"folders": {name: dict(values) for name, values in self.measured.items()}}


def compare(
    folders: Sequence[Path], *, features: bool = True, engine: Engine = INLINE, bar: Bar = no_bar
) -> Comparison:
    """Measure folders of LEAF files one after another. features: whether x is parsed.

    Folders are named as they were given; one given twice is an error. Holds what `describe` does, one folder at a
    time. Raises UsageError for no folder or the same twice, and what `describe` raises.
    """
    if not folders:
        raise UsageError("there are no folders to compare, expected one or more; name them")
    name, times = Counter(map(str, folders)).most_common(1)[0]
    if times > 1:
        raise UsageError(f"{name} is to be compared with itself, expected each folder once; leave one out")
    described = {str(folder): describe(folder, features=features, engine=engine, bar=bar) for folder in folders}
    notes = [one.note for one in described.values() if one.note]
    return Comparison({name: one.as_json() for name, one in described.items()}, notes)
