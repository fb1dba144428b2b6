"""A level asked for -> a knob: bracketing on a rising function; knows nothing of what the function measures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

Rising = Callable[[float], float]


@dataclass(frozen=True)
class Found:
    """A knob and the level that it gives."""

    knob: float
    level: float


def find_knob(
    rising: Rising,
    level: float,
    *,
    low: float,
    high: float,
    close: float,
    start: float | None = None,
    width: float | None = None,
    most: int = 60,
) -> Found:
    """Return the knob in [low, high] whose level is nearest to the one asked for, of those that were tried.

    rising: may have small steps back, as measures of random data have; it is called at most `most` times, and no more
    once a level is `close`. start: a guess, around which a bracket of `width` (1/16 of the range) grows until the
    level is inside; without one the bracket is the whole range. The bracket is then narrowed by the Illinois variant
    of the false position, with a bisection wherever that is slow (Dowell and Jarratt, BIT 11, 1971).
    """
    search = _Search(rising, level, close, most)
    left, right = search.bracket(low, high, start, (high - low) / 16 if width is None else width)
    if left is not None and right is not None:
        search.narrow(left, right)
    return search.best


class _Search:
    """The best of the knobs tried so far. A level's error is its difference from the one asked for."""

    def __init__(self, rising: Rising, level: float, close: float, most: int) -> None:
        self._rising, self._level, self._close, self._left = rising, level, close, most
        self.best = Found(float("nan"), float("inf"))

    @property
    def done(self) -> bool:
        """Whether a level is close enough, or `most` knobs were tried."""
        return self._left <= 0 or abs(self.best.level - self._level) <= self._close

    def try_knob(self, knob: float) -> Found:
        """Measure the level at a knob, and keep it if it is the best so far."""
        found = Found(knob, self._rising(knob))
        self._left -= 1
        if abs(found.level - self._level) <= abs(self.best.level - self._level):  # of a step, the near end
            self.best = found
        return found

    def bracket(
        self, low: float, high: float, start: float | None, width: float
    ) -> tuple[Found, Found] | tuple[None, None]:
        """Return two knobs with the level between them, None where it is beyond an end or found already."""
        if start is None:
            left = self.try_knob(low)
            if self.done or left.level > self._level:
                return None, None
            right = self.try_knob(high)
            return (None, None) if self.done or right.level < self._level else (left, right)
        here = self.try_knob(min(max(start, low), high))
        while not self.done:
            up = here.level < self._level
            end = high if up else low
            if here.knob == end:
                return None, None
            there = self.try_knob(min(here.knob + width, high) if up else max(here.knob - width, low))
            if (there.level < self._level) != up:
                return (here, there) if up else (there, here)
            here, width = there, 2 * width
        return None, None

    def narrow(self, left: Found, right: Found) -> None:
        """Narrow a bracket until it is done, or too narrow to be divided."""
        errors = [left.level - self._level, right.level - self._level]
        side, widths = 0, [right.knob - left.knob]
        while not self.done:
            knob = _next_knob(left.knob, right.knob, errors, widths)
            if not left.knob < knob < right.knob:
                return
            found = self.try_knob(knob)
            error = found.level - self._level
            if error < 0:
                left, errors[0] = found, error
                errors[1] = errors[1] / 2 if side < 0 else errors[1]
                side = -1
            else:
                right, errors[1] = found, error
                errors[0] = errors[0] / 2 if side > 0 else errors[0]
                side = 1
            widths.append(right.knob - left.knob)


def _next_knob(left: float, right: float, errors: list[float], widths: list[float]) -> float:
    """Return where the line between the ends crosses; the middle, if three steps have not halved the bracket."""
    slow = len(widths) > 3 and widths[-1] > widths[-4] / 2
    share = 0.5 if slow or errors[0] == errors[1] else errors[0] / (errors[0] - errors[1])
    return left + (right - left) * min(max(share, 0.0), 1.0)
