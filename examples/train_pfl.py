"""Does heterogeneity make meta-learning struggle? Train on users of 1, 2, 3 and 5 clusters and see.

    pip install torch==2.13.0 'pfl==0.6.*' -e .
    python examples/train_pfl.py

Multinomial logistic regression, which is what the labels come from, in four ways: one model for all users by pfl-
research's FedAvg; one starting point that each user trains further, by its Reptile; each user alone; and the oracle,
each user's true model. Prints one table, the mean over users of the accuracy on their validation samples, and draws it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from fedsynth import FederatedDataset, LeafDataset, get_user_sampler, load_splits
from fedsynth.stats.figures import Axes
from fedsynth.stats.figures_canvas import GRID, INK, SIZE, TEXT, draw_title, draw_upright, font, new_canvas, save

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about frameworks that are not installed
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams, PersonalizedNNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.algorithm.reptile import Reptile
    from pfl.callback.base import TrainingProcessCallback
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.metrics import Metrics, Weighted, user_average
    from pfl.model.pytorch import PyTorchModel

LOCAL = NNTrainHyperParams(local_batch_size=16, local_num_epochs=5, local_learning_rate=0.05)
"""What a user does when it is his turn, in FedAvg and in Reptile, and when Reptile's model becomes his own."""
COHORT = 30


class Classifier(torch.nn.Linear):
    """Multinomial logistic regression, with the loss and the metrics that pfl asks for."""

    def loss(self, x: Any, y: Any, eval: bool = False) -> Any:
        return torch.nn.functional.cross_entropy(self(x), y)

    def metrics(self, x: Any, y: Any, eval: bool = False) -> dict[str, Any]:
        return {"accuracy": (Weighted((self(x).argmax(1) == y).sum().item(), len(y)), user_average)}


class LastMetrics(TrainingProcessCallback):
    """Keep the metrics of the last evaluation."""

    def after_central_iteration(self, aggregate_metrics: Any, model: Any, *, central_iteration: int) -> Any:
        metrics = aggregate_metrics.to_simple_dict()
        if any("Val" in name for name in metrics):
            self.accuracies = {name: value for name, value in metrics.items() if "accuracy" in name}
        return False, Metrics()

    def only(self, *parts: str) -> float:
        """Return the one accuracy whose name has all these parts."""
        (value,) = (value for name, value in self.accuracies.items() if all(part in name for part in parts))
        return float(value)


@dataclass(frozen=True)
class Setting:
    """One dataset and how long to train on it. data: the folder with train and test; rounds: central iterations."""

    data: Path
    rounds: int

    def splits(self) -> FederatedDataset:
        """Return the users, each as the split that the pipeline made, in an order that visits all before any again."""
        return load_splits(self.data, framework="torch", dtype="float32", user_sampler="minimize_reuse", seed=1)

    def users(self) -> dict[str, tuple[Any, Any]]:
        """Return each user's train and validation part."""
        count = len(LeafDataset(self.data / "train"))
        return {user.user_id: user.split() for user, _ in self.splits().get_cohort(count)}


def fedavg(setting: Setting) -> float:
    """One model for all: trained on cohorts of users, evaluated on everybody's validation part."""
    users = setting.users()
    parts = [
        FederatedDataset(lambda user, part=part: users[user][part], get_user_sampler("minimize_reuse", list(users)))
        for part in (0, 1)
    ]
    params = NNAlgorithmParams(**_schedule(setting, len(users)))
    return _run(FederatedAveraging(), params, parts[0], parts[1]).only("Val population")


def reptile(setting: Setting) -> float:
    """One start for all: evaluated after each user has trained it on his train part."""
    fixed = {"val_split_fraction": None, "min_train_size": None, "min_val_size": None}  # the splits are made already
    params = PersonalizedNNAlgorithmParams(**_schedule(setting, len(setting.users())), **fixed)
    return _run(Reptile(), params, setting.splits(), setting.splits()).only(
        "Val population", "val set", "after local training"
    )


def alone(setting: Setting) -> float:
    """Each user's own model, from nothing but his train part, trained until little changes."""
    return _mean([_train_alone(train.raw_data)(val.raw_data) for train, val in setting.users().values()])


def oracle(setting: Setting) -> float:
    """Each user's true model: what is left is the noise on the labels."""
    truth = LeafDataset(setting.data / "train")
    accuracies = []
    for user, (_, val) in setting.users().items():
        x, y = val.raw_data
        model = torch.tensor(truth.true_model(user), dtype=x.dtype)
        accuracies.append(_accuracy(x @ model[1:] + model[0], y))
    return _mean(accuracies)


METHODS: dict[str, Callable[[Setting], float]] = {
    "FedAvg": fedavg,
    "Reptile": reptile,
    "alone": alone,
    "oracle": oracle,
}
TONES = {"FedAvg": "#b9cde3", "Reptile": "#3b6ea8", "alone": "#9a9a9a", "oracle": "#222222"}


