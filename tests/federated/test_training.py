"""pfl-research's own training loop runs on what the pipeline made and `load` loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from fedsynth.federated import FederatedDataset, load, load_splits  # noqa: E402
from tests.commands import fedsynth, generate  # noqa: E402
from tests.federated.reference import pfl  # noqa: E402


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    generate(folder, 100)
    seeds = ("--smplseed", 1, "--spltseed", 2)
    fedsynth(folder, "preprocess", "-s", "niid", "--sf", "1.0", "-k", "5", "-t", "sample", *seeds)
    return folder / "data"


def train(training_data: FederatedDataset, val_data: FederatedDataset, rounds: int) -> list[float]:
    """Train a linear model; return the accuracy over the validation users before each round."""
    pfl()
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.callback.base import TrainingProcessCallback
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.metrics import Metrics, Weighted
    from pfl.model.pytorch import PyTorchModel

    class Classifier(torch.nn.Linear):  # type: ignore[misc]
        def loss(self, x: Any, y: Any, eval: bool = False) -> Any:
            return torch.nn.functional.cross_entropy(self(x), y)

        def metrics(self, x: Any, y: Any, eval: bool = False) -> dict[str, Any]:
            return {"accuracy": Weighted((self(x).argmax(1) == y).sum().item(), len(y))}

    accuracies: list[float] = []

    class Record(TrainingProcessCallback):  # type: ignore[misc]
        def after_central_iteration(self, aggregate_metrics: Any, model: Any, *, central_iteration: int) -> Any:
            metrics = aggregate_metrics.to_simple_dict()
            accuracies.append(next(value for name, value in metrics.items() if "Val" in name and "accuracy" in name))
            return False, Metrics()

    torch.set_num_threads(1)  # more only wait for each other on so small a model
    torch.manual_seed(0)
    module = Classifier(60, 5)
    FederatedAveraging().run(
        backend=SimulatedBackend(training_data=training_data, val_data=val_data),
        model=PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0)),
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds, evaluation_frequency=1, train_cohort_size=20, val_cohort_size=100
        ),
        model_train_params=NNTrainHyperParams(local_batch_size=16, local_num_epochs=2, local_learning_rate=0.05),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        callbacks=[Record()],
    )
    return accuracies


def test_federated_averaging_learns_from_loaded_users(data: Path) -> None:
    training, validation = (
        load(data, subset, framework="torch", dtype="float32", user_sampler="minimize_reuse", seed=1)
        for subset in ("train", "test")
    )
    accuracies = train(training, validation, rounds=12)
    assert len(accuracies) == 12
    assert sum(accuracies[-3:]) / 3 > accuracies[0] + 0.15


def test_pfls_evaluation_runs_on_splits(data: Path) -> None:
    """A DatasetSplit's parts, as meta-learning asks for them, are datasets that the model can train and evaluate on."""
    splits = load_splits(data, framework="torch", dtype="float32", seed=1)
    parts = {user.user_id: user.split() for user, _ in splits.get_cohort(30)}
    users = list(parts)
    training, validation = (
        FederatedDataset(lambda user, part=part: parts[user][part], iter(users * 100).__next__, seed=1)  # type: ignore[misc]
        for part in (0, 1)
    )
    accuracies = train(training, validation, rounds=4)
    assert accuracies[-1] > accuracies[0]
