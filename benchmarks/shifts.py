"""What the process `shifts` costs beside LEAF's, and what it takes to solve for levels."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Cost, Row, compare, python, run

_SAME_SIZE = ("-mean-size", "107.5")
"""With the default seed 1,000 users have 107,500 samples, as LEAF's process gives them."""
_KNOBS = ("-prob-clusters", "0.3,0.3,0.4", "-concept-within", "0.1", "-concept-between", "0.3", "-label-alpha", "1.5")
_MORE_KNOBS = ("-feature-shift", "0.5", "-label-noise", "0.02")
_TARGETS = (
    "quantity.mean=100",
    "quantity.gini=0.5",
    "label.jensen_shannon=0.3",
    "concept.within=0.1",
    "concept.between=0.3",
    "concept.oracle_accuracy=0.97",
    "feature.between_share=0.4",
)


def rows(folder: Path, pairs: int) -> Iterator[Row]:
    """Measure 1,000 users of `shifts`, the plain side being LEAF's process; then with all kinds of targets."""
    leaf, mine = folder / "leaf", folder / "shifts"
    for side in (leaf, mine):
        side.mkdir()

    def generate(side: Path, *options: str) -> Cost:
        shutil.rmtree(side / "data", ignore_errors=True)
        return run([python("-m", "fedsynth", "generate", "-num-tasks", 1000, *options)], side)

    for work, knobs in {"": (), ", all knobs": (*_KNOBS, *_MORE_KNOBS)}.items():
        yield compare(
            f"generate -model shifts{work} (plain: -model leaf)",
            "<= 1.5",
            plain=lambda: generate(leaf),
            fedsynth=lambda knobs=knobs: generate(mine, "-model", "shifts", *_SAME_SIZE, *knobs),  # type: ignore[misc]
            pairs=pairs,
            check=lambda: None,
        )
    wishes = [word for target in _TARGETS for word in ("-target", target)]
    cost = generate(mine, "-model", "shifts", "-prob-clusters", "0.3,0.3,0.4", *wishes)
    yield Row(f"generate -model shifts, {len(_TARGETS)} targets", None, cost, None, "<= 10 s, 100 MB")
