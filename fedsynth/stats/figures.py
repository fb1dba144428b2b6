"""Pictures, drawn with Pillow: plain shapes and real type, readable in grey. Here the histograms."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from fedsynth.stats.bins import Bins, choose_bins
from fedsynth.stats.figures_canvas import (
    BAR,
    BEYOND,
    GRID,
    INK,
    SIZE,
    draw_title,
    draw_upright,
    font,
    new_canvas,
    png,
    text_width,
    tick_step,
)
from fedsynth.stats.figures_labels import draw_labels
from fedsynth.stats.figures_models import draw_models
from fedsynth.stats.heterogeneity import Measures
from fedsynth.stats.pictures import write_pictures
from fedsynth.stats.summary import BIN_EDGES, Summary

_MANY = 100_000
"""Users from which on pictures are drawn one after another."""


@dataclass(frozen=True)
class Axes:
    """The rectangle that bars stand in, in pixels, and what its height means. top: the value at the upper edge."""

    left: int
    upper: int
    right: int
    lower: int
    top: float

    def y(self, value: float) -> int:
        """Return the row of a value."""
        return round(self.lower - (self.lower - self.upper) * value / self.top)

    def column(self, number: int, columns: int) -> tuple[int, int]:
        """Return the first and last pixel of one of several equal columns. columns: how many."""
        width = (self.right - self.left) / columns
        return round(self.left + number * width), round(self.left + (number + 1) * width) - 1


def draw_histogram(summary: Summary, name: str) -> Image.Image:
    """Return the histogram of samples per user with title, axes and a bar for the users beyond the last bin."""
    image, draw = new_canvas()
    bins = choose_bins(summary)
    step = tick_step(bins.most)
    axes = Axes(150, 110, SIZE[0] - 40, SIZE[1] - 130, _ceil_to(bins.most, step))
    _draw_grid(draw, axes, step)
    columns = len(bins.users) + (0 if bins.beyond is None else 2)  # one stays empty, before the bar without a width
    for number, users in enumerate(bins.users):
        _draw_bar(draw, axes, axes.column(number, columns), users, BAR)
    if bins.beyond is not None:
        _draw_bar(draw, axes, axes.column(columns - 1, columns), bins.beyond, BEYOND)
    _draw_bin_labels(draw, axes, bins, columns)
    draw.line([(axes.left, axes.lower), (axes.right, axes.lower)], INK, 3)
    draw_title(draw, f"{name}: samples per user")
    draw.text(((axes.left + axes.right) // 2, SIZE[1] - 40), "number of samples", INK, font(), anchor="mm")
    draw_upright(image, "number of users", 40, (axes.upper + axes.lower) // 2)
    return image


def draw_plain_histogram(summary: Summary) -> Image.Image:
    """Return LEAF's picture without labels: the bars of the bins alone, for a paper that brings its own axes."""
    image, draw = new_canvas()
    axes = Axes(60, 60, SIZE[0] - 60, SIZE[1] - 60, max([*summary.bins, 1]))
    for number, users in enumerate(summary.bins):
        _draw_bar(draw, axes, axes.column(number, len(summary.bins)), users, BAR)
    draw.line([(axes.left, axes.lower), (axes.right, axes.lower)], INK, 3)
    return image


def paint_pictures(name: str, summary: Summary, measures: Measures | None) -> dict[str, bytes | None]:
    """Return the pictures' files by their names, None for what does not apply any more.

    `NAME_hist.png` and LEAF's plain `NAME_hist_nolabel.png`; `NAME_labels.png` where labels are classes;
    `NAME_models.png` where there is ground truth. Holds them, some ten kilobytes each.
    """
    pictures: dict[str, Callable[[], Image.Image]] = {
        "hist": lambda: draw_histogram(summary, name),
        "hist_nolabel": lambda: draw_plain_histogram(summary),
    }
    if measures is not None:
        labels, truth = measures.labels, measures.truth
        if labels is not None:
            pictures["labels"] = lambda: draw_labels(labels, None if truth is None else truth.cluster, name)
        if truth is not None and truth.has_models:
            pictures["models"] = lambda: draw_models(truth, name)
    at_once = 1 if summary.users > _MANY else None  # each holds arrays of all users
    with ThreadPoolExecutor(at_once) as pool:  # compressing a picture lets the next one be drawn meanwhile
        painted = dict(zip(pictures, pool.map(lambda kind: png(pictures[kind]()), pictures), strict=True))
    missing = [] if measures is None else [kind for kind in ("labels", "models") if kind not in painted]
    return {f"{name}_{kind}.png": painted.get(kind) for kind in (*painted, *missing)}


def save_pictures(folder: Path, name: str, summary: Summary, measures: Measures | None) -> list[Path]:
    """Write the pictures that apply into a folder, each in one step; return their paths."""
    painted = paint_pictures(name, summary, measures)
    return write_pictures({folder / file: content for file, content in painted.items()})


def _ceil_to(value: int, step: int) -> int:
    return -(-value // step) * step


def _draw_grid(draw: ImageDraw.ImageDraw, axes: Axes, step: int) -> None:
    for value in range(0, int(axes.top) + 1, step):
        draw.line([(axes.left, axes.y(value)), (axes.right, axes.y(value))], GRID, 2)
        draw.text((axes.left - 16, axes.y(value)), f"{value:,}", INK, font(), anchor="rm")


def _draw_bar(draw: ImageDraw.ImageDraw, axes: Axes, column: tuple[int, int], users: int, colour: str) -> None:
    if users:
        first, last = column
        upper = min(axes.y(users), axes.lower - 8)  # a single user among thousands still shows
        draw.rectangle([(first + 2, upper), (last - 2, axes.lower)], colour)


def _draw_bin_labels(draw: ImageDraw.ImageDraw, axes: Axes, bins: Bins, columns: int) -> None:
    """Draw the edges of the bins, as many as there is room for; bins of one number have it in their middle."""
    single = bins.edges[1] - bins.edges[0] == 1
    shown = bins.edges[:-1] if single else bins.edges
    width = (axes.right - axes.left) / columns
    every = math.ceil((text_width(str(bins.edges[-1])) + 16) / width)
    for number, edge in enumerate(shown):
        first, last = axes.column(number, columns)
        x = (first + last) // 2 if single else first
        draw.line([(x, axes.lower), (x, axes.lower + 10)], INK, 2)
        if number % every == 0:
            draw.text((x, axes.lower + 18), str(edge), INK, font(), anchor="ma")
    if bins.beyond is not None:
        first, last = axes.column(columns - 1, columns)
        text = f">{bins.edges[-1]}" if bins.edges == BIN_EDGES else f"{bins.edges[-1]}+"  # LEAF's last is closed
        draw.text(((first + last) // 2, axes.lower + 18), text, INK, font(), anchor="ma")
