"""One of several workers: draws cohorts as a training program would and writes what it got as JSON.

    python worker.py OUTPUT [--gloo]

Run with torchrun's environment variables. With --gloo the workers meet in torch.distributed, and OUTPUT of rank 0 holds
what all of them gathered.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fedsynth.federated import Dataset, FederatedDataset, current_context, get_user_sampler

USERS = list(range(50))
COHORT_SIZES = [1, 2, 4, 5, 7, 10, 11, 0, 20, 3] * 5


def make_dataset(weights: dict[int, int] | None) -> FederatedDataset:
    """Return the users that all workers train on."""
    np.random.seed(11)
    return FederatedDataset(
        lambda user: Dataset((np.arange(user + 1),), user_id=str(user)), get_user_sampler("random", USERS), weights
    )


def draw_cohorts(weights: dict[int, int] | None) -> list[list[tuple[str, int]]]:
    """Return this worker's users and seeds of each round."""
    dataset = make_dataset(weights)
    cohorts = []
    for size in COHORT_SIZES:
        cohorts.append([(str(user.user_id), seed) for user, seed in dataset.get_cohort(size)])
        np.random.random(len(cohorts[-1]))  # training draws as many numbers as it has users: workers differ
    return cohorts


def work() -> dict[str, Any]:
    """Return everything that this worker got."""
    part = Dataset((np.arange(20),)).get_worker_partition()
    return {
        "rank": current_context().rank,
        "partition": part.raw_data[0].tolist(),
        "plain": draw_cohorts(None),
        "weighted": draw_cohorts({user: user + 1 for user in USERS}),
    }


def main() -> None:
    """Work, gather, write."""
    result: Any = work()
    if "--gloo" in sys.argv:
        import torch.distributed as dist

        dist.init_process_group("gloo")
        gathered: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(gathered, result)
        assert dist.get_rank() == result["rank"]
        dist.destroy_process_group()
        result = gathered
    Path(sys.argv[1]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
