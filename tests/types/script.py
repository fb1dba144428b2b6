"""A user's script, which `mypy --strict` is to understand after the README's own installation: see .ci/run.

What is marked as a mistake must be one for mypy: were names or results untyped, it would say that nothing is to ignore.
"""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import fedsynth
from fedsynth import LeafDataset, TabularDataset, load

made = fedsynth.generate("typed", num_tasks=20, model="shifts", num_dim=6, targets={"label.hellinger": 0.3})
assert_type(made, fedsynth.Generated)
assert_type(made.users, int)
assert_type(made.levels[0].reached, float)

done = fedsynth.preprocess("typed", fraction=1.0, split="sample", split_seed=1)
assert_type(done.folders["train"], fedsynth.Folder)

train = LeafDataset(done.folders["train"])
assert_type(train["7"], TabularDataset)
assert_type(train["7"].features, NDArray[Any])
assert_type(train.get("7"), TabularDataset | None)
assert_type({name: len(user) for name, user in train.items()}, dict[str, int])
x, y, user = train.pool()
assert_type(user, NDArray[np.int64])

assert_type(fedsynth.measure(train), dict[str, Any])
assert_type(fedsynth.measure({"a": [0, 1], "b": [1, 1]}), dict[str, Any])
assert_type(fedsynth.compare(train, "typed/test").lines(), list[str])
assert_type(fedsynth.fit("typed/train").arguments, dict[str, Any])
part = fedsynth.partition(y, users=5, alpha=0.5)
assert_type(part["0"], NDArray[np.int64])
for _, seed in load("typed", seed=1).get_cohort(2):
    assert_type(seed, int)

try:
    fedsynth.generate("typed", num_tasks=21)
except fedsynth.FedsynthError as error:
    print(error)


def mistakes() -> None:
    """Never called."""
    fedsynth.generat(num_tasks=1)  # type: ignore[attr-defined]
    fedsynth.generate(num_task=1)  # type: ignore[call-arg]
    fedsynth.generate(num_tasks="1")  # type: ignore[arg-type]
    train[7]  # type: ignore[index]
    made.seed = 2  # type: ignore[misc]
    fedsynth.federated.LeafDatset  # type: ignore[attr-defined]  # noqa: B018
