"""`python -m tests.levels_table [--settings N]`: levels asked for and levels of the files, over random settings.

Settings as the tests draw them, and every eighth a wider one: 50 to 2,000 users of up to 300 samples, 2 to 20 classes,
1 to 5 clusters. Prints for each measure how often it was asked for, and the mean and the worst difference from that of
what `stats` says, and of what is computed here from the text of the files with no code of the package.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from fedsynth.pipeline.generate import generate
from fedsynth.pipeline.solve import solve
from fedsynth.pipeline.stats import measure
from fedsynth.pipeline.target import make_targets
from fedsynth.processes.dataset import Dataset
from fedsynth.processes.shifts.parameters import ShiftsParameters
from tests.test_targets_reached import choose_targets, compute, draw_setting

_WIDE = 8
_PROBE, _COMPARED = 4_000, 300
RELATIVE = ("quantity.mean", "label.classes_per_user")
"""Measures whose difference is given as a share of what was asked."""


@dataclass(frozen=True)
class Trial:
    """One setting. asked, measured, own: by measure; seconds: of the processor, to solve."""

    users: int
    asked: Mapping[str, float]
    measured: Mapping[str, float]
    own: Mapping[str, float]
    seconds: float

    def differences(self, found: Mapping[str, float]) -> dict[str, float]:
        """Return how far off each level is that was asked for."""
        apart = {key: abs(found[key] - level) for key, level in self.asked.items()}
        return {key: value / self.asked[key] if key in RELATIVE else value for key, value in apart.items()}


def draw_wide(rng: random.Random) -> tuple[dict[str, Any], dict[str, Any]]:
    """A setting with more users, samples and dimensions than the tests take time for."""
    fixed, knobs = draw_setting(rng, round(50 * 40 ** rng.random()))
    least, most = fixed["min_samples"], rng.choice([60, 120, 300])
    dims = rng.randint(fixed["concept_dims"], 20)
    fixed |= {"max_samples": most, "concept_dims": dims, "num_dim": dims + rng.randint(2, 20)}
    return fixed, {**knobs, "mean_size": rng.uniform(least + 5, 30)}


def attempt(seed: int) -> Trial:
    """Solve for levels that some knobs give, without those knobs; write the data and measure it in two ways."""
    rng = random.Random(seed)
    fixed, knobs = draw_wide(rng) if seed % _WIDE == 0 else draw_setting(rng, rng.choice([50, 60, 80]))
    chosen: dict[str, tuple[str, float]] = {}
    while not chosen:
        chosen = choose_targets(rng, ShiftsParameters(**fixed, **knobs))
    given = {knob: value for knob, value in knobs.items() if knob not in chosen}
    given.setdefault("mean_size", (fixed["min_samples"] + fixed["max_samples"]) / 2)
    asked = {wish: round(level, 4) for wish, level in chosen.values()}
    started = time.process_time()
    solution = solve(ShiftsParameters(**fixed, **given), make_targets(asked))
    seconds = time.process_time() - started
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder / "data", Dataset(solution.parameters))
        found = measure(folder / "data/all_data")
        own = compute(folder, set(asked)) | disagreements(folder)
    measured = {key: found[key]["mean"] if isinstance(found[key], dict) else found[key] for key in asked}
    return Trial(fixed["num_tasks"], asked, measured, own, seconds)


def disagreements(folder: Path) -> dict[str, float]:
    """The `concept.` disagreements of some users, on samples of all: both drawn for this function."""
    content = json.loads((folder / "data/all_data/all_data.json").read_text())
    x = [np.array(content["user_data"][user]["x"]) for user in content["users"]]
    with np.load(folder / "meta/truth.npz") as truth:
        models, clusters = truth["models"], truth["cluster"]
    rng = np.random.default_rng(1)
    probe = np.array([x[user][rng.integers(len(x[user]))] for user in rng.integers(len(x), size=_PROBE)])
    some = rng.permutation(len(x))[:_COMPARED]
    clusters, says = clusters[some], np.array([np.argmax(probe @ m[1:] + m[0], axis=1) for m in models[some]])
    everyone = _alike(says)
    inside = np.sum([_alike(says[clusters == cluster]) for cluster in np.unique(clusters)], axis=0)
    parts = {"disagreement": everyone, "within": inside, "between": everyone - inside}
    return {f"concept.{key}": 1 - alike / pairs / _PROBE for key, (pairs, alike) in parts.items() if pairs}


def _alike(says: np.ndarray) -> np.ndarray:
    """How many pairs of users there are, and on how many samples in all they agree."""
    same = sum(int((count * (count - 1)).sum()) for count in ((says == c).sum(axis=0) for c in np.unique(says)))
    return np.array([len(says) * (len(says) - 1), same])


def table(trials: list[Trial]) -> Iterator[str]:
    """Yield a line for each measure, in Markdown."""
    by_stats, by_files = defaultdict(list), defaultdict(list)
    for trial in trials:
        for key, value in trial.differences(trial.measured).items():
            by_stats[key].append(value)
        for key, value in trial.differences(trial.own).items():
            by_files[key].append(value)
    yield "| measure | asked | `stats`: mean | worst | from the files: mean | worst |"
    yield "| --- " * 6 + "|"
    for key in sorted(by_stats):
        cells = [f"{function(found[key]):.4f}" for found in (by_stats, by_files) for function in (mean, max)]
        yield f"| `{key}` | {len(by_stats[key])} | {' | '.join(cells)} |"


def main() -> None:
    """Try all settings; print the table and the seconds that solving took."""
    parser = argparse.ArgumentParser(prog="python -m tests.levels_table", description=__doc__)
    parser.add_argument("--settings", type=int, default=104, help="how many (104)")
    trials = []
    for seed in range(parser.parse_args().settings):
        trials.append(attempt(seed))
        print(f"{seed + 1}: {trials[-1]}", file=sys.stderr, flush=True)
    print("\n".join(table(trials)))
    seconds = [trial.seconds for trial in trials]
    print(f"{len(trials)} settings; to solve one: mean {mean(seconds):.1f}, worst {max(seconds):.1f} processor seconds")


if __name__ == "__main__":
    main()
