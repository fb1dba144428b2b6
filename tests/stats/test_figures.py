"""Bars stand for the right numbers, at any number of users."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageColor

from fedsynth.stats.figures import (
    BAR,
    BEYOND,
    INK,
    SIZE,
    WHITE,
    draw_histogram,
    draw_plain_histogram,
    save_histograms,
    tick_step,
)
from fedsynth.stats.summary import summarize

BAR_RGB, BEYOND_RGB, WHITE_RGB = (ImageColor.getrgb(colour) for colour in (BAR, BEYOND, WHITE))


def runs(image: Image.Image, colour: tuple[int, ...]) -> list[tuple[int, int]]:
    """The bars of a colour: for each run of columns just above the axis, its width and the bar's height in pixels."""
    pixels = image.load()
    lower = max(y for y in range(image.height) if pixels[image.width // 2, y] == ImageColor.getrgb(INK)) - 5
    found, width = [], 0
    for x in range(image.width):
        if pixels[x, lower] == colour:
            width += 1
        elif width:
            height = next(y for y in range(lower, -1, -1) if pixels[x - 1, y] != colour)
            found.append((width, lower - height))
            width = 0
    return found


def test_heights_are_proportional_to_users() -> None:
    summary = summarize([5] * 40 + [25] * 20 + [45] * 10 + [500] * 30)
    image = draw_plain_histogram(summary)
    heights = [height for _, height in runs(image, BAR_RGB)]
    assert len(heights) == 3
    assert heights[0] / heights[1] == pytest.approx(2, rel=0.03)
    assert heights[0] / heights[2] == pytest.approx(4, rel=0.06)


def test_bar_beyond_the_bins_has_its_own_colour_and_the_same_scale() -> None:
    image = draw_histogram(summarize([5] * 40 + [500] * 20), "x")
    ((_, first),), ((_, beyond),) = runs(image, BAR_RGB)[:1], runs(image, BEYOND_RGB)
    assert first / beyond == pytest.approx(2, rel=0.03)


@pytest.mark.parametrize("users", [1, 3, 100, 10_000])
def test_any_number_of_users_fits(users: int) -> None:
    image = draw_histogram(summarize([5] * users + [150]), "synthetic")
    assert image.size == SIZE
    assert len(runs(image, BAR_RGB)) == 2, "the single user shows, however small his bar"
    edge = [image.getpixel((x, y)) for x in range(image.width) for y in (0, image.height - 1)]
    assert set(edge) == {WHITE_RGB}


@pytest.mark.parametrize(("largest", "step"), [(1, 1), (6, 1), (7, 2), (429, 100), (61, 20), (60, 10), (12_000, 2000)])
def test_ticks_are_round(largest: int, step: int) -> None:
    assert tick_step(largest) == step


def test_pictures_are_replaced_whole(tmp_path: Path) -> None:
    for users in (3, 5):
        paths = save_histograms(tmp_path, "synthetic", summarize([5] * users))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["synthetic_hist.png", "synthetic_hist_nolabel.png"]
    for path in paths:
        with Image.open(path) as image:
            image.verify()
