"""Two streams, one law: LEAF's sequence and the tasks' own streams held against each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fedsynth.processes.dataset import Dataset, open_stream
from fedsynth.processes.parameters import FedproxParameters, Parameters
from fedsynth.processes.registry import INDEPENDENT, LEAF
from tests.commands import peak_memory

TASKS = 400
PROCESSES = {
    "leaf": lambda seed: Parameters(
        TASKS, num_classes=4, num_dim=3, seed=seed, prob_clusters=(0.7, 0.3), max_samples=60
    ),
    "fedprox": lambda seed: FedproxParameters(TASKS, num_classes=4, num_dim=3, seed=seed),
}
SIGNIFICANCE = 1e-3


def describe(parameters: Parameters | FedproxParameters, stream: str) -> dict[str, NDArray[np.float64]]:
    """One number for each task: what must have the same distribution whichever the stream."""
    draws = open_stream(Dataset(parameters, stream))
    tasks = range(parameters.num_tasks)
    rows = []
    for size, task in zip(draws.sizes_of(tasks), draws.tasks_of(tasks), strict=True):
        x = task.x
        residual = (x - x.mean(axis=0)) if size > 1 else x
        majority = np.bincount(task.y, minlength=4).max() / size
        model = task.truth.get("models")
        if model is None:
            model = draws.shared_truth["Q"] @ task.truth["model_info"]
        agreement = (np.argmax(x @ model[1:] + model[0], axis=1) == task.y).mean()
        rows.append((size, x[:, 0].mean(), x[:, 2].mean(), residual[:, 0].std(), majority, agreement))
    names = ("size", "mean of x", "mean of x, last", "spread of x", "majority share", "agreement")
    return dict(zip(names, np.array(rows).T, strict=True))


def rejected(one: dict[str, NDArray[np.float64]], other: dict[str, NDArray[np.float64]]) -> list[str]:
    """What two samples of tasks differ in, by the two-sample test of Kolmogorov and Smirnov."""
    return [name for name in one if stats.ks_2samp(one[name], other[name]).pvalue < SIGNIFICANCE / len(one)]


@pytest.mark.parametrize("model", PROCESSES)
def test_streams_follow_one_law(model: str) -> None:
    make: Callable[[int], Parameters | FedproxParameters] = PROCESSES[model]
    # The population is one draw for a whole dataset: put several seeds together.
    pooled = {
        stream: [describe(make(seed), stream) for seed in range(seed_from, seed_from + 8)]
        for stream, seed_from in ((LEAF, 0), (INDEPENDENT, 100))
    }
    one, other = ({name: np.concatenate([run[name] for run in runs]) for name in runs[0]} for runs in pooled.values())
    within = [name for name in one if name in ("majority share", "agreement")]
    single = {name: values for name, values in one.items() if name not in within}
    assert rejected(single, other) == []
    # Shares hang on the population, which one run has once: compare the runs' means.
    for name in within:
        means = [[run[name].mean() for run in runs] for runs in pooled.values()]
        assert stats.ks_2samp(*means).pvalue > SIGNIFICANCE


def test_another_law_is_rejected() -> None:
    true = describe(Parameters(TASKS, num_classes=4, num_dim=3), LEAF)
    wrong = describe(Parameters(TASKS, num_classes=4, num_dim=3, sigma_samples=1.0), INDEPENDENT)
    assert "size" in rejected(true, wrong)


def test_a_task_is_the_same_alone_and_among_others() -> None:
    dataset = Dataset(Parameters(30, num_dim=3), INDEPENDENT)
    alone = next(iter(open_stream(dataset).tasks_of(range(17, 18))))
    among = list(open_stream(dataset).tasks_of(range(30)))[17]
    assert (alone.x == among.x).all()
    assert (alone.y == among.y).all()
    assert (open_stream(dataset).sizes_of(range(17, 18))) == [len(alone.y)]


def test_tasks_and_seeds_have_streams_of_their_own() -> None:
    first = [
        task.x[0, 0]
        for seed in range(5)
        for task in open_stream(Dataset(Parameters(20, num_dim=3, seed=seed), INDEPENDENT)).tasks_of(range(20))
    ]
    assert len(set(first)) == 100


@pytest.mark.parametrize(("tasks", "shards", "sizes"), [(10, 3, [4, 3, 3]), (4, 4, [1] * 4), (5, 1, [5])])
def test_shards_are_consecutive_runs_of_nearly_equal_size(tasks: int, shards: int, sizes: list[int]) -> None:
    runs = list(Dataset(Parameters(tasks), num_shards=shards).shards.values())
    assert [len(run) for run in runs] == sizes
    assert [task for run in runs for task in run] == list(range(tasks))


def test_memory_is_flat_in_users(tmp_path: Path) -> None:
    """19,000 users more: less than half a kilobyte each, for names, sizes, offsets in the file and the truth."""
    peaks = []
    for tasks in (1000, 20000):
        options = ["-num-tasks", str(tasks), "-num-dim", "20", "-max-samples", "30", "-data-dir", f"{tasks}/data"]
        script = f"from fedsynth.cli.commands import generate\ngenerate.main({options}, standalone_mode=False)"
        peaks.append(peak_memory(tmp_path, script))
    assert peaks[1] - peaks[0] < 19_000 * 450
