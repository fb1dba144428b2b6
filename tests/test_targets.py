"""A level in, a knob out: what holds for any rising function."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.targets import find_knob

RISING: dict[str, Callable[[float], float]] = {
    "line": lambda knob: knob,
    "flat ends": lambda knob: 1 / (1 + math.exp(-60 * (knob - 0.7))),
    "steep": lambda knob: knob**9,
    "root": lambda knob: knob ** (1 / 9),
    "steps": lambda knob: math.floor(200 * knob) / 200,
    "jitter": lambda knob: knob + 0.001 * math.sin(1e5 * knob),
}


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.sampled_from(sorted(RISING)), st.floats(0.02, 0.98), st.none() | st.floats(0, 1))
def test_a_level_between_the_ends_is_found(name: str, level: float, start: float | None) -> None:
    rising = RISING[name]
    level = rising(0.0) + level * (rising(1.0) - rising(0.0))
    found = find_knob(rising, level, low=0.0, high=1.0, close=0.003, start=start)
    assert found.level == rising(found.knob) == pytest.approx(level, abs=0.006)


@pytest.mark.parametrize("start", [None, 0.0, 0.3, 1.0])
@pytest.mark.parametrize(("level", "knob"), [(-1.0, 0.0), (2.0, 1.0), (0.0, 0.0), (1.0, 1.0)])
def test_a_level_beyond_an_end_gives_that_end(level: float, knob: float, start: float | None) -> None:
    found = find_knob(lambda knob: knob, level, low=0.0, high=1.0, close=1e-6, start=start)
    assert found.knob == found.level == pytest.approx(knob, abs=1e-6)


def test_a_jump_gives_the_nearer_side() -> None:
    found = find_knob(lambda knob: 0.0 if knob < 0.5 else 1.0, 0.7, low=0.0, high=1.0, close=0.01)
    assert found.level == 1.0
    assert found.knob == pytest.approx(0.5, abs=1e-6)


def test_it_asks_no_more_than_it_may_and_needs() -> None:
    asked: list[float] = []

    def rising(knob: float) -> float:
        asked.append(knob)
        return knob**3

    find_knob(rising, 0.2, low=0.0, high=1.0, close=1e-4)
    assert len(asked) < 15
    asked.clear()
    find_knob(rising, 0.2, low=0.0, high=1.0, close=0.0, most=9)
    assert len(asked) == 9
    asked.clear()
    find_knob(rising, 0.2, low=0.0, high=1.0, close=0.01, start=0.2 ** (1 / 3))
    assert len(asked) == 1
