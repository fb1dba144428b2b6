"""One of several workers that train with pfl-research's backend; writes the users it trained on, and the weights.

python trainer.py OUTPUT    to OUTPUT/RANK.json; to be started alone, by torchrun, or as pfl-research documents it
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")  # pfl's own

import numpy as np  # noqa: E402
import torch  # noqa: E402
from pfl.aggregate.simulate import SimulatedBackend  # noqa: E402
from pfl.algorithm.base import NNAlgorithmParams  # noqa: E402
from pfl.algorithm.federated_averaging import FederatedAveraging  # noqa: E402
from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams  # noqa: E402
from pfl.metrics import Weighted  # noqa: E402
from pfl.model.pytorch import PyTorchModel  # noqa: E402

from fedsynth.federated import (  # noqa: E402
    CrossSiloUserSampler,
    FederatedDataset,
    PyTorchTensorDataset,
    current_context,
    get_user_sampler,
)

USERS = list(range(20))
ROUNDS, COHORT = 4, 5
"""20 users in all, in cohorts that two workers can't share evenly."""


class Model(torch.nn.Linear):
    """Linear regression."""

    def loss(self, x: Any, y: Any, eval: bool = False) -> Any:
        """Return the mean squared error."""
        return torch.nn.functional.mse_loss(self(x), y)

    def metrics(self, x: Any, y: Any, eval: bool = False) -> dict[str, Any]:
        """Return the same as pfl wants it."""
        return {"loss": Weighted(self.loss(x, y).item() * len(y), len(y))}


def samplers() -> dict[str, tuple[Callable[[], Any], dict[int, int] | None]]:
    """Return each way to draw users, with its weights."""
    return {
        "random": (get_user_sampler("random", USERS), None),
        "weighted": (get_user_sampler("random", USERS), {user: user + 1 for user in USERS}),
        "silos": (CrossSiloUserSampler("random", user_ids=USERS, num_silos=4), None),
    }


def train(sampler: Callable[[], Any], weights: dict[int, int] | None) -> dict[str, Any]:
    """Train for a few rounds; return the users that this worker trained on, and the weights at the end."""
    users: list[int] = []

    def make(user: int) -> PyTorchTensorDataset:
        users.append(user)
        generator = torch.Generator().manual_seed(user)
        x = torch.randn(user + 1, 3, generator=generator)
        return PyTorchTensorDataset((x, x.sum(1, keepdim=True) * user), user_id=str(user))

    np.random.seed(5)
    torch.manual_seed(0)
    module = Model(3, 1)
    FederatedAveraging().run(
        backend=SimulatedBackend(training_data=FederatedDataset(make, sampler, weights), val_data=None),
        model=PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0)),
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=ROUNDS, evaluation_frequency=ROUNDS, train_cohort_size=COHORT, val_cohort_size=0
        ),
        model_train_params=NNTrainHyperParams(local_batch_size=4, local_num_epochs=1, local_learning_rate=0.05),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
    )
    return {"users": users, "weights": [value for p in module.parameters() for value in p.flatten().tolist()]}


def main() -> None:
    """Train with each sampler, and write what came out."""
    torch.set_num_threads(1)
    result = {name: train(*arguments) for name, arguments in samplers().items()}
    Path(sys.argv[1], f"{current_context().rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main()
