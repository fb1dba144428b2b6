"""`NAME_models.png`: the true models on their first two principal components."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fedsynth.stats.components import principal_components
from fedsynth.stats.figures_canvas import GRID, INK, WHITE, draw_title, draw_upright, font, new_canvas, tick_step
from fedsynth.truth import Truth

Floats = NDArray[np.float64]

LEFT, UPPER, RIGHT, LOWER = 150, 110, 950, 830
COLOURS = ("#0b5394", "#e08214", "#2d8a57", "#c2a5e0", "#8c1f1f", "#6fc3df", "#5b3f8c", "#d9c02f")
SHAPES = ("circle", "square", "triangle", "diamond", "hexagon")
"""A cluster has both a colour and a shape, 40 pairs in all, so that grey tells them apart."""
_CORNERS = {"square": (4, 45), "triangle": (3, -90), "diamond": (4, 0), "hexagon": (6, 0)}
_MOST_LISTED = 14
MOST_MARKS = 10_000
"""Already a mass in which only where it is denser can be seen; of more users evenly picked ones are marked."""


@dataclass(frozen=True)
class Axis:
    """One axis. low, high: the values at its ends; start, end: the pixels there."""

    low: float
    high: float
    start: int
    end: int

    def pixel(self, value: float) -> int:
        """Return where a value stands."""
        return self.start + round(float((self.end - self.start) * (value - self.low) / (self.high - self.low)))

    def ticks(self) -> list[float]:
        """Return round numbers along the axis, at least one."""
        power = 10.0 ** (math.floor(math.log10(self.high - self.low)) - 3)
        step = tick_step(math.ceil((self.high - self.low) / power), 7) * power
        first = math.ceil(self.low / step)
        return [number * step for number in range(first, math.floor(self.high / step) + 1)]


def draw_models(truth: Truth, name: str) -> Image.Image:
    """Return the users' true models as marks: a colour and shape per cluster, their area by the number of samples.

    Models that lie on a line, or in one point, get a jitter across it; the axis says so.
    """
    coordinates, shares = principal_components(truth)
    marked = evenly_picked(len(coordinates))
    coordinates, sizes = coordinates[marked], np.asarray(truth.num_samples)[marked]
    clusters = np.zeros(len(sizes), np.int64) if truth.cluster is None else truth.cluster[marked]
    image, draw = new_canvas()
    shown = np.stack([_jitter(len(coordinates), offset) if not share else values for values, share, offset in zip(
        coordinates.T, shares, (2, 3), strict=True)], axis=1)  # fmt: skip
    across, up = _axis(shown[:, 0], LEFT, RIGHT), _axis(shown[:, 1], LOWER, UPPER)
    _draw_frame(image, draw, (across, up), shares)
    opacity, largest = mark_opacity(len(sizes)), int(np.max(truth.num_samples))
    for user in np.argsort(-sizes, kind="stable").tolist():  # small ones on top
        radius = mark_radius(int(sizes[user]), largest, len(sizes))
        centre = across.pixel(shown[user, 0]), up.pixel(shown[user, 1])
        _paste_mark(image, centre, radius, int(clusters[user]), opacity)
    draw_title(draw, f"{name}: the users' true models")
    if len(marked) < len(truth.num_samples):
        note = f"{len(marked):,} of {len(truth.num_samples):,} users shown, evenly picked"
        draw.text(((LEFT + RIGHT) // 2, UPPER - 24), note, INK, font(22), anchor="mm")
    _draw_legend(image, draw, truth)
    return image


def evenly_picked(users: int) -> NDArray[np.int64]:
    """Return the positions of the users who get a mark: all, or as many as an eye can tell apart."""
    count = min(users, MOST_MARKS)
    return np.arange(count) * users // max(count, 1)


def mark_radius(size: int, largest: int, users: int) -> int:
    """Return a mark's radius in pixels: its area goes with the number of samples; smaller where there are many."""
    most = min(34.0, max(16.0, 90 / math.pow(users, 0.2)))
    return max(3, round(most * math.sqrt(size / max(largest, 1))))


def mark_opacity(users: int) -> int:
    """Return how opaque marks are, 255 fully: of thousands only a part, so that where they lie denser is darker."""
    return round(215 * min(1.0, max(0.16, math.sqrt(300 / users))))


def _axis(values: Floats, start: int, end: int) -> Axis:
    low, high = float(values.min()), float(values.max())
    margin = 0.06 * (high - low) or max(1.0, abs(low)) * 0.5
    return Axis(low - margin, high + margin, start, end)


def _jitter(users: int, base: int) -> Floats:
    """Return numbers that lie evenly in (0, 1) in any run of users: van der Corput's sequence."""
    jitter = np.zeros(users)
    numbers, unit = np.arange(1, users + 1), 1.0
    while numbers.any():
        unit /= base
        jitter += numbers % base * unit
        numbers //= base
    return jitter


