"""The training example, small: its local training is pfl-research's, and what it prints and draws makes sense."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import scipy.stats
from PIL import Image, ImageColor

from tests.commands import ROOT, environment

torch = pytest.importorskip("torch")
pytest.importorskip("pfl")

METHODS = ["majority", "FedAvg", "FedAvg + local", "alone", "per cluster", "oracle"]


@pytest.fixture(scope="module")
def example() -> Any:
    """The example's modules."""
    sys.path.insert(0, str(ROOT / "examples"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import chart
            import intervals
            import together
            import train_pfl
        yield {"chart": chart, "intervals": intervals, "together": together, "train_pfl": train_pfl}
    finally:
        sys.path.remove(str(ROOT / "examples"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], list[dict[str, str]], Path]:
    """What is printed, the accuracies and the picture."""
    folder = tmp_path_factory.mktemp("example")
    arguments = ["--tasks", "40", "--rounds", "12", "--seeds", "2", "--levels", "0", "0.6", "--clusters", "1"]
    command = [sys.executable, str(ROOT / "examples/train_pfl.py"), *arguments, "--csv", "a.csv", "--picture", "a.png"]
    result = subprocess.run(
        command, cwd=folder, env=environment(PYTHONWARNINGS="ignore"), capture_output=True, text=True, timeout=240
    )
    assert result.returncode == 0, result.stderr
    with (folder / "a.csv").open() as file:
        return result.stdout.splitlines(), list(csv.DictReader(file)), folder / "a.png"


def mean(rows: list[dict[str, str]], family: str, case: str, column: str) -> float:
    values = [float(row[column]) for row in rows if (row["family"], row["case"]) == (family, case)]
    assert len(values) == 2
    return sum(values) / 2


def test_tables_have_a_line_for_each_kind_of_data(run: tuple[list[str], list[dict[str, str]], Path]) -> None:
    lines, rows, _ = run
    assert [line.split()[:2] for line in lines[1:4]] == [["shifts", "0"], ["shifts", "0.6"], ["leaf", "1"]]
    assert [line.split()[:2] for line in lines[6:]] == [["shifts", "0"], ["shifts", "0.6"], ["leaf", "1"]]
    for method in METHODS:
        assert method in lines[0]
        assert f"{mean(rows, 'shifts', '0.6', method):.3f} +- " in lines[2]
    assert f"{mean(rows, 'shifts', '0', 'FedAvg') - mean(rows, 'shifts', '0', 'alone'):+.3f} +- " in lines[6]


def test_the_disagreement_is_the_one_asked_for(run: tuple[list[str], list[dict[str, str]], Path]) -> None:
    assert mean(run[1], "shifts", "0", "between") == 0
    assert mean(run[1], "shifts", "0.6", "between") == pytest.approx(0.6, abs=0.05)


def test_disagreement_hurts_the_one_model_for_all_and_nobody_else(
    run: tuple[list[str], list[dict[str, str]], Path],
) -> None:
    _, rows, _ = run
    none, much = ({method: mean(rows, "shifts", case, method) for method in METHODS} for case in ("0", "0.6"))
    assert none["oracle"] == much["oracle"] == 1
    assert none["FedAvg"] > much["FedAvg"] + 0.15
    assert much["alone"] == pytest.approx(none["alone"], abs=0.05)
    assert much["per cluster"] > much["FedAvg"] + 0.15
    assert max(none["majority"], much["majority"]) < 0.4
    assert mean(rows, "leaf", "1", "oracle") > 0.98
    assert mean(rows, "leaf", "1", "majority") > 0.7


def test_a_mark_stands_where_its_accuracy_is(run: tuple[list[str], list[dict[str, str]], Path], example: Any) -> None:
    chart = example["chart"]
    with Image.open(run[2]) as image:
        assert image.size == chart.SIZE
        x = chart._x(0.0, mean(run[1], "shifts", "0.6", "between"))
        y = chart._y(mean(run[1], "shifts", "0", "oracle"))
        assert image.getpixel((x, y)) == ImageColor.getrgb(chart.TONES[5])


def samples_of(count: int) -> list[tuple[Any, Any]]:
    draws = torch.Generator().manual_seed(1)
    sizes = torch.randint(1, 70, (count,), generator=draws).tolist()
    return [(torch.randn(size, 6, generator=draws), torch.randint(0, 3, (size,), generator=draws)) for size in sizes]


def test_users_together_train_as_in_a_loop(example: Any) -> None:
    """Autograd, user by user and batch by batch."""
    together, samples = example["together"], samples_of(9)
    local = together.Local(epochs=3, batch_size=16, learning_rate=0.3)
    start = torch.randn(9, 7, 3, generator=torch.Generator().manual_seed(2))
    chosen = [4, 0, 8, 7]
    found = together.Users.of(samples, 3, 16).train(chosen, start[chosen], local)
    for position, user in enumerate(chosen):
        module = together.Classifier(6, 3)
        with torch.no_grad():
            module.bias.copy_(start[user, 0])
            module.weight.copy_(start[user, 1:].T)
        optimizer, (x, y) = torch.optim.SGD(module.parameters(), lr=0.3), samples[user]
        for _ in range(3):
            for first in range(0, len(y), 16):
                optimizer.zero_grad()
                module.loss(x[first : first + 16], y[first : first + 16]).backward()
                optimizer.step()
        torch.testing.assert_close(found[position], together.flat(module), atol=1e-5, rtol=1e-4)
        expected = (module(x).argmax(1) == y).double().mean()
        accuracy = together.Users.of([samples[user]], 3, 16).accuracies(found[position : position + 1])
        assert float(accuracy) == pytest.approx(float(expected))


def average_of(example: Any, samples: list[tuple[Any, Any]], *, by_pfl: bool) -> Any:
    """FedAvg's model after a few rounds, with pfl-research's backend or the example's."""
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.data.dataset import Dataset
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.model.pytorch import PyTorchModel

    from fedsynth import FederatedDataset, get_user_sampler

    together, users = example["together"], list(range(len(samples)))
    data = [
        FederatedDataset(lambda user: Dataset(samples[user]), get_user_sampler("minimize_reuse", users))
        for _ in range(2)
    ]
    local = together.Local(2, 16, 0.1)
    own = together.TogetherBackend(together.Users.of(samples, 3, 16), users, local)
    module = together.Classifier(6, 3)
    FederatedAveraging().run(
        backend=SimulatedBackend(training_data=data[0], val_data=data[1]) if by_pfl else own,
        model=PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0)),
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=7, evaluation_frequency=7, train_cohort_size=5, val_cohort_size=1
        ),
        model_train_params=NNTrainHyperParams(local_batch_size=16, local_num_epochs=2, local_learning_rate=0.1),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        send_metrics_to_platform=False,
    )
    return together.flat(module)


