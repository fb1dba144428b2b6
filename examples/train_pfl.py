"""From what disagreement on is one model for all worse than none? Train, and see.

    pip install torch==2.13.0 'pfl==0.6.*' -e .
    python examples/train_pfl.py

Multinomial logistic regression on data whose users disagree in their concepts by a chosen level (`-model shifts`), and
on LEAF's own process with 1, 2, 3 and 5 clusters. Six ways, each by the mean over users of the accuracy on samples that
were held out:

    majority        each user's most common label
    FedAvg          one model for all, by pfl-research's algorithm
    FedAvg + local  that model, trained further by each user: what pfl-research calls Reptile
    alone           each user's own model, from zero
    per cluster     FedAvg among the users of each true cluster, with as many users a round in all
    oracle          each user's true model: what is left is noise on the labels

Whoever trains locally - a user in a round, after it, or alone - does the same: as many epochs of the same optimizer.
Prints the means over seeds, then paired differences with 95 percent intervals (Student's t over seeds).
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from fedsynth import LeafDataset, load_splits, measure

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # about frameworks that are not installed
    from chart import Curve, draw
    from intervals import difference, mean_and_half
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.model.pytorch import PyTorchModel
    from together import Classifier, Local, TogetherBackend, Users, flat

COHORT = 30
"""Users a round."""
EPOCHS, BATCH = 5, 16


@dataclass(frozen=True)
class Setting:
    """A dataset on disk, and how to train on it. data: the folder with train and test; rounds: of FedAvg."""

    data: Path
    rounds: int
    local: Local

    @cached_property
    def users(self) -> list[tuple[str, Any, Any]]:
        """Each user's id, and its samples of train and test: x [n, D], y [n]."""
        count = len(LeafDataset(self.data / "train"))
        splits = load_splits(self.data, framework="torch", dtype="float32", user_sampler="minimize_reuse", seed=1)
        parts = [(user.user_id, user.split()) for user, _ in splits.get_cohort(count)]
        return [(user_id, train.raw_data, test.raw_data) for user_id, (train, test) in parts]

    @cached_property
    def true_models(self) -> Any:
        """[users, D+1, C]."""
        truth = LeafDataset(self.data / "train")
        return torch.stack([torch.tensor(truth.true_model(user)).float() for user, _, _ in self.users])

    @cached_property
    def clusters(self) -> list[list[int]]:
        """The users of each true cluster, by their positions."""
        truth = LeafDataset(self.data / "train")
        cluster = [truth[user].metadata["cluster"] for user, _, _ in self.users]
        return [
            [position for position, mine in enumerate(cluster) if mine == number] for number in sorted(set(cluster))
        ]

    @cached_property
    def train(self) -> Users:
        """What users train on."""
        return Users.of([part for _, part, _ in self.users], self.true_models.shape[2], self.local.batch_size)

    @cached_property
    def test(self) -> Users:
        """What was held out."""
        return Users.of([part for _, _, part in self.users], self.true_models.shape[2], self.local.batch_size)

    @cached_property
    def common(self) -> Any:
        """FedAvg's model of all users, [1, D+1, C]."""
        return self.average(range(len(self.users)), COHORT)

    def average(self, chosen: Sequence[int], cohort: int) -> Any:
        """Return FedAvg's model of these users, [1, D+1, C]."""
        _, dims, classes = self.true_models.shape
        module = Classifier(dims - 1, classes)
        FederatedAveraging().run(
            backend=TogetherBackend(self.train, chosen, self.local),
            model=PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0)),
            algorithm_params=NNAlgorithmParams(
                central_num_iterations=self.rounds,
                evaluation_frequency=self.rounds,
                train_cohort_size=min(cohort, len(chosen)),
                val_cohort_size=0,
            ),
            model_train_params=NNTrainHyperParams(
                local_batch_size=self.local.batch_size,
                local_num_epochs=self.local.epochs,
                local_learning_rate=self.local.learning_rate,
            ),
            model_eval_params=NNEvalHyperParams(local_batch_size=None),
            send_metrics_to_platform=False,
        )
        return flat(module)[None]

    def further(self, models: Any) -> Any:
        """Return every user's own model, [users, D+1, C], after training from these, [users or 1, D+1, C]."""
        count = len(self.users)
        return self.train.train(range(count), models.expand(count, -1, -1), self.local)


def majority(setting: Setting) -> Any:
    """Each user's most common label of train, the first of equally common ones: a bias alone."""
    models = torch.zeros_like(setting.true_models)
    models[:, 0] = setting.train.classes.sum(dim=(1, 2))
    return models


def per_cluster(setting: Setting) -> Any:
    """FedAvg within each true cluster; a round's users are shared out by the clusters' sizes."""
    models = torch.zeros_like(setting.true_models)
    for members in setting.clusters:
        models[members] = setting.average(members, max(1, round(COHORT * len(members) / len(setting.users))))
    return models


METHODS: dict[str, Callable[[Setting], Any]] = {
    "majority": majority,
    "FedAvg": lambda setting: setting.common,
    "FedAvg + local": lambda setting: setting.further(setting.common),
    "alone": lambda setting: setting.further(torch.zeros(1, *setting.true_models.shape[1:])),
    "per cluster": per_cluster,
    "oracle": lambda setting: setting.true_models,
}
"""Each gives the models that users predict with, [users or 1, D+1, C]."""

PAIRS = (
    ("FedAvg", "majority"),
    ("FedAvg", "alone"),
    ("FedAvg + local", "FedAvg"),
    ("FedAvg + local", "alone"),
    ("FedAvg + local", "majority"),
    ("per cluster", "FedAvg + local"),
)


