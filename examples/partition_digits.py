"""How six schemes distribute the same samples: scikit-learn's 1,797 handwritten digits, to 30 users.

    pip install scikit-learn -e .
    python examples/partition_digits.py

Prints the measures of heterogeneity of each scheme in one table, and draws who has what: a panel for each scheme, with
a row for each user, whose squares are as dark as the user's share of each digit, and whose bar is as long as the user
has samples. With `--folder data/all_data` the users of shards are written as LEAF's files, for `fedsynth preprocess`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits

import fedsynth

SCHEMES: Mapping[str, Mapping[str, Any]] = {
    "iid": {},
    "quantity": {"sigma": 1.0},
    "dirichlet": {"alpha": 0.3},
    "inner-dirichlet": {"alpha": 3.0},
    "classes": {"classes": 2},
    "shards": {"shards": 2},
}
MEASURES = (
    "quantity.gini",
    "label.classes_per_user",
    "label.majority_share",
    "label.jensen_shannon",
    "label.hellinger",
    "label.total_variation",
)
USERS, LEAST, SEED = 30, 10, 1

SQUARE, BAR, GAP, TOP, SIDE = 22, 130, 60, 90, 50
INK, BLUE = (34, 34, 34), (59, 110, 168)


def main() -> None:
    """Partition by all schemes, print the table and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, default=Path("partition_digits.png"), help="where to draw")
    parser.add_argument("--folder", type=Path, help="where to write the users of shards")
    options = parser.parse_args()
    digits = load_digits()
    parts = {
        scheme: fedsynth.partition(digits.target, users=USERS, scheme=scheme, min_samples=LEAST, seed=SEED, **own)
        for scheme, own in SCHEMES.items()
    }
    for line in table(parts):
        print(line)
    picture(parts, digits.target).save(options.picture, dpi=(192, 192))
    if options.folder is not None:
        fedsynth.write_leaf(options.folder, parts["shards"].take(digits.data))


def table(parts: Mapping[str, fedsynth.Partition]) -> list[str]:
    """Return the measures, a line for each scheme."""
    heads = [name.partition(".")[2] for name in MEASURES]
    lines = [f"{'scheme':<18}" + "".join(f"{head:>18}" for head in heads)]
    for scheme, part in parts.items():
        measured = part.measure()
        lines.append(f"{scheme:<18}" + "".join(f"{measured[name]:>18.3f}" for name in MEASURES))
    return lines


def picture(parts: Mapping[str, fedsynth.Partition], labels: np.ndarray) -> Image.Image:
    """Return a panel for each scheme, three in a row."""
    width, height = 10 * SQUARE + BAR, USERS * SQUARE
    size = (2 * SIDE + 3 * width + 2 * GAP, 2 * (height + TOP) + SIDE)
    image = Image.new("RGB", size, (255, 255, 255))
    draw = ImageDraw.Draw(image)
    for number, (scheme, part) in enumerate(parts.items()):
        left = SIDE + number % 3 * (width + GAP)
        upper = TOP + number // 3 * (height + TOP)
        own = ", ".join(f"{name} {value:g}" for name, value in SCHEMES[scheme].items())
        draw.text((left, upper - 62), f"{scheme}  {own}", INK, ImageFont.load_default(26))
        draw.text((left, upper - 28), "digits 0 to 9", INK, ImageFont.load_default(18))
        draw.text((left + 10 * SQUARE + 8, upper - 28), "samples", INK, ImageFont.load_default(18))
        draw_users(draw, part, labels, left, upper)
    return image


def draw_users(draw: ImageDraw.ImageDraw, part: fedsynth.Partition, labels: np.ndarray, left: int, upper: int) -> None:
    """Draw a row for each user; bars are as long as there is room at 400 samples."""
    for row, indices in enumerate(part.values()):
        counts = np.bincount(labels[indices], minlength=10)
        top = upper + row * SQUARE
        for digit, share in enumerate(counts / counts.sum()):
            shade = tuple(round(255 + (tone - 255) * share**0.5) for tone in BLUE)
            x = left + digit * SQUARE
            draw.rectangle((x, top, x + SQUARE - 2, top + SQUARE - 2), shade)
        x = left + 10 * SQUARE + 8
        length = min(BAR - 8, round(len(indices) * (BAR - 8) / 400))
        draw.rectangle((x, top + 5, x + length, top + SQUARE - 7), INK)


if __name__ == "__main__":
    main()
