"""The range in which a knob is searched, and the parameter at each point of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from fedsynth.processes.shifts.parameters import LEAST_ALPHA, MOST_ALPHA
from fedsynth.targets import Found, find_knob


@dataclass(frozen=True)
class Search:
    """Where a knob is searched. turn: from a point in [low, high] to the parameter; rising: as the level does."""

    low: float
    high: float
    rising: bool = True
    start: float | None = None
    width: float | None = None
    turn: Callable[[float], float] = float
    close: float = 0.02
    """Part of the tolerance that is good enough."""

    @property
    def from_the_low_end(self) -> Search:
        """A search of many small steps: for levels that rise at first, and then no more."""
        return replace(self, start=self.low, width=(self.high - self.low) / 128)

    def value(self, point: float) -> float:
        """Return the parameter at a point, rounded so that the command line with it is short."""
        value = self.turn(point)
        return value if point in (self.low, self.high) else float(f"{value:.9g}")

    def find(self, rising: Callable[[float], float], level: float, close: float) -> Found:
        """Return the point whose level is nearest."""
        low, high = self.low, self.high
        return find_knob(rising, level, low=low, high=high, close=close, start=self.start, width=self.width)


def concentration(point: float) -> float:
    """Return the label_alpha at a point in [0, 1]: inf, then from the most down to the least, evenly in logarithms."""
    return float("inf") if point == 0 else MOST_ALPHA * (LEAST_ALPHA / MOST_ALPHA) ** point