def _draw_frame(
    image: Image.Image, draw: ImageDraw.ImageDraw, axes: tuple[Axis, Axis], shares: NDArray[np.float64]
) -> None:
    across, up = axes
    for value in across.ticks() if shares[0] else []:
        draw.line([(across.pixel(value), UPPER), (across.pixel(value), LOWER)], GRID, 2)
        draw.text((across.pixel(value), LOWER + 14), f"{value:.4g}", INK, font(22), anchor="ma")
    for value in up.ticks() if shares[1] else []:
        draw.line([(LEFT, up.pixel(value)), (RIGHT, up.pixel(value))], GRID, 2)
        draw.text((LEFT - 12, up.pixel(value)), f"{value:.4g}", INK, font(22), anchor="rm")
    draw.rectangle([LEFT, UPPER, RIGHT, LOWER], outline=INK, width=2)
    titles = [
        f"{ordinal} component: {_percent(share)} of the variance"
        if share
        else f"no {ordinal} component: {direction} jitter"
        for ordinal, direction, share in zip(
            ("first", "second"), ("horizontal", "vertical"), shares.tolist(), strict=True
        )
    ]
    draw.text(((LEFT + RIGHT) // 2, LOWER + 76), titles[0], INK, font(), anchor="mm")
    draw_upright(image, titles[1], 36, (UPPER + LOWER) // 2)


def _percent(share: float) -> str:
    return f"{share:.0%}" if 0.01 <= share <= 0.99 or share == 1 else f"{share:.1%}"


def _draw_legend(image: Image.Image, draw: ImageDraw.ImageDraw, truth: Truth) -> None:
    """List the clusters with their users, then what the marks' areas mean."""
    left, y = RIGHT + 46, UPPER + 16
    users = np.bincount(truth.cluster, minlength=truth.num_clusters).tolist() if truth.cluster is not None else []
    for cluster, count in enumerate(users[:_MOST_LISTED]):
        _paste_mark(image, (left, y), 12, cluster, 215)
        draw.text(
            (left + 26, y), f"cluster {cluster}: {count:,} user{'' if count == 1 else 's'}", INK, font(22), anchor="lm"
        )
        y += 36
    if len(users) > _MOST_LISTED:
        draw.text((left + 26, y), f"and {len(users) - _MOST_LISTED} more", INK, font(22), anchor="lm")
        y += 36
    largest = int(np.max(truth.num_samples))
    y += 24
    for size in sorted({largest, largest // 4, largest // 25} - {0}, reverse=True):
        radius = mark_radius(size, largest, min(len(truth.num_samples), MOST_MARKS))
        draw.ellipse([left - radius, y - radius, left + radius, y + radius], outline=INK, width=2)
        draw.text((left + 44, y), f"{size:,} sample{'' if size == 1 else 's'}", INK, font(22), anchor="lm")
        y += 2 * radius + 16


def _paste_mark(image: Image.Image, centre: tuple[int, int], radius: int, cluster: int, opacity: int) -> None:
    """Draw a cluster's mark, centred on a pixel; with a white rim where it is not to show what lies below."""
    shape, rim = SHAPES[cluster % len(SHAPES)], 2 if radius > 6 else 1
    marks = [(radius + rim, WHITE, 255)] if opacity > 200 else []
    for size, colour, strength in [*marks, (radius, COLOURS[cluster % len(COLOURS)], opacity)]:
        mask = _mask(shape, size, strength)
        image.paste(colour, (centre[0] - mask.width // 2, centre[1] - mask.height // 2), mask)


@cache
def _mask(shape: str, radius: int, opacity: int) -> Image.Image:
    """Return a shape with smooth edges; corners lie further out, so that all shapes have the circle's area."""
    scale, side = 4, 2 * math.ceil(1.6 * radius) + 1
    large = Image.new("L", (side * scale, side * scale))
    middle, draw = side * scale / 2, ImageDraw.Draw(large)
    if shape == "circle":
        draw.ellipse([middle - radius * scale, middle - radius * scale, *[middle + radius * scale] * 2], opacity)
    else:
        corners, turn = _CORNERS[shape]
        reach = scale * radius * math.sqrt(2 * math.pi / (corners * math.sin(2 * math.pi / corners)))
        draw.polygon(_polygon(middle, reach, corners, turn), opacity)
    return large.resize((side, side), Image.Resampling.BOX)


def _polygon(middle: float, reach: float, corners: int, turn: float) -> Sequence[tuple[float, float]]:
    angles = [math.radians(turn + 360 * corner / corners) for corner in range(corners)]
    return [(middle + reach * math.cos(angle), middle + reach * math.sin(angle)) for angle in angles]
