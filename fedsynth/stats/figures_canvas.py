"""What all pictures are drawn with: a white canvas at twice the resolution, real type, round ticks."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SIZE = (1280, 960)
"""Pixels: 640 x 480 at twice the resolution, so that the pictures are crisp on dense screens too."""

WHITE, INK, GRID, BAR, BEYOND = "#ffffff", "#222222", "#d9d9d9", "#3b6ea8", "#9a9a9a"
TEXT, TITLE = 26, 32
"""Sizes of type, in pixels."""


def new_canvas(size: tuple[int, int] = SIZE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """Return a white picture and what draws on it."""
    image = Image.new("RGB", size, WHITE)
    return image, ImageDraw.Draw(image)


@cache
def font(size: int = TEXT) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return the type at so many pixels."""
    return ImageFont.load_default(size)


def text_width(text: str, size: int = TEXT) -> int:
    """Return how many pixels a text takes."""
    left, _, right, _ = font(size).getbbox(text)
    return math.ceil(right - left)


def fitting_text(text: str, width: int, size: int = TEXT) -> str:
    """Return a text, cut short with dots where it would take more than so many pixels."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(f"{text}...", size) > width:
        text = text[:-1]
    return f"{text}..."


def draw_title(draw: ImageDraw.ImageDraw, text: str, width: int = SIZE[0]) -> None:
    """Draw the title, centred at the top."""
    draw.text((width // 2, 50), fitting_text(text, width - 60, TITLE), INK, font(TITLE), anchor="mm")


def draw_upright(image: Image.Image, text: str, x: int, y: int) -> None:
    """Draw text that reads upwards, centred on a point."""
    left, upper, right, lower = font().getbbox(text)
    label = Image.new("RGB", (math.ceil(right - left) + 8, math.ceil(lower - upper) + 8), WHITE)
    ImageDraw.Draw(label).text((4 - left, 4 - upper), text, INK, font())
    turned = label.rotate(90, expand=True)
    image.paste(turned, (x - turned.width // 2, y - turned.height // 2))


def tick_step(largest: int, ticks: int = 6) -> int:
    """Return the round number (1, 2 or 5 times a power of ten) that divides 0..largest into at most so many steps."""
    rough = max(1.0, largest / ticks)
    power = 10 ** math.floor(math.log10(rough))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= rough)


def save(image: Image.Image, path: Path) -> Path:
    """Write a PNG in one step, so that an older picture stays until the new one is whole; return its path."""
    new = path.with_name(f".{path.name}.new")
    try:
        image.save(new, format="PNG", dpi=(192, 192), compress_level=1)  # twice as fast, a third larger
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return path
