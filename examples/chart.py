"""A line chart with Pillow: accuracy against disagreement, an interval at each point, names beside the lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE = (1360, 960)
LEFT, UPPER, RIGHT, LOWER = 130, 110, 1080, 830
INK, GRID, WHITE = "#222222", "#d9d9d9", "#ffffff"
TONES = ("#9a9a9a", "#0b5394", "#e08214", "#2d8a57", "#8c1f1f", "#222222")
"""A line for each; the marks differ too, so that grey tells them apart."""


@dataclass(frozen=True)
class Curve:
    """points: x, y, and half the interval of y."""

    name: str
    points: Sequence[tuple[float, float, float]]


def draw(curves: Sequence[Curve], path: Path) -> None:
    """Write the chart as PNG."""
    image = Image.new("RGB", SIZE, WHITE)
    canvas = ImageDraw.Draw(image)
    most = max(0.1, max(point[0] for curve in curves for point in curve.points))
    _draw_axes(image, canvas, most)
    for number, curve in enumerate(curves):
        _draw_curve(canvas, curve, number, most)
    for number, y in enumerate(_spread([_y(curve.points[-1][1]) for curve in curves], 34)):
        _draw_mark(canvas, RIGHT + 36, y, number)
        canvas.text((RIGHT + 58, y), curves[number].name, INK, _font(26), anchor="lm")
    image.save(path, dpi=(192, 192))


def _x(value: float, most: float) -> int:
    return LEFT + 30 + round((RIGHT - LEFT - 60) * value / most)


def _y(value: float) -> int:
    return LOWER - round((LOWER - UPPER) * value)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _draw_axes(image: Image.Image, canvas: ImageDraw.ImageDraw, most: float) -> None:
    for tenth in range(0, 11, 2):
        canvas.line([(LEFT, _y(tenth / 10)), (RIGHT, _y(tenth / 10))], GRID, 2)
        canvas.text((LEFT - 16, _y(tenth / 10)), f"{tenth / 10:.1f}", INK, _font(26), anchor="rm")
    for tenth in range(int(most * 10 + 1e-9) + 1):
        x = _x(tenth / 10, most)
        canvas.line([(x, LOWER), (x, LOWER + 8)], INK, 2)
        canvas.text((x, LOWER + 16), f"{tenth / 10:.1f}", INK, _font(26), anchor="ma")
    canvas.rectangle([LEFT, UPPER, RIGHT, LOWER], outline=INK, width=2)
    canvas.text((SIZE[0] // 2, 50), "held-out accuracy against concept disagreement", INK, _font(34), anchor="mm")
    words = "concept.between: how often users of two clusters disagree"
    canvas.text(((LEFT + RIGHT) // 2, LOWER + 84), words, INK, _font(26), anchor="mm")
    upright = Image.new("RGB", (560, 40), WHITE)
    ImageDraw.Draw(upright).text((280, 20), "accuracy, mean over users and seeds", INK, _font(26), anchor="mm")
    image.paste(upright.rotate(90, expand=True), (18, (UPPER + LOWER) // 2 - 280))


def _draw_curve(canvas: ImageDraw.ImageDraw, curve: Curve, number: int, most: float) -> None:
    tone = TONES[number % len(TONES)]
    pixels = [(_x(x, most), _y(y)) for x, y, _ in curve.points]
    canvas.line(pixels, tone, 4, joint="curve")
    for (x, y), (_, value, half) in zip(pixels, curve.points, strict=True):
        if math.isfinite(half):
            canvas.line([(x, _y(value - half)), (x, _y(value + half))], tone, 3)
        _draw_mark(canvas, x, y, number)


def _draw_mark(canvas: ImageDraw.ImageDraw, x: int, y: int, number: int) -> None:
    tone = TONES[number % len(TONES)]
    sides = (0, 3, 4, 5, 6, 0)[number % 6]
    if sides:
        canvas.regular_polygon((x, y, 11), sides, 0, tone, WHITE)
    else:
        canvas.ellipse([x - 9, y - 9, x + 9, y + 9], tone if number else WHITE, WHITE if number else tone, 3)


def _spread(heights: Sequence[int], apart: int) -> list[int]:
    """Return heights at least so far apart, each near its own."""
    order = sorted(range(len(heights)), key=lambda number: heights[number])
    found = list(heights)
    for before, after in pairwise(order):
        found[after] = max(found[after], found[before] + apart)
    beyond = max(0, max(found) - (LOWER - 10))
    return [height - beyond for height in found] if beyond else found
