"""Whatever parameters are accepted give finite numbers, in valid JSON, written as `repr` writes them."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.errors import UsageError
from fedsynth.processes.dataset import Dataset, open_stream
from fedsynth.processes.parameters import LARGEST, FedproxParameters, Parameters
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.processes.text import encode_rows, task_pieces
from tests.commands import fedsynth

SPREADS = st.one_of(st.floats(0, LARGEST), st.sampled_from([0.0, 1e-300, 1.0, 1e16, 1e17, 1e99, LARGEST]))
COMMON = {
    "num_tasks": st.integers(1, 3),
    "num_classes": st.integers(1, 4),
    "num_dim": st.integers(2, 4),
    "seed": st.integers(0, 2**32 - 1),
}
PARAMETERS = {
    Parameters: {
        **dict.fromkeys(("cluster_spread", "model_spread", "noise", "sigma_samples"), SPREADS),
        "mean_samples": st.floats(allow_nan=False, allow_infinity=False),
        "min_samples": st.integers(1, 5),
        "max_samples": st.integers(5, 12),
    },
    FedproxParameters: {"alpha": SPREADS, "beta": SPREADS, "iid": st.booleans()},
    ShiftsParameters: {
        "sigma_samples": st.floats(0, 20),
        "mean_size": st.floats(5, 12),
        "min_samples": st.integers(1, 5),
        "max_samples": st.just(12),
        "label_alpha": st.one_of(st.floats(1e-9, 1e9), st.just(math.inf)),
        "imbalance": st.floats(1, 1e4),
        "feature_shift": st.floats(0, 1, exclude_max=True),
        "concept_within": st.floats(0, 0.4),
    },
}


@settings(deadline=None, max_examples=150, derandomize=True)
@given(st.data())
@pytest.mark.parametrize("kind", PARAMETERS, ids=lambda kind: kind.model)
def test_accepted_parameters_give_finite_numbers(kind: Any, data: st.DataObject) -> None:
    values = data.draw(st.fixed_dictionaries({**COMMON, **PARAMETERS[kind]}))
    if kind is ShiftsParameters:
        values["concept_dims"] = 2
        values["num_dim"] += 1
        values["concept_within"] = min(values["concept_within"], 1 - 1 / values["num_classes"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream = open_stream(Dataset(kind(**values)))
        tasks = list(stream.tasks_of(range(values["num_tasks"])))
    for task in tasks:
        assert np.isfinite(task.x).all()
        assert np.isfinite(task.x[:, :1] ** 2).all()
        text = b"".join(task_pieces(task)).decode()
        assert text == json.dumps({"x": task.x.tolist(), "y": task.y.tolist()})
        assert all(np.isfinite(np.asarray(value)).all() for value in task.truth.values())


@pytest.mark.parametrize(
    "value", [9.999999999999998e15, 1e16, 1.2345678901234567e16, 1e17, 123456789012345678.0, 1e23, 1.5e300]
)
def test_large_floats_are_written_as_repr_writes_them(value: float) -> None:
    rows = np.array([[1.0, -value], [value, 2.0]])
    assert f"[{encode_rows(rows).decode()}]" == json.dumps(rows.tolist())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-num-tasks 99999999999999999999", "-num-tasks is 99999999999999999999, expected 1 to 100,000,000"),
        ("-num-tasks 3 -num-dim 99999999999999999999", "-num-dim is 99999999999999999999, expected 1 to 1,000,000"),
        ("-num-tasks 3 -num-classes 99999999999999999999", "-num-classes is 99999999999999999999, expected 1 to"),
        ("-num-tasks 3 -num-classes 1000 -num-dim 1000000", "make a model of 1,000,001,000 numbers"),
        ("-num-tasks 3 -model fedprox -beta 1e308", "-beta is 1e+308, expected a standard deviation, 0 to 1e+100"),
        ("-num-tasks 3 -model fedprox -alpha 1e308", "alpha is 1e+308"),
        ("-num-tasks 3 -noise 1e308", "-noise is 1e+308, expected a standard deviation, 0 to 1e+100"),
        ("-num-tasks 3 -model-spread inf", "-model-spread is inf"),
        ("-num-tasks 3 -cluster-spread 1e101", "-cluster-spread is 1e+101"),
    ],
)
def test_what_is_not_possible_is_one_sentence(options: str, said: str, tmp_path: Path) -> None:
    result = fedsynth(tmp_path, "generate", *options.split(), check=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", PARAMETERS)
def test_clusters_count_in_a_models_size(kind: Any) -> None:
    if kind is not FedproxParameters:
        with pytest.raises(UsageError, match="make a model of"):
            kind(3, num_classes=10, num_dim=10**6, prob_clusters=(0.05,) * 20)


def test_one_sequence_may_be_called_sequential_or_leaf(tmp_path: Path) -> None:
    texts = set()
    for name in ("leaf", "sequential"):
        (tmp_path / name).mkdir()
        fedsynth(tmp_path / name, "generate", "-num-tasks", 3, "-num-dim", 3, "-model", "fedprox", "-stream", name)
        texts.add((tmp_path / name / "data/all_data/all_data.json").read_bytes())
        recorded = json.loads((tmp_path / name / "meta/manifest.json").read_text())["stages"]["generate"]
        assert recorded["parameters"]["stream"] == "sequential"
    assert len(texts) == 1
    result = fedsynth(tmp_path, "generate", "-num-tasks", 3, "-stream", "one", check=2)
    assert "-stream is 'one', expected leaf or independent" in result.stderr
