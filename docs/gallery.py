"""`python docs/gallery.py`: generate, measure and draw the datasets of the gallery, and write docs/gallery.md.

Each dataset is made by the very commands that the page shows, in a folder of its own. With `--tenth`, a tenth of the
users, which is what the tests do; with `--folder FOLDER` the page and its pictures go there.

    pip install -e '.[test]'    # scikit-learn has the digits
    python docs/gallery.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
COLORS = 32
"""Of a picture, which keeps it small."""


@dataclass(frozen=True)
class Exhibit:
    """A dataset. short: its name in the table; command: what makes it, with {users}; text: what to see."""

    name: str
    short: str
    title: str
    command: str
    users: int
    text: str

    def line(self, *, tenth: bool = False) -> str:
        """Return the command."""
        return self.command.format(users=max(self.users // 10, 10) if tenth else self.users)


SHIFTS = "generate -num-tasks {users} -model shifts -prob-clusters 0.4,0.3,0.3"
EXHIBITS = (
    Exhibit(
        "leaf",
        "LEAF",
        "LEAF's default",
        "generate -num-tasks {users}",
        1000,
        "Users differ widely in sizes, labels and features, and not at all in their concepts: no two users' true "
        "models disagree about a sample. In the last picture they lie on a line, one matrix times a number each.",
    ),
    Exhibit(
        "clusters",
        "3 clusters",
        "LEAF's process with three clusters",
        "generate -num-tasks {users} -prob-clusters 0.4,0.3,0.3",
        1000,
        "The same sizes. Users of two clusters disagree about most samples, and labels differ a little more.",
    ),
    Exhibit(
        "fedprox",
        "fedprox",
        "Synthetic(1, 1) of FedProx",
        "generate -num-tasks {users} -model fedprox -seed 0",
        30,
        "The 30 users of the published program. A few of them hold nearly everything, and every two disagree.",
    ),
    Exhibit(
        "shifts-none",
        "none",
        "shifts: no heterogeneity",
        f"{SHIFTS} -sigma-samples 0",
        1000,
        "Every user has as many samples, of the same classes, with the same meaning: what is left in the measures is "
        "chance, which their second column states.",
    ),
    Exhibit(
        "shifts-mild",
        "mild",
        "shifts: mild",
        f"{SHIFTS} -target quantity.gini=0.2 -target label.jensen_shannon=0.1 -target concept.within=0.02 "
        "-target concept.between=0.1 -target feature.between_share=0.1",
        1000,
        "A little of everything.",
    ),
    Exhibit(
        "shifts-medium",
        "medium",
        "shifts: medium",
        f"{SHIFTS} -target quantity.gini=0.4 -target label.jensen_shannon=0.3 -target concept.within=0.1 "
        "-target concept.between=0.3 -target feature.between_share=0.3",
        1000,
        "All four kinds at a level at which one model for all still learns something.",
    ),
    Exhibit(
        "shifts-strong",
        "strong",
        "shifts: strong",
        f"{SHIFTS} -target quantity.gini=0.6 -target label.jensen_shannon=0.6 -target concept.within=0.2 "
        "-target concept.between=0.6 -target feature.between_share=0.5",
        1000,
        "All four kinds at once; each can be turned down alone, with the others as they are.",
    ),
    Exhibit(
        "digits",
        "digits",
        "Real data: handwritten digits, partitioned",
        "partition digits.npz --scheme dirichlet --alpha 0.3 --users {users} --min-samples 5",
        100,
        "scikit-learn's 1,797 digits, saved as `digits.npz` with `x` and `y`, redistributed to users whose shares of "
        "each class are Dirichlet(0.3). There are no true models, so the measures of concepts are skipped.",
    ),
)
MEASURES = (
    "quantity.gini",
    "quantity.effective_users",
    "label.jensen_shannon",
    "label.classes_per_user",
    "feature.between_share.mean",
    "feature.domain_accuracy",
    "concept.disagreement",
    "concept.within",
    "concept.between",
    "gradient.dissimilarity.zero.G",
)
PICTURES = {"hist": "samples per user", "labels": "users and their classes", "models": "the users' true models"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all datasets; write the page, its pictures and its measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tenth", action="store_true", help="a tenth of the users")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs", help="where gallery.md goes")
    options = parser.parse_args(arguments)
    pictures = options.folder / "gallery"
    pictures.mkdir(parents=True, exist_ok=True)
    measured = {exhibit.name: make(exhibit, pictures, tenth=options.tenth) for exhibit in EXHIBITS}
    (pictures / "measures.json").write_text(json.dumps(measured, indent=1) + "\n")
    (options.folder / "gallery.md").write_text(page(measured, pictures, tenth=options.tenth))


def make(exhibit: Exhibit, pictures: Path, *, tenth: bool) -> dict[str, float]:
    """Make a dataset with its command, keep its pictures, and return its measures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if exhibit.name == "digits":
            write_digits(folder / "digits.npz")
        fedsynth(folder, *exhibit.line(tenth=tenth).split())
        measures = json.loads(fedsynth(folder, "stats", "--json", "--pictures"))
        for picture in PICTURES:
            for drawn in (folder / "data").glob(f"*_{picture}.png"):
                keep_small(drawn, pictures / f"{exhibit.name}-{picture}.png")
    found = {measure: value_of(measures, measure) for measure in MEASURES}
    return {measure: round(value, 4) for measure, value in found.items() if value is not None}


