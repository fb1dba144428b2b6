"""`NAME_labels.png`: a heat map of users x classes, and each user's number of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fedsynth.stats.figures_canvas import (
    BAR,
    GRID,
    INK,
    draw_title,
    draw_upright,
    fitting_text,
    font,
    new_canvas,
    text_width,
)
from fedsynth.stats.labels import Label, LabelTable

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_USERS, MOST_CLASSES = 500, 300
WIDTH, LEFT, MAP_RIGHT, BARS_LEFT, BARS_RIGHT, SCALE_LEFT, UPPER = 1280, 190, 800, 830, 1120, 1170, 150
"""Where things stand, in pixels: the map, the bars right of it, the colour bar; their height depends on the users."""

_LONGEST, _LINE, _LONG = 220, 28, 10**15
"""Pixels of the longest name, and of a line of upright ones; numbers from which on only the start is named."""

_TALLEST_ROW, _LEAST_HEIGHT, _MOST_HEIGHT = 60, 300, 1000
_STOPS = np.array([[247, 250, 253], [158, 202, 225], [49, 120, 181], [8, 38, 84]])
COLOURS = np.stack([np.interp(np.linspace(0, 3, 256), range(4), _STOPS[:, part]) for part in range(3)], 1).astype("u1")
"""[256, 3]: from near white to near black, each darker than the one before, so that grey says the same."""


@dataclass(frozen=True)
class Rows:
    """The users shown, from top to bottom. users: positions; groups: cluster, its first row, the one after its last."""

    users: Sequence[int]
    groups: Sequence[tuple[int, int, int]]
    height: int

    def span(self, row: int) -> tuple[int, int]:
        """Return a row's first pixel line and the one after its last."""
        return UPPER + row * self.height // len(self.users), UPPER + (row + 1) * self.height // len(self.users)


