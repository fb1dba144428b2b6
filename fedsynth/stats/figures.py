"""Pictures, drawn with Pillow: plain shapes and real type, readable in grey."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from fedsynth.stats.summary import BIN_EDGES, Summary

SIZE = (1280, 960)
"""Pixels: 640 x 480 at twice the resolution, so that the pictures are crisp on dense screens too."""

WHITE, INK, GRID, BAR, BEYOND = "#ffffff", "#222222", "#d9d9d9", "#3b6ea8", "#9a9a9a"
_TEXT, _TITLE = 26, 32


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
        """Return the first and last pixel of one of so many equal columns."""
        width = (self.right - self.left) / columns
        return round(self.left + number * width), round(self.left + (number + 1) * width) - 1


def draw_histogram(summary: Summary, name: str) -> Image.Image:
    """Return the histogram of samples per user with title, axes and a bar for the users beyond the last bin."""
    image, draw = _canvas()
    step = tick_step(max([*summary.bins, summary.beyond, 1]))
    axes = Axes(150, 110, SIZE[0] - 40, SIZE[1] - 130, _ceil_to(max([*summary.bins, summary.beyond, 1]), step))
    _draw_grid(draw, axes, step)
    columns = len(summary.bins) + 2  # one stays empty, before the bar that has no width on the axis
    for number, users in enumerate(summary.bins):
        _draw_bar(draw, axes, axes.column(number, columns), users, BAR)
    _draw_bar(draw, axes, axes.column(columns - 1, columns), summary.beyond, BEYOND)
    _draw_bin_labels(draw, axes, columns)
    draw.line([(axes.left, axes.lower), (axes.right, axes.lower)], INK, 3)
    draw.text((SIZE[0] // 2, 50), f"{name}: samples per user", INK, _font(_TITLE), anchor="mm")
    draw.text(((axes.left + axes.right) // 2, SIZE[1] - 40), "number of samples", INK, _font(_TEXT), anchor="mm")
    _draw_upright(image, "number of users", 40, (axes.upper + axes.lower) // 2)
    return image


def draw_plain_histogram(summary: Summary) -> Image.Image:
    """Return LEAF's picture without labels: the bars of the bins alone, for a paper that brings its own axes."""
    image, draw = _canvas()
    axes = Axes(60, 60, SIZE[0] - 60, SIZE[1] - 60, max([*summary.bins, 1]))
    for number, users in enumerate(summary.bins):
        _draw_bar(draw, axes, axes.column(number, len(summary.bins)), users, BAR)
    draw.line([(axes.left, axes.lower), (axes.right, axes.lower)], INK, 3)
    return image


def save_histograms(folder: Path, name: str, summary: Summary) -> list[Path]:
    """Write `NAME_hist.png` and `NAME_hist_nolabel.png` into a folder, each in one step; return the paths."""
    images = {
        folder / f"{name}_hist.png": draw_histogram(summary, name),
        folder / f"{name}_hist_nolabel.png": draw_plain_histogram(summary),
    }
    for path, image in images.items():
        save(image, path)
    return list(images)


def save(image: Image.Image, path: Path) -> None:
    """Write a PNG in one step: an older picture stays until the new one is whole."""
    new = path.with_name(f".{path.name}.new")
    try:
        image.save(new, format="PNG", dpi=(192, 192))
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def tick_step(largest: int, ticks: int = 6) -> int:
    """Return the round number (1, 2 or 5 times a power of ten) that divides 0..largest into at most so many steps."""
    rough = max(1.0, largest / ticks)
    power = 10 ** math.floor(math.log10(rough))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= rough)


def _ceil_to(value: int, step: int) -> int:
    return -(-value // step) * step


def _canvas() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", SIZE, WHITE)
    return image, ImageDraw.Draw(image)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_grid(draw: ImageDraw.ImageDraw, axes: Axes, step: int) -> None:
    for value in range(0, int(axes.top) + 1, step):
        draw.line([(axes.left, axes.y(value)), (axes.right, axes.y(value))], GRID, 2)
        draw.text((axes.left - 16, axes.y(value)), f"{value:,}", INK, _font(_TEXT), anchor="rm")


def _draw_bar(draw: ImageDraw.ImageDraw, axes: Axes, column: tuple[int, int], users: int, colour: str) -> None:
    if users:
        first, last = column
        upper = min(axes.y(users), axes.lower - 8)  # a single user among thousands still shows
        draw.rectangle([(first + 2, upper), (last - 2, axes.lower)], colour)


def _draw_bin_labels(draw: ImageDraw.ImageDraw, axes: Axes, columns: int) -> None:
    for number, edge in enumerate(BIN_EDGES):
        x = axes.column(number, columns)[0]
        draw.line([(x, axes.lower), (x, axes.lower + 10)], INK, 2)
        draw.text((x, axes.lower + 18), str(edge), INK, _font(_TEXT), anchor="ma")
    first, last = axes.column(columns - 1, columns)
    draw.text(((first + last) // 2, axes.lower + 18), f">{BIN_EDGES[-1]}", INK, _font(_TEXT), anchor="ma")


def _draw_upright(image: Image.Image, text: str, x: int, y: int) -> None:
    """Draw text that reads upwards, centred on a point."""
    font = _font(_TEXT)
    left, upper, right, lower = font.getbbox(text)
    label = Image.new("RGB", (math.ceil(right - left) + 8, math.ceil(lower - upper) + 8), WHITE)
    ImageDraw.Draw(label).text((4 - left, 4 - upper), text, INK, font)
    turned = label.rotate(90, expand=True)
    image.paste(turned, (x - turned.width // 2, y - turned.height // 2))
