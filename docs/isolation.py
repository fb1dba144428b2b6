"""`python docs/isolation.py`: what each knob of `shifts` moves, and what not: a table, and docs/isolation.png.

From one setting with every kind of heterogeneity in it, one knob after another is turned over its range; the data is
written and measured as `fedsynth stats` does. Means over five seeds. Takes some minutes; the table, in Markdown, goes
to standard output.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from PIL import ImageDraw

from fedsynth.pipeline.generate import generate
from fedsynth.pipeline.stats import measure
from fedsynth.processes.dataset import Dataset
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.stats.figures_canvas import BEYOND, GRID, INK, draw_title, font, new_canvas, save

SEEDS = range(1, 6)
BASE: dict[str, Any] = {
    "num_tasks": 300,
    "num_dim": 30,
    "prob_clusters": (0.4, 0.3, 0.3),
    "mean_size": 60.0,
    "sigma_samples": 1.0,
    "max_samples": 300,
    "label_alpha": 2.0,
    "concept_within": 0.1,
    "concept_between": 0.4,
    "feature_shift": 0.4,
    "label_noise": 0.0,
}
KNOBS: dict[str, tuple[float, ...]] = {
    "mean_size": (15, 30, 60, 120, 200),
    "sigma_samples": (0, 0.5, 1, 1.5, 2, 3),
    "label_alpha": (math.inf, 30, 10, 3, 1, 0.3, 0.1, 0.01),
    "concept_within": (0, 0.05, 0.1, 0.2, 0.3, 0.4),
    "concept_between": (0.1, 0.2, 0.3, 0.4, 0.6, 0.8),
    "label_noise": (0, 0.02, 0.05, 0.1, 0.2, 0.4),
    "feature_shift": (0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99),
}
MEASURES = {
    "quantity.gini": "#c8553d",
    "label.jensen_shannon": "#3b6ea8",
    "concept.within": "#7a4fa3",
    "concept.between": "#2b8a3e",
    "concept.oracle_accuracy": "#8a6d3b",
    "feature.between_share": "#d9a400",
}
"""With the colours of their lines."""
OWN = {
    "sigma_samples": "quantity.gini",
    "label_alpha": "label.jensen_shannon",
    "concept_within": "concept.within",
    "concept_between": "concept.between",
    "label_noise": "concept.oracle_accuracy",
    "feature_shift": "feature.between_share",
}

Levels = Mapping[str, Sequence[float]]
"""By measure, for each value of a knob, the mean over the seeds."""


def main() -> None:
    """Measure, print and draw."""
    found = {}
    print(f"| knob | from ... to | {' | '.join(f'`{key}`' for key in MEASURES)} |")
    print("| --- " * (2 + len(MEASURES)) + "|")
    for knob, values in KNOBS.items():
        found[knob] = measure_knob(knob, values)
        print(table_line(knob, values, found[knob]), flush=True)
    draw(found, Path(__file__).with_name("isolation.png"))


def measure_knob(knob: str, values: Sequence[float]) -> Levels:
    """Return the levels over a knob's range."""
    rows = []
    for number, value in enumerate(values):
        if sys.stderr.isatty():
            print(f"\r\033[K{knob} {number + 1}/{len(values)}", end="", file=sys.stderr, flush=True)
        rows.append([measured(ShiftsParameters(**{**BASE, "seed": seed, knob: value})) for seed in SEEDS])
    return {key: [mean(run[key] for run in row) for row in rows] for key in MEASURES}


def measured(parameters: ShiftsParameters) -> dict[str, float]:
    """Return the levels of the data that parameters give."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "data", Dataset(parameters))
        values = measure(Path(folder) / "data/all_data")
    return {key: values[key]["mean"] if isinstance(values[key], dict) else values[key] for key in MEASURES}


def table_line(knob: str, values: Sequence[float], levels: Levels) -> str:
    """Return a line of the table: of the knob's own measure from where to where, of the others how far they moved."""
    cells = []
    for key, row in levels.items():
        own = OWN.get(knob) == key
        cells.append(f"**{row[0]:.3f} ... {row[-1]:.3f}**" if own else f"{max(row) - min(row):.3f}")
    return f"| `{knob}` | {values[0]:g} ... {values[-1]:g} | {' | '.join(cells)} |"


def draw(found: Mapping[str, Levels], path: Path) -> None:
    """Draw a panel for each knob but the mean size."""
    image, pen = new_canvas((1280, 1100))
    draw_title(pen, "What each knob of shifts moves")
    for number, knob in enumerate(OWN):
        left, upper = 90 + number % 3 * 400, 130 + number // 3 * 430
        draw_panel(pen, (left, upper, left + 330, upper + 320), knob, found[knob])
    for number, (key, colour) in enumerate(MEASURES.items()):
        x, y = 90 + number % 3 * 400, 1000 + number // 3 * 40
        pen.line([(x, y), (x + 40, y)], colour, 6)
        pen.text((x + 52, y), key, INK, font(22), anchor="lm")
    save(image, path)


def draw_panel(pen: ImageDraw.ImageDraw, box: tuple[int, int, int, int], knob: str, levels: Levels) -> None:
    """Draw the measures over a knob's values, which stand at even distances; the knob's own one thick."""
    left, upper, right, lower = box
    for tick in range(0, 11, 2):
        y = lower - (lower - upper) * tick // 10
        pen.line([(left, y), (right, y)], GRID, 2)
        pen.text((left - 10, y), f"{tick / 10:.1f}", BEYOND, font(20), anchor="rm")
    values = KNOBS[knob]
    columns = [left + (right - left) * number // (len(values) - 1) for number in range(len(values))]
    for x, value in zip(columns, values, strict=True):
        pen.text((x, lower + 18), f"{value:g}".replace("0.", "."), BEYOND, font(18), anchor="mm")
    pen.text(((left + right) // 2, upper - 26), knob, INK, font(24), anchor="mm")
    for key, colour in MEASURES.items():
        own = OWN[knob] == key
        line = [(x, lower - (lower - upper) * level) for x, level in zip(columns, levels[key], strict=True)]
        pen.line(line, colour, 8 if own else 3, joint="curve")


if __name__ == "__main__":
    main()