def draw_labels(table: LabelTable, clusters: Ints | None, name: str) -> Image.Image:
    """Return the heat map: a row per user, by cluster and majority class, a column per class; with bars and a scale.

    table: of at least one sample; clusters: [users] or None. Evenly picked rows of more than 500 users, and the most
    common of more than 300 classes are shown, and the picture says so.
    """
    classes = _shown_classes(table)
    rows = arrange(table, clusters)
    shares = table.rows(rows.users)[:, classes]
    names = ClassNames.of([table.names[number] for number in classes])
    lower = UPPER + rows.height
    image, draw = new_canvas((WIDTH, lower + names.height + 90))
    top = scale_top(shares)
    image.paste(_heat_map(shares / top, rows), (LEFT, UPPER))
    draw.rectangle([LEFT - 1, UPPER - 1, MAP_RIGHT, UPPER + rows.height], outline=INK)
    _draw_bars(draw, table.sizes[rows.users], rows)
    _draw_scale(image, draw, rows.height, top)
    _draw_groups(draw, rows)
    names.draw(image, draw, lower)
    draw.text(((LEFT + MAP_RIGHT) // 2, lower + names.height + 42), "class", INK, font(), anchor="mm")
    draw.text(((BARS_LEFT + BARS_RIGHT) // 2, lower + names.height + 42), "number of samples", INK, font(), anchor="mm")
    draw_title(draw, f"{name}: labels of {_counted(len(table.sizes), 'user')}")
    draw.text((WIDTH // 2, 96), _note(table, rows, classes), INK, font(22), anchor="mm")
    draw_upright(image, "users, by cluster" if rows.groups else "users", 30, UPPER + rows.height // 2)
    return image


def arrange(table: LabelTable, clusters: Ints | None) -> Rows:
    """Return the order of users: by cluster, then majority class, then its share; thinned to at most 500."""
    starts = np.flatnonzero(np.append(True, table.users[1:] != table.users[:-1]))
    classes, owners = len(table.names), table.users[starts]
    largest, last = np.divmod(
        np.maximum.reduceat(table.counts * classes + classes - 1 - table.classes, starts), classes
    )
    majority, share = np.full(len(table.sizes), classes), np.zeros(len(table.sizes))
    majority[owners] = classes - 1 - last  # the first of those that it has most of
    share[owners] = largest / table.sizes[owners]
    groups = np.zeros(len(table.sizes), np.int64) if clusters is None else clusters
    order = np.lexsort((-share, majority, groups))
    count = min(len(order), MOST_USERS)
    shown = order[np.arange(count) * len(order) // count]
    height = min(max(count * _TALLEST_ROW, _LEAST_HEIGHT), _MOST_HEIGHT)
    if clusters is None:
        return Rows(shown.tolist(), [], height)
    numbers, starts = np.unique(groups[shown], return_index=True)
    ends = [*starts[1:].tolist(), count]
    return Rows(shown.tolist(), list(zip(numbers.tolist(), starts.tolist(), ends, strict=True)), height)


def scale_top(shares: Floats) -> float:
    """Return the share that the darkest colour stands for: 1, or less where all shares are small."""
    return next(top for top in (0.05, 0.1, 0.2, 0.5, 1.0) if shares.max() <= top)


def bar_end(size: float, largest: int) -> int:
    """Return where the bar of `size` samples ends: the axis is logarithmic, from 1 to a power of ten."""
    return BARS_LEFT + round((BARS_RIGHT - BARS_LEFT) * math.log10(max(size, 1)) / _decades(largest))


def _decades(largest: int) -> int:
    return max(1, math.ceil(math.log10(max(largest, 1)) - 1e-9))


def _shown_classes(table: LabelTable) -> list[int]:
    """Return the numbers of the classes that have a column, in order."""
    totals = np.bincount(table.classes, table.counts, len(table.names))
    common = np.argsort(-totals, kind="stable")[:MOST_CLASSES]
    return sorted(common.tolist())


def _heat_map(shares: Floats, rows: Rows) -> Image.Image:
    cells = COLOURS[np.rint(shares * 255).astype(np.int64)]
    width = MAP_RIGHT - LEFT
    lines = np.arange(rows.height) * len(shares) // rows.height
    columns = np.arange(width) * shares.shape[1] // width
    return Image.fromarray(cells[lines][:, columns])


def _draw_bars(draw: ImageDraw.ImageDraw, sizes: Ints, rows: Rows) -> None:
    lower, largest = UPPER + rows.height, int(sizes.max())
    decades = _decades(largest)
    for power in range(decades + 1):
        x = bar_end(10**power, largest)
        draw.line([(x, UPPER), (x, lower + 8)], GRID, 2)
        if power in (0, decades) or decades <= 4:
            draw.text((x, lower + 14), _short(10**power), INK, font(22), anchor="ma")
    for row, size in enumerate(sizes.tolist()):
        first, after = rows.span(row)
        gap = 2 if after - first >= 12 else 0
        if size:
            draw.rectangle([BARS_LEFT, first + gap, max(bar_end(size, largest), BARS_LEFT + 2), after - 1 - gap], BAR)
    draw.line([(BARS_LEFT, UPPER), (BARS_LEFT, lower)], INK, 2)


def _draw_scale(image: Image.Image, draw: ImageDraw.ImageDraw, height: int, top: float) -> None:
    """Draw what the colours of the cells mean."""
    steps = COLOURS[np.linspace(255, 0, height).astype(np.int64)]
    image.paste(Image.fromarray(np.repeat(steps[:, np.newaxis], 30, axis=1)), (SCALE_LEFT, UPPER))
    draw.rectangle([SCALE_LEFT - 1, UPPER - 1, SCALE_LEFT + 30, UPPER + height], outline=INK)
    for part in (0, 0.5, 1):
        y = UPPER + round((1 - part) * (height - 1))
        draw.text((SCALE_LEFT + 40, y), f"{part * top:g}", INK, font(22), anchor="lm")


def _draw_groups(draw: ImageDraw.ImageDraw, rows: Rows) -> None:
    """Draw a line between clusters, and their numbers where there is room."""
    for cluster, first, after in rows.groups:
        upper, lower = rows.span(first)[0], rows.span(after - 1)[1]
        if first and lower - upper > 4:
            draw.line([(LEFT - 20, upper), (BARS_RIGHT, upper)], INK, 2)
        if lower - upper >= 28:
            draw.text((LEFT - 14, (upper + lower) // 2), f"cluster {cluster}", INK, font(22), anchor="rm")


@dataclass(frozen=True)
class ClassNames:
    """How classes are named. texts: of all; every: how many classes a name stands for, 1 but for lack of room.

    height: pixels that they take below the map; upright: read upwards, where columns are too narrow for them.
    """

    texts: Sequence[str]
    every: int
    height: int
    upright: bool

    @classmethod
    def of(cls, names: Sequence[Label]) -> ClassNames:
        """Choose: across where all fit, numbers too if some don't, upright otherwise."""
        column = (MAP_RIGHT - LEFT) / len(names)
        texts = [fitting_text(label_text(name), _LONGEST, 22) for name in names]
        widest = max(text_width(text, 22) for text in texts)
        numbers = all(isinstance(name, int | float) for name in names)
        if widest + 14 <= column or (numbers and widest < _LONGEST / 2):
            return cls(texts, math.ceil((widest + 14) / column), 40, False)
        return cls(texts, math.ceil(_LINE / column), widest + 20, True)

    def draw(self, image: Image.Image, draw: ImageDraw.ImageDraw, lower: int) -> None:
        """Draw them below the map, each with a tick in the middle of its column."""
        column = (MAP_RIGHT - LEFT) / len(self.texts)
        for number in range(0, len(self.texts), self.every):
            x = LEFT + round((number + 0.5) * column)
            draw.line([(x, lower + 2), (x, lower + 8)], INK, 2)
            if self.upright:
                draw_upright(image, self.texts[number], x, lower + 10, size=22, hanging=True)
            else:
                draw.text((x, lower + 14), self.texts[number], INK, font(22), anchor="ma")


def label_text(label: Label) -> str:
    """Return a class's name; of a number of many digits, thousands of which Python won't print, only the first."""
    if not isinstance(label, int) or abs(label) < _LONG:
        return label if isinstance(label, str) else str(label)
    digits = int((abs(label).bit_length() - 1) * math.log10(2)) + 1
    digits += abs(label) >= 10**digits
    return f"{label // 10 ** (digits - 3) if label > 0 else -(-label // 10 ** (digits - 3))}... ({digits:,} digits)"


def _note(table: LabelTable, rows: Rows, classes: Sequence[int]) -> str:
    note = "share of a user's samples in each class"
    if len(rows.users) < len(table.sizes):
        note += f"; {len(rows.users)} users shown, evenly picked"
    if len(classes) < len(table.names):
        note += f"; the {len(classes)} most common of {len(table.names):,} classes"
    return note


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _short(number: int) -> str:
    return next(
        (f"{number // unit}{name}" for unit, name in ((10**6, "M"), (10**3, "k")) if number >= unit), str(number)
    )