def make_data(folder: Path, clusters: int, tasks: int) -> Path:
    """Generate and split one dataset with the commands that everybody uses; return its data folder."""
    probabilities = ",".join([repr(1 / clusters)] * clusters)
    folder.mkdir(parents=True)
    _fedsynth(folder, "generate", "-num-tasks", tasks, "-prob-clusters", probabilities)
    _fedsynth(folder, "preprocess", "-k", 10, "-t", "sample", "--tf", 0.6, "--spltseed", 1, "--nochecksum")
    return folder / "data"


def draw(results: dict[int, dict[str, float]]) -> Image.Image:
    """Return the table as a picture: for each number of clusters a bar per method."""
    image, canvas = new_canvas()
    axes = Axes(150, 150, SIZE[0] - 40, SIZE[1] - 130, 1.0)
    for tenth in range(0, 11, 2):
        canvas.line([(axes.left, axes.y(tenth / 10)), (axes.right, axes.y(tenth / 10))], GRID, 2)
        canvas.text((axes.left - 16, axes.y(tenth / 10)), f"{tenth / 10:.1f}", INK, font(), anchor="rm")
    columns = len(results) * (len(METHODS) + 1)
    for group, (clusters, accuracies) in enumerate(results.items()):
        for number, (method, accuracy) in enumerate(accuracies.items()):
            first, last = axes.column(group * (len(METHODS) + 1) + number, columns)
            canvas.rectangle([first + 2, axes.y(accuracy), last - 2, axes.lower], TONES[method])
            canvas.text(((first + last) // 2, axes.y(accuracy) - 6), f"{accuracy:.3f}", INK, font(18), anchor="mb")
        middle = axes.column(group * (len(METHODS) + 1) + len(METHODS) // 2, columns)[0]
        label = f"{clusters} cluster{'' if clusters == 1 else 's'}"
        canvas.text((middle, axes.lower + 18), label, INK, font(), anchor="ma")
    canvas.line([(axes.left, axes.lower), (axes.right, axes.lower)], INK, 3)
    for number, (method, tone) in enumerate(TONES.items()):
        left = axes.left + number * 240
        canvas.rectangle([left, 88, left + 26, 114], tone)
        canvas.text((left + 38, 101), method, INK, font(TEXT), anchor="lm")
    draw_title(canvas, "mean validation accuracy over users")
    draw_upright(image, "accuracy", 40, (axes.upper + axes.lower) // 2)
    return image


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the datasets, train on each in every way, print the table and draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300, help="users of each dataset (300)")
    parser.add_argument("--rounds", type=int, default=400, help="central iterations (400)")
    parser.add_argument("--clusters", type=int, nargs="+", default=[1, 2, 3, 5], help="numbers of clusters (1 2 3 5)")
    parser.add_argument("--picture", type=Path, default=Path("train_pfl.png"), help="where to draw (train_pfl.png)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # more only wait for each other on so small a model
    results = {}
    print(" ".join([f"{'clusters':>8}", *(f"{method:>8}" for method in METHODS)]))
    with tempfile.TemporaryDirectory() as folder:
        for clusters in options.clusters:
            setting = Setting(make_data(Path(folder) / str(clusters), clusters, options.tasks), options.rounds)
            results[clusters] = {method: run(setting) for method, run in METHODS.items()}
            print(" ".join([f"{clusters:>8}", *(f"{value:8.3f}" for value in results[clusters].values())]), flush=True)
    save(draw(results), options.picture)


def _schedule(setting: Setting, users: int) -> dict[str, Any]:
    """Return how long to train; the last iteration is an evaluation of all users."""
    return {
        "central_num_iterations": setting.rounds + 1,
        "evaluation_frequency": setting.rounds,
        "train_cohort_size": min(COHORT, users),
        "val_cohort_size": users,
    }


def _run(algorithm: Any, params: Any, training: FederatedDataset, validation: FederatedDataset) -> LastMetrics:
    torch.manual_seed(0)
    module = Classifier(60, 5)
    last = LastMetrics()
    algorithm.run(
        backend=SimulatedBackend(training_data=training, val_data=validation),
        model=PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0)),
        algorithm_params=params,
        model_train_params=LOCAL,
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        callbacks=[last],
        send_metrics_to_platform=False,
    )
    return last


def _train_alone(samples: tuple[Any, Any]) -> Callable[[tuple[Any, Any]], float]:
    x, y = samples
    module = Classifier(60, 5)
    torch.nn.init.zeros_(module.weight)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05, weight_decay=1e-3)
    for _ in range(100):
        optimizer.zero_grad()
        module.loss(x, y).backward()
        optimizer.step()
    return lambda val: _accuracy(module(val[0]), val[1])


def _accuracy(logits: Any, labels: Any) -> float:
    return float((logits.argmax(1) == labels).double().mean())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _fedsynth(folder: Path, *arguments: object) -> None:
    command = [sys.executable, "-m", "fedsynth", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
