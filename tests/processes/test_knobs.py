"""Each knob of LEAF's process moves the measure that it is for, and leaves the others alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedsynth.errors import UsageError
from fedsynth.pipeline.generate import generate
from fedsynth.pipeline.stats import measure
from fedsynth.processes.dataset import Dataset
from fedsynth.processes.parameters import FedproxParameters, Parameters

BASE: dict[str, Any] = {"num_tasks": 150, "num_dim": 8, "prob_clusters": (0.5, 0.5), "max_samples": 300}


def measured(folder: Path, **changes: Any) -> dict[str, Any]:
    generate(folder / "data", Dataset(Parameters(**{**BASE, **changes})))
    return measure(folder / "data/all_data")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return measured(tmp_path_factory.mktemp("base"))


QUANTITY = ["quantity.mean", "quantity.cv", "quantity.gini"]
FEATURES = ["feature.between_share"]
CONCEPTS = ["concept.within", "concept.between"]
ORACLE = ["concept.oracle_accuracy"]


@pytest.mark.parametrize(
    ("knob", "value", "moved", "direction", "same"),
    [
        ("noise", 3.0, "concept.oracle_accuracy", -1, QUANTITY + FEATURES + CONCEPTS),
        ("noise", 0.0, "concept.oracle_accuracy", 1, QUANTITY + FEATURES + CONCEPTS),
        ("model_spread", 0.5, "concept.within", 1, QUANTITY + FEATURES),
        ("model_spread", 0.0, "concept.within", -1, QUANTITY + FEATURES),
        ("cluster_spread", 0.1, "concept.between", -1, QUANTITY + FEATURES),
        ("mean_samples", 4.0, "quantity.mean", 1, ORACLE),
        ("sigma_samples", 1.0, "quantity.gini", -1, ORACLE),
        ("sigma_samples", 1.0, "quantity.cv", -1, ORACLE),
        ("min_samples", 20, "quantity.min", 1, ORACLE),
        ("max_samples", 600, "quantity.max", 1, ORACLE),
    ],
)
def test_knob_moves_its_measure_and_no_other(
    knob: str, value: float, moved: str, direction: int, same: list[str], base: dict[str, Any], tmp_path: Path
) -> None:
    changed = measured(tmp_path, **{knob: value})
    assert (changed[moved] - base[moved]) * direction > 0
    for key in same:
        assert changed[key] == pytest.approx(base[key], rel=0.03), key


def test_more_clusters_mean_more_disagreement(base: dict[str, Any], tmp_path: Path) -> None:
    one = measured(tmp_path / "one", prob_clusters=(1.0,))
    many = measured(tmp_path / "many", prob_clusters=(0.2,) * 5)
    assert one["concept.disagreement"] < base["concept.disagreement"] < many["concept.disagreement"]
    assert one["left_out"]["concept.between"] == "all users are of one cluster"
    assert len(many["clusters.sizes"]) == 5
    for key in QUANTITY + ORACLE:
        assert one[key] == pytest.approx(many[key], rel=0.03)


def test_without_noise_the_true_models_are_never_wrong(tmp_path: Path) -> None:
    assert measured(tmp_path, noise=0.0)["concept.oracle_accuracy"] == 1.0


def test_models_of_a_cluster_without_spread_are_one(tmp_path: Path) -> None:
    assert measured(tmp_path, model_spread=0.0)["concept.within"] == 0.0


def test_defaults_are_leafs_numbers(tmp_path: Path) -> None:
    """The goldens hold the bytes without options; these are the same options, spelt out."""
    generate(tmp_path / "a/data", Dataset(Parameters(20)))
    spelt = {"cluster_spread": 1.0, "model_spread": 0.1, "noise": 0.1, "mean_samples": 3.0, "sigma_samples": 2.0}
    generate(tmp_path / "b/data", Dataset(Parameters(20, min_samples=5, max_samples=1000, **spelt)))
    files = [tmp_path / side / "data/all_data/all_data.json" for side in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_manifest_records_every_parameter(tmp_path: Path) -> None:
    generate(tmp_path / "data", Dataset(Parameters(3, noise=0.25, min_samples=7)))
    recorded = json.loads((tmp_path / "meta/manifest.json").read_text())["stages"]["generate"]["parameters"]
    assert recorded["model"] == "leaf"
    assert (recorded["noise"], recorded["min_samples"], recorded["cluster_spread"]) == (0.25, 7, 1.0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"noise": -0.1}, "noise is -0.1"),
        ({"model_spread": float("nan")}, "model_spread is nan"),
        ({"cluster_spread": float("inf")}, "cluster_spread is inf"),
        ({"sigma_samples": -1.0}, "sigma_samples is -1"),
        ({"mean_samples": float("inf")}, "mean_samples is inf"),
        ({"min_samples": 0}, "min_samples is 0"),
        ({"min_samples": 50, "max_samples": 49}, "max_samples is 49, expected at least min_samples, 50"),
    ],
)
def test_impossible_parameters_are_errors(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Parameters(3, **wrong)


def test_impossible_fedprox_parameters_are_errors() -> None:
    with pytest.raises(UsageError, match="alpha is -1"):
        FedproxParameters(3, alpha=-1.0)


def test_a_mean_beyond_all_numbers_is_cut_to_the_most() -> None:
    from numpy.random import RandomState

    from fedsynth.processes.tasks import draw_sizes

    assert set(draw_sizes(RandomState(1), Parameters(5, mean_samples=900.0), 5).tolist()) == {1000}
