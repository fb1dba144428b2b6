"""What all pictures are drawn with: a white canvas at twice the resolution, real type, round ticks."""

from __future__ import annotations

import math
from functools import cache
from io import BytesIO

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
    """Return the font at a size in pixels."""
    return ImageFont.load_default(size)


def text_width(text: str, size: int = TEXT) -> int:
    """Return how many pixels a text takes."""
    left, _, right, _ = font(size).getbbox(text)
    return math.ceil(right - left)


def fitting_text(text: str, width: int, size: int = TEXT) -> str:
    """Return a text, cut short with dots where it would be wider than `width` pixels; readable as `readable` has it.

    Looks at no more characters than fit, whatever the text's length.
    """
    shown = readable(text[: width + 1])  # none is narrower than a pixel
    if len(text) <= width and text_width(shown, size) <= width:
        return shown
    low, high = 0, len(shown)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if text_width(f"{shown[:middle]}...", size) <= width else (low, middle - 1)
    return f"{shown[:low]}..."


def readable(text: str) -> str:
    """Return a text with escapes for what the type has no signs for, in quotes if nothing would be seen."""
    shown = "".join(char if _has_sign(char) else char.encode("unicode_escape").decode() for char in text)
    return shown if shown.strip() else f'"{shown}"'


@cache
def _has_sign(char: str) -> bool:
    """Return whether the type has a sign of its own for a character; unpaired surrogates have none."""
    if not char.isprintable() or "\ud800" <= char <= "\udfff":
        return False
    return char.isascii() or _bitmap(char) != _bitmap("\ufffe")


def _bitmap(char: str) -> bytes:
    image = Image.new("L", (2 * TEXT, 2 * TEXT))
    ImageDraw.Draw(image).text((TEXT // 2, TEXT // 2), char, 255, font())
    return image.tobytes()


def draw_title(draw: ImageDraw.ImageDraw, text: str, width: int = SIZE[0]) -> None:
    """Draw the title, centred at the top."""
    draw.text((width // 2, 50), fitting_text(text, width - 60, TITLE), INK, font(TITLE), anchor="mm")


def draw_upright(image: Image.Image, text: str, x: int, y: int, *, size: int = TEXT, hanging: bool = False) -> None:
    """Draw text that reads upwards, centred on a point; hanging: with its end at the point, below it."""
    left, upper, right, lower = font(size).getbbox(text)
    label = Image.new("RGB", (math.ceil(right - left) + 8, math.ceil(lower - upper) + 8), WHITE)
    ImageDraw.Draw(label).text((4 - left, 4 - upper), text, INK, font(size))
    turned = label.rotate(90, expand=True)
    image.paste(turned, (x - turned.width // 2, y if hanging else y - turned.height // 2))


def tick_step(largest: int, ticks: int = 6) -> int:
    """Return the round number (1, 2 or 5 times a power of ten) that divides 0..largest into at most `ticks` steps."""
    rough = max(1.0, largest / ticks)
    power = 10 ** math.floor(math.log10(rough))
    return next(int(factor * power) for factor in (1, 2, 5, 10) if factor * power >= rough)


def png(image: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    file = BytesIO()
    image.save(file, format="PNG", dpi=(192, 192), compress_level=1)  # twice as fast, a third larger
    return file.getvalue()
