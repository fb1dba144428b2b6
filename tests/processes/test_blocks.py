"""Tasks drawn in blocks are, to the last bit, those drawn one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fedsynth.processes.blocks import MOST_NUMBERS, MOST_USERS, cut_blocks
from fedsynth.processes.dataset import Dataset, open_stream
from fedsynth.processes.parameters import FedproxParameters, Parameters
from fedsynth.processes.shifts.parameters import ShiftsParameters

SMALL = {"mean_samples": 1.0, "sigma_samples": 0.5, "max_samples": 30}
DATASETS: dict[str, Any] = {
    "small": Parameters(900, num_dim=5, **SMALL),
    "clusters": Parameters(200, num_dim=3, num_classes=4, prob_clusters=(0.3, 0.5, 0.2), min_samples=1),
    "ten clusters": Parameters(60, num_dim=20, num_classes=30, prob_clusters=(0.1,) * 10, **SMALL),
    "least": Parameters(100, num_dim=1, num_classes=1, min_samples=1, mean_samples=0.0),
    "no noise": Parameters(100, num_dim=4, noise=0.0, model_spread=0.0, **SMALL),
    "usual": Parameters(60),
    "fedprox": FedproxParameters(30, num_dim=3),
    "fedprox alike": FedproxParameters(30, num_dim=3, iid=True),
    "shifts": ShiftsParameters(60, num_dim=4, prob_clusters=(0.4, 0.6)),
}
CASES = [
    (name, stream)
    for name, parameters in DATASETS.items()
    for stream in ("independent", "sequential")
    if (parameters.model, stream) != ("shifts", "sequential")
]


@pytest.mark.parametrize(("name", "stream"), CASES)
def test_blocks_hold_what_tasks_are_one_by_one(name: str, stream: str) -> None:
    dataset = Dataset(DATASETS[name], stream)
    tasks = range(dataset.parameters.num_tasks)
    draws = open_stream(dataset)
    blocks = list(draws.blocks_of(tasks, draws.sizes_of(tasks)))
    assert len(blocks) < len(tasks)
    expected = iter(open_stream(dataset).tasks_of(tasks))
    for block in blocks:
        ends = np.cumsum(block.sizes)
        assert len(block.x) == len(block.y) == ends[-1]
        for user, (end, size) in enumerate(zip(ends, block.sizes, strict=True)):
            task = next(expected)
            assert np.array_equal(block.x[end - size : end], task.x)
            assert np.array_equal(block.y[end - size : end], task.y)
            assert block.truth.keys() == task.truth.keys()
            assert all(np.array_equal(block.truth[key][user], value) for key, value in task.truth.items())
    assert next(expected, None) is None


def test_blocks_hang_on_no_shard() -> None:
    dataset = Dataset(DATASETS["small"], "independent")
    stream = open_stream(dataset)
    runs = [range(900), range(17), range(17, 400), range(400, 900)]
    whole, *parts = (np.concatenate([block.x for block in stream.blocks_of(run, stream.sizes_of(run))]) for run in runs)
    assert np.array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("sizes", [[1], [10**6], [1] * 2000, [10**6, 1, 1, 10**6, 10**6, 1], [400] * 50])
def test_blocks_are_bounded_and_hold_all_tasks_in_order(sizes: list[int]) -> None:
    first, dims, classes = 7, 3, 2
    found = list(cut_blocks(range(first, first + len(sizes)), sizes, dims, classes))
    assert [task for tasks, _ in found for task in tasks] == list(range(first, first + len(sizes)))
    assert [size for _, some in found for size in some] == sizes
    for tasks, some in found:
        numbers = sum(some) * (dims + classes) + len(some) * (dims + 1) * classes
        assert len(tasks) == len(some) <= MOST_USERS
        assert len(some) == 1 or numbers <= MOST_NUMBERS