def value_of(measures: Mapping[str, Any], measure: str) -> float | None:
    """Return a measure, which may be inside another: `feature.between_share.mean` in `feature.between_share`."""
    if measure in measures:
        return measures[measure]
    for name, value in measures.items():
        if isinstance(value, dict) and measure.startswith(f"{name}."):
            return value_of(value, measure.removeprefix(f"{name}."))
    return None


def write_digits(path: Path) -> None:
    """Write scikit-learn's digits."""
    import numpy as np
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    np.savez(path, x=x, y=y)


def fedsynth(folder: Path, *arguments: str) -> str:
    """Run a command in a folder; return what it prints."""
    path = os.pathsep.join([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    command = [sys.executable, "-m", "fedsynth", *arguments]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def keep_small(picture: Path, target: Path) -> None:
    """Copy a picture at two thirds of its size, with few colours."""
    with Image.open(picture) as image:
        smaller = image.convert("RGB").resize((image.width * 2 // 3, image.height * 2 // 3), Image.Resampling.LANCZOS)
        smaller.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)


def page(measured: Mapping[str, Mapping[str, Any]], pictures: Path, *, tenth: bool = False) -> str:
    """Return the page. measured: by the exhibits' names; pictures: the folder in which they are."""
    lines = [
        "# Gallery",
        "",
        "Eight datasets, each with the command that makes it, what `fedsynth stats` says of it, and its pictures.",
        "`python docs/gallery.py` makes this page: the same commands give you the same data, measures and pictures.",
        "",
        "## All measures side by side",
        "",
        *table(measured),
        "",
        "None, mild, medium and strong are levels of shifts. A dash: skipped, as there is nothing to measure;",
        "Synthetic(1, 1) has no clusters, and the digits have no true models.",
        "[What the measures say](measures.md).",
    ]
    for exhibit in EXHIBITS:
        lines += ["", f"## {exhibit.title}", "", "```sh", f"fedsynth {exhibit.line(tenth=tenth)}", "```", ""]
        lines += [*textwrap.wrap(exhibit.text, 118), "", '<div class="gallery" markdown>', ""]
        for picture, meaning in PICTURES.items():
            file = f"{exhibit.name}-{picture}.png"
            if (pictures / file).exists():
                lines.append(f"![{exhibit.title}: {meaning}](gallery/{file})")
        lines += ["", "</div>"]
    return "\n".join(lines) + "\n"


def table(measured: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the measures of all datasets: a column for each dataset, under its short name."""
    heads = [f"[{exhibit.short}](#{anchor(exhibit.title)})" for exhibit in EXHIBITS]
    lines = [f"| measure | {' | '.join(heads)} |", f"|{' --- |' * (len(heads) + 1)}"]
    for measure in MEASURES:
        values = [shown(measured[exhibit.name].get(measure)) for exhibit in EXHIBITS]
        lines.append(f"| `{measure}` | {' | '.join(values)} |")
    return lines


def anchor(title: str) -> str:
    """Return the address of a heading on its page."""
    return "".join(char for char in title.lower() if char.isalnum() or char in " -").replace(" ", "-")


def shown(value: float | None) -> str:
    """Return a measure as it stands in a table."""
    return "-" if value is None else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


if __name__ == "__main__":
    main()
