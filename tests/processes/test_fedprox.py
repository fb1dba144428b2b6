"""Synthetic(alpha, beta): the draws of the published program."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy._core._multiarray_umath import __cpu_features__ as np_features
from numpy.random import RandomState

from fedsynth.pipeline.stats import measure
from fedsynth.processes.fedprox import FedproxLaw
from fedsynth.processes.parameters import FedproxParameters
from fedsynth.processes.streams import SequentialStream
from fedsynth.truth import load_truth, true_models
from tests.commands import ROOT, fedsynth
from tests.commands import generate as run_generate


def published(seed: int, users: int, alpha: float, beta: float) -> list[tuple[Any, Any]]:
    """The process as issue 4 describes the program, in the words of NumPy: one seed, multivariate_normal and all."""
    rng, dim, classes = RandomState(seed), 60, 10
    sizes = rng.lognormal(4, 2, users).astype(int) + 50
    u = rng.normal(0, alpha, users)
    mean_of_means = rng.normal(0, beta, users)
    means = [rng.normal(mean_of_means[k], 1, dim) for k in range(users)]
    covariance = np.diag([np.power(j, -1.2) for j in range(1, dim + 1)])
    result = []
    for k in range(users):
        w, b = rng.normal(u[k], 1, (dim, classes)), rng.normal(u[k], 1, classes)
        x = rng.multivariate_normal(means[k], covariance, sizes[k])
        result.append((x, np.argmax(x @ w + b, axis=1)))
    return result


def test_golden(tmp_path: Path) -> None:
    run_generate(tmp_path, 30, "-model", "fedprox", "-alpha", "1", "-beta", "1", "-seed", "0")
    data = (tmp_path / "data/all_data/all_data.json").read_bytes()
    content = json.loads(data)
    labels = [label for user in content["user_data"].values() for label in user["y"]]
    assert (sum(content["num_samples"]), len(labels), sum(labels)) == (22_349, 22_349, 96_505)
    assert content["user_data"]["0"]["x"][0][0] == pytest.approx(-2.6953219601218312, rel=1e-15)
    found = len(data), hashlib.md5(data).hexdigest()
    if has_avx512():
        assert found == (27_546_448, "4fa91b726c02c557e1aba2084d2340f0")
    elif has_fma():
        assert found == (27_546_311, "88c3b730578f4a3ed8d86714021c94a9")
    else:
        assert len(data) == pytest.approx(27_546_448, abs=2_000)


def has_fma() -> bool:
    """Without these instructions the C library's `log` differs in the last digit now and then."""
    info = Path("/proc/cpuinfo")
    return info.exists() and " fma " in info.read_text()


def has_avx512() -> bool:
    """With these instructions NumPy's `power`, of which the program makes x's variances, is not the C library's."""
    return any(np_features.get(name, False) for name in ("AVX512_SKX", "X86_V4"))


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (0.5, 2.0)])
def test_draws_are_those_of_the_program(alpha: float, beta: float) -> None:
    stream = SequentialStream(FedproxLaw(FedproxParameters(4, seed=7, alpha=alpha, beta=beta)))
    for task, (x, y) in zip(stream.tasks_of(range(4)), published(7, 4, alpha, beta), strict=True):
        np.testing.assert_allclose(task.x, x, rtol=1e-12)
        np.testing.assert_array_equal(task.y, y)


def test_iid_users_share_one_model_and_the_mean_zero() -> None:
    rng = RandomState(3)
    sizes = rng.lognormal(4, 2, 5).astype(int) + 50
    w, b = rng.normal(0, 1, (60, 10)), rng.normal(0, 1, 10)
    stream = SequentialStream(FedproxLaw(FedproxParameters(5, seed=3, iid=True)))
    assert stream.sizes_of(range(5)) == sizes.tolist()
    scales = np.sqrt(np.power(np.arange(1.0, 61.0), -1.2))
    for task, size in zip(stream.tasks_of(range(5)), sizes, strict=True):
        x = rng.standard_normal((size, 60)) * scales
        np.testing.assert_array_equal(task.x, x)
        np.testing.assert_array_equal(task.y, np.argmax(x @ w + b, axis=1))


def test_truth_gives_every_label(tmp_path: Path) -> None:
    """There is no noise in this process."""
    for options in ([], ["-iid"]):
        folder = tmp_path / f"run{len(options)}"
        folder.mkdir()
        run_generate(folder, 6, "-model", "fedprox", *options)
        measures = measure(folder / "data/all_data")
        assert measures["concept.oracle_accuracy"] == 1.0
        assert (measures["concept.disagreement"] == 0) == bool(options)
        assert measures["left_out"]["clusters.sizes"] == "the users were not drawn from clusters"
        models = true_models(load_truth(folder / "meta/truth.npz"), range(6))
        assert models.shape == (6, 61, 10)


def test_alpha_moves_models_and_beta_moves_features(tmp_path: Path) -> None:
    values = {}
    for alpha, beta in ((0, 0), (3, 0), (0, 3)):
        folder = tmp_path / f"{alpha}{beta}"
        folder.mkdir()
        run_generate(folder, 20, "-model", "fedprox", "-alpha", alpha, "-beta", beta, "-num-dim", 10)
        truth = load_truth(folder / "meta/truth.npz")
        models = true_models(truth, range(20))
        between = models.mean(axis=(1, 2)).std()
        values[alpha, beta] = between, measure(folder / "data/all_data")["feature.between_share"]["mean"]
    assert values[3, 0][0] > 5 * values[0, 0][0]
    assert values[0, 3][0] == pytest.approx(values[0, 0][0])
    assert values[0, 3][1] > values[0, 0][1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-model", "fedprox", "-noise", "1"], "-noise makes no sense with -model fedprox"),
        (["-model", "fedprox", "-prob-clusters", "0.5,0.5"], "-prob-clusters makes no sense"),
        (["-alpha", "1"], "-alpha makes no sense with -model leaf"),
        (["-iid"], "-iid makes no sense with -model leaf"),
        (["-model", "fedprx"], "expected one of leaf, fedprox"),
    ],
)
def test_options_of_another_process_are_errors(options: list[str], said: str, tmp_path: Path) -> None:
    result = fedsynth(tmp_path, "generate", "-num-tasks", 3, *options, check=2)
    assert said in result.stderr
    assert not (tmp_path / "data/all_data").exists()


def test_main_pys_clusters_are_for_leafs_process(tmp_path: Path) -> None:
    import subprocess
    import sys

    from tests.commands import environment

    command = [sys.executable, str(ROOT / "main.py"), "-num-tasks", "2", "-model", "fedprox"]
    subprocess.run(command, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    assert "prob_clusters" not in load_truth(tmp_path / "meta/truth.npz").parameters


def test_data_of_another_process_is_not_kept(tmp_path: Path) -> None:
    run_generate(tmp_path, 2)
    result = fedsynth(tmp_path, "generate", "-num-tasks", 2, "-model", "fedprox", check=1)
    assert "made with -model leaf" in result.stderr