@pytest.mark.filterwarnings("ignore")
def test_fedavg_is_pfls(example: Any) -> None:
    samples = samples_of(12)
    found, expected = (average_of(example, samples, by_pfl=by_pfl) for by_pfl in (False, True))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert float(expected.abs().max()) > 0.01


def test_intervals_are_students(example: Any) -> None:
    intervals = example["intervals"]
    for values in ([0.1, 0.4], [0.3, 0.1, 0.25, 0.2, 0.6]):
        middle, half = intervals.mean_and_half(values)
        low, high = scipy.stats.t.interval(0.95, len(values) - 1, scipy.stats.tmean(values), scipy.stats.sem(values))
        assert (middle - half, middle + half) == pytest.approx((low, high), abs=1e-3)
    assert intervals.mean_and_half([0.5]) == (0.5, math.inf)
    paired = intervals.difference([{"a": 0.5, "b": 0.4}, {"a": 0.7, "b": 0.6}], "a", "b")
    assert paired == pytest.approx((0.1, 0), abs=1e-9)


class LastMetrics:
    """Keeps the metrics of the last evaluation, for pfl-research's algorithms."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def __getattr__(self, name: str) -> Any:
        from pfl.metrics import Metrics

        return {
            "on_train_begin": lambda **_: Metrics(),
            "after_central_iteration": self._keep,
            "on_train_end": lambda **_: None,
        }[name]

    def _keep(self, aggregate_metrics: Any, model: Any, *, central_iteration: int) -> Any:
        from pfl.metrics import Metrics

        self.values.update(aggregate_metrics.to_simple_dict())
        return False, Metrics()


@pytest.mark.filterwarnings("ignore")
def test_fedavg_with_local_training_is_pfls_reptile(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import PersonalizedNNAlgorithmParams
    from pfl.algorithm.reptile import Reptile
    from pfl.hyperparam import NNEvalHyperParams, NNTrainHyperParams
    from pfl.metrics import user_average
    from pfl.model.pytorch import PyTorchModel

    from fedsynth import load_splits

    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # the example starts the commands from a folder of its own
    train_pfl, together = example["train_pfl"], example["together"]
    options = ("-model", "shifts", "-num-dim", 6, "-prob-clusters", "0.5,0.5", "-concept-between", 0.5)
    data = train_pfl.make_data(tmp_path / "run", train_pfl.Case("shifts", "0.5", 0.1, options), 20, 1)
    setting = train_pfl.Setting(data, 4, together.Local(5, 16, 0.1))
    count = len(setting.users)
    mine = setting.test.accuracies(setting.further(setting.average(range(count), 6))).mean()

    class ByUser(together.Classifier):  # type: ignore[misc,name-defined]
        def metrics(self, x: Any, y: Any, eval: bool = False) -> dict[str, Any]:
            return {"accuracy": (super().metrics(x, y)["accuracy"], user_average)}

    module, last = ByUser(6, 5), LastMetrics()
    splits = [load_splits(data, framework="torch", dtype="float32", user_sampler="minimize_reuse") for _ in range(2)]
    Reptile().run(
        backend=SimulatedBackend(training_data=splits[0], val_data=splits[1]),
        model=PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0)),
        algorithm_params=PersonalizedNNAlgorithmParams(
            central_num_iterations=5,
            evaluation_frequency=4,
            train_cohort_size=6,
            val_cohort_size=count,
            val_split_fraction=None,
            min_train_size=None,
            min_val_size=None,
        ),
        model_train_params=NNTrainHyperParams(local_batch_size=16, local_num_epochs=5, local_learning_rate=0.1),
        model_eval_params=NNEvalHyperParams(local_batch_size=None),
        callbacks=[last],
        send_metrics_to_platform=False,
    )
    wanted = ("Val population", "val set", "after local training", "accuracy")
    (theirs,) = (value for name, value in last.values.items() if all(part in name for part in wanted))
    assert float(theirs) == pytest.approx(float(mine), abs=0.005)
