"""`shifts`: each ingredient has its law, and no knob changes a draw of another ingredient."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import PCG64, RandomState
from numpy.typing import NDArray
from scipy import stats

from fedsynth.errors import UsageError
from fedsynth.pipeline.generate import generate
from fedsynth.pipeline.stats import measure
from fedsynth.processes.dataset import Dataset, open_stream
from fedsynth.processes.shifts.disagreement import correlation, disagreement
from fedsynth.processes.shifts.ingredients import Ingredients
from fedsynth.processes.shifts.labels import draw_shares, pooled_shares
from fedsynth.processes.shifts.one_class import OneClass
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.processes.shifts.rejection import Rejection
from fedsynth.records.stamp import BLOCK
from tests.commands import fedsynth, peak_memory
from tests.commands import generate as run_generate

BASE: dict[str, Any] = {
    "num_tasks": 30,
    "num_classes": 4,
    "num_dim": 9,
    "prob_clusters": (0.4, 0.6),
    "max_samples": 60,
    "mean_size": 20.0,
    "label_alpha": 1.0,
    "concept_within": 0.1,
    "concept_between": 0.3,
    "feature_shift": 0.3,
    "label_noise": 0.1,
}
KNOBS: dict[str, tuple[Any, set[str]]] = {
    "mean_size": (30.0, {"sizes"}),
    "sigma_samples": (1.0, {"sizes"}),
    "label_alpha": (0.3, {"shares", "labels"}),
    "imbalance": (5.0, {"shares", "labels"}),
    "concept_within": (0.2, {"models"}),
    "concept_between": (0.5, {"models"}),
    "label_noise": (0.3, {"changed"}),
    "feature_shift": (0.6, {"mix"}),
    "prob_clusters": ((0.6, 0.4), {"clusters", "models"}),
}
"""Another value of each knob, and the ingredients that it is for."""


def ingredients(**changes: Any) -> dict[str, list[Any]]:
    """All ingredients of all users, the first 20 of what there is for each sample."""
    parameters = ShiftsParameters(**{**BASE, **changes})
    draw, users = Ingredients(parameters), range(parameters.num_tasks)
    shares = [draw.shares(user) for user in users]
    labels = [draw.true_labels(user, 20, shares[user]) for user in users]
    return {
        "sizes": draw.sizes(users).tolist(),
        "clusters": [draw.cluster(user) for user in users],
        "shares": [row.tolist() for row in shares],
        "labels": [row.tolist() for row in labels],
        "changed": [(draw.labels(user, np.zeros(20, np.int64)) != 0).tolist() for user in users],
        "models": [draw.model(user).tolist() for user in users],
        "others": [draw.others(user, 20).tolist() for user in users],
        "offsets": [draw.offset(user).tolist() for user in users],
        "mix": [parameters.feature_shift],
    }


@pytest.mark.parametrize("knob", KNOBS)
def test_a_knob_changes_no_draw_of_another_ingredient(knob: str) -> None:
    value, own = KNOBS[knob]
    before, after = ingredients(), ingredients(**{knob: value})
    assert {name for name in before if before[name] != after[name]} == own


def tasks(**changes: Any) -> list[Any]:
    return list(open_stream(Dataset(ShiftsParameters(**{**BASE, **changes}))).tasks_of(range(BASE["num_tasks"])))


def test_files_differ_only_in_what_a_knob_is_for() -> None:
    """Deciding dimensions come first; they depend on labels and models, the others on feature_shift alone."""
    before, deciding = tasks(), 3
    for task, other in zip(before, tasks(feature_shift=0.0), strict=True):
        assert (task.x[:, :deciding] == other.x[:, :deciding]).all()
        assert (task.y == other.y).all()
    for task, other in zip(before, tasks(label_noise=0.0), strict=True):
        assert (task.x == other.x).all()
    for task, other in zip(before, tasks(concept_within=0.2), strict=True):
        assert (task.x[:, deciding:] == other.x[:, deciding:]).all()
        assert (task.y == other.y).all()


def test_a_user_is_the_same_alone_and_among_others() -> None:
    stream = open_stream(Dataset(ShiftsParameters(**BASE)))
    alone = next(iter(stream.tasks_of(range(17, 18))))
    among = tasks()[17]
    assert (alone.x == among.x).all()
    assert (alone.y == among.y).all()


def test_truth_holds_clusters_models_and_class_shares(tmp_path: Path) -> None:
    generate(tmp_path / "data", Dataset(ShiftsParameters(**{**BASE, "label_noise": 0.0})))
    with np.load(tmp_path / "meta/truth.npz") as truth:
        models, shares, clusters = truth["models"], truth["class_shares"], truth["cluster"]
    assert (models.shape, models.dtype, shares.shape, shares.dtype) == ((30, 10, 4), float, (30, 4), float)
    assert set(clusters.tolist()) == {0, 1}
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (models[:, 0] == 0).all()
    assert (models[:, 4:] == 0).all()
    np.testing.assert_allclose((models[:, 1:4] ** 2).sum(axis=1), 1)
    measured = measure(tmp_path / "data/all_data")
    assert measured["concept.oracle_accuracy"] == 1.0
    assert measured["concept.within"] == pytest.approx(0.1, abs=0.06)


def test_defaults_are_users_who_are_alike_but_for_their_sizes(tmp_path: Path) -> None:
    generate(tmp_path / "data", Dataset(ShiftsParameters(200, num_dim=9, max_samples=300)))
    measured = measure(tmp_path / "data/all_data")
    assert measured["concept.disagreement"] == 0.0
    assert measured["concept.oracle_accuracy"] == 1.0
    assert measured["label.jensen_shannon"] == pytest.approx(measured["label.jensen_shannon_chance"], rel=0.1)
    assert measured["feature.between_share"]["mean"] < 0.05
    assert measured["quantity.gini"] > 0.5


@pytest.mark.parametrize(("mean", "least", "most"), [(30.0, 5, 100), (5.4, 5, 100), (95.0, 5, 100), (3000.0, 1, 10**6)])
@pytest.mark.parametrize("sigma", [0.0, 0.01, 0.5, 2.0, 20.0])
def test_the_mean_size_stays_while_sigma_moves(mean: float, least: int, most: int, sigma: float) -> None:
    from fedsynth.processes.shifts.sizes import SizeLaw

    parameters = ShiftsParameters(3, mean_size=mean, min_samples=least, max_samples=most, sigma_samples=sigma)
    # Evenly spaced quantiles, so that no sample's luck is in the mean.
    normals = stats.norm.ppf((np.arange(400_000) + 0.5) / 400_000)
    sizes = SizeLaw(parameters).sizes(normals)
    assert (sizes.min() >= least, sizes.max() <= most) == (True, True)
    if sigma == 0:
        assert set(sizes.tolist()) == {round(mean)}
    else:
        assert sizes.mean() == pytest.approx(mean, rel=0.002)


@pytest.mark.parametrize("alpha", [1e-9, 0.01, 0.5, 3.0, 1e3, 1e9])
def test_class_shares_follow_dirichlets_distribution(alpha: float) -> None:
    pooled = pooled_shares(3, 4.0)
    assert pooled[0] / pooled[2] == pytest.approx(4)
    shares = np.array([draw_shares(RandomState(PCG64(seed)), pooled, alpha) for seed in range(4000)])
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    for column, share in zip(shares.T, pooled, strict=True):
        law = stats.beta(alpha * share, alpha * (1 - share))
        if 0.1 < alpha < 1e6:
            assert stats.kstest(column, law.cdf).pvalue > 1e-3
        assert column.mean() == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / (alpha + 1) / 4000) + 1e-9)


def test_class_shares_move_smoothly_with_their_concentration() -> None:
    pooled = pooled_shares(5, 1.0)
    for seed in range(50):
        rows = [draw_shares(RandomState(PCG64(seed)), pooled, 0.7 * 1.0001**step) for step in range(5)]
        assert np.abs(np.diff(rows, axis=0)).max() < 0.002


def test_infinite_concentration_makes_all_alike() -> None:
    pooled = pooled_shares(5, 2.0)
    assert (draw_shares(RandomState(1), pooled, math.inf) == pooled).all()


@pytest.mark.parametrize(("classes", "angle"), [(2, 0.1), (2, 1.0), (3, 0.5), (5, 0.3), (5, 1.5), (20, 0.4)])
def test_disagreement_is_that_of_correlated_normals(classes: int, angle: float) -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((200_000, classes))
    other = math.cos(angle) * one + math.sin(angle) * rng.standard_normal(one.shape)
    simulated = (one.argmax(axis=1) != other.argmax(axis=1)).mean()
    assert disagreement(classes, angle) == pytest.approx(simulated, abs=0.005)
    if classes == 2:
        assert disagreement(2, angle) == pytest.approx(angle / math.pi, abs=1e-5)


@pytest.mark.parametrize("classes", [1, 2, 5, 50])
def test_correlation_is_the_way_back(classes: int) -> None:
    assert correlation(classes, 0.0) == 1.0
    assert correlation(classes, 1 - 1 / classes) == (0.0 if classes > 1 else 1.0)
    for share in (0.01, 0.2, 0.5, 0.9):
        level = share * (1 - 1 / classes)
        if level:
            assert disagreement(classes, math.acos(correlation(classes, level))) == pytest.approx(level, abs=2e-4)


def test_rejection_draws_x_given_y() -> None:
    """Where labels come as often as the model says them, x is as if drawn before its labels."""
    rng = RandomState(3)
    model = rng.standard_normal((3, 4))
    plain = rng.standard_normal((6000, 3))
    labels = np.argmax(plain @ model, axis=1)
    u = Rejection(4).draw(RandomState(4), labels, model, 0)
    assert (np.argmax(u @ model, axis=1) == labels).all()
    for column in u.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    for label in range(4):
        own = stats.ks_2samp(u[labels == label, 0], plain[labels == label, 0])
        assert own.pvalue > 1e-3


@pytest.mark.parametrize(("dims", "classes"), [(3, 2), (20, 5), (9, 9), (4, 7), (20, 20)])
def test_a_class_drawn_by_itself_follows_the_same_distribution(dims: int, classes: int) -> None:
    """Whether there is room for all directions or not, as if of many candidates those of the class were kept."""
    model = RandomState(3).standard_normal((dims, classes))
    model /= np.sqrt((model**2).sum(axis=0))
    label = int(np.bincount((RandomState(5).standard_normal((9_000, dims)) @ model).argmax(axis=1)).argmax())
    plain = RandomState(6).standard_normal((60_000, dims))
    plain = plain[(plain @ model).argmax(axis=1) == label]
    labels = np.full(8_000, label)
    u = Rejection(classes).draw(RandomState(4), labels, model, 0)
    assert (np.argmax(u @ model, axis=1) == labels).all()
    some = RandomState(7).standard_normal((dims, 12))
    for along in (*np.eye(dims), *some.T, *model.T):
        assert stats.ks_2samp(u @ along, plain @ along).pvalue > 1e-4
    pairs = np.cov(u.T) - np.cov(plain.T)
    assert np.abs(pairs).max() < 6 * math.sqrt(2 / min(len(u), len(plain)))


def test_nearly_the_same_directions_are_told_apart() -> None:
    model = np.array([[1.0, 1.0, 0.0, -1.0], [0.0, 1e-5, 1.0, 0.0], [0.0, 0.0, 1e-7, 1e-11]])
    one_class = OneClass(model, 0)
    along = one_class.candidates(RandomState(1), 2_000)
    u = one_class.whole(RandomState(2), along)
    assert (np.argmax(u @ model, axis=1) == 0).all()
    assert stats.kstest(u[:, 2], "norm").pvalue > 1e-3


def test_few_samples_of_a_class_are_drawn_with_the_others_and_more_of_it_alone() -> None:
    model = RandomState(3).standard_normal((20, 10))
    labels = np.repeat([0, 1, 2, 3, 4, 5], [900, 4, 3, 2, 2, 2])
    rng = RandomState(4)
    u = Rejection(10).draw(rng, labels, model, 0)
    assert (np.argmax(u @ model, axis=1) == labels).all()
    assert len(np.unique(u)) == u.size


def test_how_many_candidates_are_drawn_at_once_makes_no_difference() -> None:
    model, labels = RandomState(1).standard_normal((3, 4)), RandomState(2).randint(4, size=500)
    fresh, used = Rejection(4), Rejection(4)
    used.draw(RandomState(9), np.zeros(300, np.int64), model, 0)
    used.draw(RandomState(9), np.arange(300) % 3, model, 0)
    assert (fresh.draw(RandomState(5), labels, model, 0) == used.draw(RandomState(5), labels, model, 0)).all()


def test_a_class_that_a_model_never_says_is_an_error() -> None:
    model = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])  # the third is never the largest
    with pytest.raises(UsageError, match="class 2 is what the model of user 7 says of fewer than one in 100,000"):
        Rejection(3).draw(RandomState(1), np.array([0, 1, 2]), model, 7)


@pytest.mark.parametrize("clusters", [1, 2, 5])
@pytest.mark.parametrize("dims", [2, 3, 20])
def test_models_have_the_correlations_asked_for_where_there_is_room(dims: int, clusters: int) -> None:
    within, between = 0.2, 0.5
    parameters = ShiftsParameters(
        200,
        num_dim=30,
        concept_dims=dims,
        prob_clusters=(1 / clusters,) * clusters,
        concept_within=within,
        concept_between=between if clusters > 1 else 0.0,
    )
    draw = Ingredients(parameters)
    models = np.array([draw.model(user) for user in range(200)])
    group = np.array([draw.cluster(user) for user in range(200)])
    np.testing.assert_allclose((models**2).sum(axis=1), 1)
    if dims == 20:
        same = group[:, None] == group[None, :]
        np.fill_diagonal(same, False)
        alike = np.einsum("krc,lrc->kl", models, models) / 5
        assert alike[same].mean() == pytest.approx(correlation(5, within), abs=0.01)
        if clusters > 1:
            apart = group[:, None] != group[None, :]
            assert alike[apart].mean() == pytest.approx(correlation(5, between), abs=0.01)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"num_dim": 1}, "num_dim is 1, expected at least 2"),
        ({"concept_dims": 1}, "concept_dims is 1, expected 2 to num_dim, 60"),
        ({"concept_dims": 61}, "concept_dims is 61"),
        ({"concept_dims": 60, "feature_shift": 0.5}, "feature_shift is 0.5, which moves dimensions that don't decide"),
        ({"mean_size": 4.0}, "mean_size is 4, expected min_samples to max_samples, 5 to 1000"),
        ({"mean_size": math.nan}, "mean_size is nan"),
        ({"sigma_samples": 21.0}, "sigma_samples is 21, expected 0 to 20"),
        ({"label_alpha": 0.0}, "label_alpha is 0, expected 1e-09 to 1e"),
        ({"label_alpha": math.nan}, "label_alpha is nan"),
        ({"label_alpha": -math.inf}, "label_alpha is -inf"),
        ({"imbalance": 0.5}, "imbalance is 0.5, expected 1 to 10000"),
        ({"concept_within": 0.81}, "concept_within is 0.81, expected a disagreement from 0 to 1 - 1/5, 0.8"),
        ({"concept_between": 0.3}, "concept_between is 0.3, which takes two clusters or more"),
        (
            {"concept_between": 0.3, "concept_within": 0.4, "prob_clusters": (0.5, 0.5)},
            "concept_between is 0.3, expected at least concept_within, 0.4",
        ),
        ({"label_noise": 1.1}, "label_noise is 1.1, expected 0 to 1"),
        ({"label_noise": 0.1, "num_classes": 1}, "label_noise is 0.1, which takes two classes or more"),
        ({"feature_shift": 1.0}, "feature_shift is 1, expected a share of the variance, 0 to below 1"),
        ({"min_samples": 0}, "min_samples is 0"),
        ({"prob_clusters": (0.5, 0.6)}, "prob_clusters is 0.5,0.6"),
    ],
)
def test_impossible_parameters_are_errors(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        ShiftsParameters(3, **wrong)


GIVEN = (7, 3, *range(1, 29))


def test_given_sizes_are_had_and_change_no_other_draw(tmp_path: Path) -> None:
    """In any number of files; what a user has many of begins with what it has fewer of."""
    plain = {name: value for name, value in BASE.items() if name not in ("mean_size", "max_samples")}
    before, after = ingredients(), ingredients(sizes=GIVEN, **dict.fromkeys(("mean_size",)), max_samples=1000)
    assert after["sizes"] == list(GIVEN)
    assert {name for name in before if before[name] != after[name]} == {"sizes"}
    texts = []
    for shards in (1, 3):
        dataset = Dataset(ShiftsParameters(**plain, sizes=GIVEN), num_shards=shards)
        generate(tmp_path / str(shards) / "data", dataset)
        measured = measure(tmp_path / str(shards) / "data/all_data")
        assert (measured["quantity.min"], measured["quantity.max"]) == (1, 28)
        texts.append([task.x.tolist() for task in open_stream(dataset).tasks_of(range(30))])
    assert texts[0] == texts[1]
    with np.load(tmp_path / "1/meta/truth.npz") as truth:
        assert truth["sizes"].tolist() == list(GIVEN)
        assert truth["num_samples"].tolist() == list(GIVEN)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-sizes 5,4", "-sizes has 2 numbers, expected -num-tasks, 3"),
        ("-sizes 5,0,4", "-sizes has 0, expected numbers of samples, 1 to"),
        ("-sizes 5,4,-1", "-sizes has -1, expected numbers of samples"),
        ("-sizes 5,4,3 -mean-size 9", "-sizes is given, and -mean-size, which would choose others"),
        ("-sizes 5,4,3 -sigma-samples 2", "-sizes is given, and -sigma-samples, which"),
        ("-sizes 5,4,3 -target quantity.gini=0.3", "-sizes is given, and quantity.gini would choose others"),
        ("-sizes there.txt", "-sizes is 'there.txt', which is no list and no file (No such file"),
        ("--sizes there.txt", "--sizes is 'there.txt', which is no list and no file"),
        ("-sizes .", "is no list and no file"),
        ("-sizes wrong.txt", "wrong.txt: invalid literal"),
    ],
)
def test_impossible_sizes_are_errors(options: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.txt").write_text("5 4 three")
    result = fedsynth(tmp_path, "generate", "-num-tasks", 3, "-model", "shifts", *options.split(), check=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_sizes_come_from_a_file_or_a_list_and_are_recorded(tmp_path: Path) -> None:
    import json

    (tmp_path / "sizes.txt").write_text("5, 4\n3\n")
    options = ["-num-tasks", 3, "-model", "shifts", "-num-dim", 6]
    fedsynth(tmp_path, "generate", *options, "-sizes", "sizes.txt")
    recorded = json.loads((tmp_path / "meta/manifest.json").read_text())["stages"]["generate"]["parameters"]
    assert (recorded["sizes"], recorded["mean_size"]) == ([5, 4, 3], 4.0)
    assert "kept" in fedsynth(tmp_path, "generate", *options, "-sizes", "5,4,3").stdout
    assert "made with" in fedsynth(tmp_path, "generate", *options, "-sizes", "5,3,4", check=1).stderr
    assert "made with" in fedsynth(tmp_path, "generate", *options, check=1).stderr


def test_parameters_that_would_choose_other_sizes_are_errors() -> None:
    for wrong in ({"mean_size": 9.0}, {"sigma_samples": 1.0}, {"min_samples": 1}, {"max_samples": 9}):
        with pytest.raises(UsageError, match="sizes is given, and"):
            ShiftsParameters(3, sizes=(5, 4, 3), **wrong)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-noise 1", "-noise makes no sense with -model shifts"),
        ("-stream leaf", "-stream is 'leaf', expected independent"),
        ("-concept-within 0.9", "-concept-within is 0.9, expected a disagreement from 0 to"),
    ],
)
def test_options_that_shifts_has_not_are_errors(options: str, said: str, tmp_path: Path) -> None:
    result = fedsynth(tmp_path, "generate", "-num-tasks", 3, "-model", "shifts", *options.split(), check=2)
    assert said in result.stderr
    assert not (tmp_path / "data/all_data").exists()


def test_one_user_one_class_and_one_sample_are_data(tmp_path: Path) -> None:
    for number, changes in enumerate(
        (
            {"num_tasks": 1},
            {"num_tasks": 3, "num_classes": 1},
            {"num_tasks": 3, "min_samples": 1, "max_samples": 1, "label_alpha": 0.1, "concept_within": 0.3},
            {"num_tasks": 3, "num_dim": 2, "num_classes": 7, "concept_within": 0.3},
        )
    ):
        generate(tmp_path / str(number) / "data", Dataset(ShiftsParameters(**changes)))
        assert measure(tmp_path / str(number) / "data/all_data")["concept.oracle_accuracy"] == 1.0


def test_manifest_and_truth_record_infinity_as_a_word(tmp_path: Path) -> None:
    import json

    run_generate(tmp_path, 3, "-model", "shifts", "-num-dim", 6)
    text = (tmp_path / "meta/manifest.json").read_text()
    recorded = json.loads(text, parse_constant=pytest.fail)["stages"]["generate"]["parameters"]
    assert (recorded["label_alpha"], recorded["concept_dims"], recorded["mean_size"]) == ("inf", 2, 101.7)
    assert recorded["stream"] == "independent"
    result = fedsynth(tmp_path, "generate", "-num-tasks", 3, "-model", "shifts", "-num-dim", 6)
    assert "kept" in result.stdout


def test_memory_is_flat_in_users(tmp_path: Path) -> None:
    """10,000 users more: less than half a kilobyte each, though their models take three times that.

    On a busy machine up to 5.25 MiB of text wait to be written besides.
    """
    peaks = []
    for users in (1000, 11_000):
        options = (
            f"-model shifts -num-tasks {users} -num-dim 40 -max-samples 20 -concept-within 0.1 -data-dir {users}/d"
        )
        script = f"from fedsynth.cli.commands import generate\ngenerate.main({options.split()}, standalone_mode=False)"
        peaks.append(peak_memory(tmp_path, script))
    assert peaks[1] - peaks[0] < 10_000 * 500 + 21 * BLOCK


def test_fedprox_alpha_is_said_to_have_no_effect(tmp_path: Path) -> None:
    data: list[NDArray[np.uint8]] = []
    for alpha in (None, "0", "5"):
        folder = tmp_path / str(alpha)
        folder.mkdir()
        options = [] if alpha is None else ["-alpha", alpha]
        result = fedsynth(folder, "generate", "-num-tasks", 3, "-num-dim", 4, "-model", "fedprox", *options)
        assert ("-alpha has no effect on the data" in result.stderr) == (alpha is not None)
        data.append(np.fromfile(folder / "data/all_data/all_data.json", np.uint8))
    assert (data[1] == data[2]).all()
    assert (data[0] == data[1]).all()


def test_concepts_of_one_level_within_and_between_are_possible() -> None:
    for level in np.linspace(1e-6, 0.79, 40).tolist():
        for step in (0.0, 1e-15, 1e-13, 1e-12):
            knobs = {"concept_within": level, "concept_between": min(level + step, 0.8)}
            draw = Ingredients(ShiftsParameters(2, num_dim=9, prob_clusters=(0.5, 0.5), **knobs))
            assert np.isfinite(draw.model(0)).all()