@dataclass(frozen=True)
class Case:
    """A kind of data. family: which curve it is of; options: of `fedsynth generate`.

    learning_rate: of all that train locally, chosen by hand on one seed. For shifts 0.5, with which users alone did
    better than with 0.05 and 0.1; for LEAF's process 0.05.
    """

    family: str
    label: str
    learning_rate: float
    options: Sequence[object]


def cases(levels: Sequence[float], clusters: Sequence[int]) -> Iterator[Case]:
    """Yield what is trained on: shifts by level, in three clusters, then LEAF's process by number of clusters."""
    for level in levels:
        sizes = ("-mean-size", 200, "-sigma-samples", 1, "-num-dim", 20, "-concept-dims", 8)
        concepts = ("-prob-clusters", "0.34,0.33,0.33", "-concept-between", level)
        yield Case("shifts", f"{level:g}", 0.5, ("-model", "shifts", *sizes, *concepts))
    for count in clusters:
        yield Case("leaf", str(count), 0.05, ("-prob-clusters", ",".join([repr(1 / count)] * count)))


def make_data(folder: Path, case: Case, tasks: int, seed: int) -> Path:
    """Generate and split one dataset with the commands that everybody uses; return its data folder."""
    folder.mkdir(parents=True)
    _fedsynth(folder, "generate", "-num-tasks", tasks, "-seed", seed, *case.options)
    _fedsynth(folder, "preprocess", "-k", 10, "-t", "sample", "--tf", 0.6, "--spltseed", seed, "--nochecksum")
    return folder / "data"


@dataclass(frozen=True)
class Result:
    """What came out on one dataset. between: `concept.between` as measured, 0 in one cluster; accuracies: by method."""

    case: Case
    seed: int
    between: float
    accuracies: dict[str, float]


def run(case: Case, seed: int, tasks: int, rounds: int) -> Result:
    """Make a dataset, train on it in every way, and evaluate."""
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder) / "run", case, tasks, seed)
        setting = Setting(data, rounds, Local(EPOCHS, BATCH, case.learning_rate))
        torch.manual_seed(seed)
        found = {name: float(setting.test.accuracies(method(setting)).mean()) for name, method in METHODS.items()}
        return Result(case, seed, measure(data / "all_data").get("concept.between", 0.0), found)


def report(results: Sequence[Result]) -> Iterator[str]:
    """Yield the lines of both tables: accuracies, and paired differences, mean and half the interval over seeds."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.case.family, result.case.label), []).append(result)
    between = {key: mean_and_half([one.between for one in group])[0] for key, group in groups.items()}
    yield " ".join([f"{'data':<12} {'between':>7}", *(f"{method:>15}" for method in METHODS)])
    for key, group in groups.items():
        values = [mean_and_half([one.accuracies[method] for one in group]) for method in METHODS]
        cells = [f"{mean:.3f} +- {half:.3f}".rjust(15) for mean, half in values]
        yield " ".join([f"{' '.join(key):<12} {between[key]:7.2f}", *cells])
    yield ""
    yield " ".join([f"{'difference':<12}", *(f"{f'{one} - {other}':>29}" for one, other in PAIRS)])
    for key, group in groups.items():
        pairs = [difference([one.accuracies for one in group], *pair) for pair in PAIRS]
        yield " ".join([f"{' '.join(key):<12}", *(f"{mean:+.3f} +- {half:.3f}".rjust(29) for mean, half in pairs)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the datasets, train on each in every way, print the tables and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=300, help="users of each dataset (300)")
    parser.add_argument("--rounds", type=int, default=300, help="central iterations (300)")
    parser.add_argument("--seeds", type=int, default=5, help="datasets of each kind (5)")
    parser.add_argument("--levels", type=float, nargs="*", default=[0, 0.1, 0.2, 0.4, 0.6], help="concept.between")
    parser.add_argument("--clusters", type=int, nargs="*", default=[1, 2, 3, 5], help="LEAF's numbers of clusters")
    parser.add_argument("--picture", type=Path, default=Path("train_pfl.png"), help="where to draw (train_pfl.png)")
    parser.add_argument("--csv", type=Path, help="where to write every accuracy")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # more only wait for each other on so small a model
    results = []
    for case in cases(options.levels, options.clusters):
        for seed in range(1, options.seeds + 1):
            results.append(run(case, seed, options.tasks, options.rounds))
            print(f"{case.family} {case.label}, seed {seed}: done", file=sys.stderr, flush=True)
    print("\n".join(report(results)))
    if options.csv is not None:
        write_csv(results, options.csv)
    curves = [result for result in results if result.case.family == "shifts"]
    if curves:
        draw([_curve(method, curves) for method in METHODS], options.picture)


def write_csv(results: Sequence[Result], path: Path) -> None:
    """Write one line for each dataset."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["family", "case", "seed", "between", *METHODS])
        writer.writerows(
            [one.case.family, one.case.label, one.seed, one.between, *one.accuracies.values()] for one in results
        )


def _curve(method: str, results: Sequence[Result]) -> Curve:
    labels = dict.fromkeys(result.case.label for result in results)
    groups = [[result for result in results if result.case.label == label] for label in labels]
    levels = [mean_and_half([one.between for one in group])[0] for group in groups]
    values = [mean_and_half([one.accuracies[method] for one in group]) for group in groups]
    return Curve(method, [(level, mean, half) for level, (mean, half) in zip(levels, values, strict=True)])


def _fedsynth(folder: Path, *arguments: object) -> None:
    command = [sys.executable, "-m", "fedsynth", *map(str, arguments)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
