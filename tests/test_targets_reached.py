"""`-target`: the levels asked for are those of the files written, by computations of this module's own."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedsynth.errors import StageError, UsageError
from fedsynth.pipeline import levels
from fedsynth.pipeline.generate import generate
from fedsynth.pipeline.solve import solve
from fedsynth.pipeline.stats import measure
from fedsynth.pipeline.target import make_targets
from fedsynth.processes.dataset import Dataset
from fedsynth.processes.parameters import Parameters
from fedsynth.processes.shifts.ingredients import Ingredients
from fedsynth.processes.shifts.parameters import ShiftsParameters
from tests.commands import fedsynth

RUNS, PER_RUN = 26, 4
USERS = [*[50, 50, 60, 50, 50, 80, 50, 50] * 12, 2000, 50, 200, 50, 500, 50, 50, 50]
KNOBS = (
    "mean_size",
    "sigma_samples",
    "label_alpha",
    "label_noise",
    "concept_within",
    "concept_between",
    "feature_shift",
)


def draw_setting(rng: random.Random, users: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What stays as it is, and knobs: whatever levels these knobs give can be had."""
    classes, clusters = rng.choice([2, 3, 5, 10, 20]), rng.randint(1, 5)
    dims = rng.randint(max(4, classes // 2), 12)
    least, most = rng.choice([1, 5, 10]), rng.choice([30, 45])
    fixed = {
        "num_tasks": users,
        "num_classes": classes,
        "num_dim": dims + rng.randint(2, 6),
        "concept_dims": dims,
        "seed": rng.randrange(2**32),
        "prob_clusters": (1 / clusters,) * clusters,
        "min_samples": least,
        "max_samples": most,
        "imbalance": rng.choice([1.0, 1.0, 4.0]),
    }
    within = rng.uniform(0.05, 0.4) * (1 - 1 / classes)
    knobs = {
        "mean_size": rng.uniform(least + 5, most - 10),
        "sigma_samples": rng.uniform(0.2, 1.5),
        "label_alpha": 10 ** rng.uniform(-1, 1),
        "label_noise": rng.choice([0.0, rng.uniform(0.01, 0.2)]),
        "concept_within": within,
        "concept_between": rng.uniform(within, 0.9 * (1 - 1 / classes)) if clusters > 1 else 0.0,
        "feature_shift": rng.uniform(0.05, 0.9),
    }
    return fixed, knobs


CHANCES = {"concept_within": 0.4, "concept_between": 0.4}


def choose_targets(rng: random.Random, parameters: ShiftsParameters) -> dict[str, tuple[str, float]]:
    """Levels that these parameters give, by knob: those of some of the knobs."""
    sizes = Ingredients(parameters).sizes(range(parameters.num_tasks))
    counts = levels.count_labels(parameters, sizes)
    found = {
        **levels.quantity_levels(sizes),
        **levels.label_levels(counts),
        "concept.oracle_accuracy": levels.accuracy(parameters, sizes),
        "feature.between_share": levels.FeatureLevels(parameters, sizes).level(parameters.feature_shift),
    }
    labels = ("jensen_shannon", "hellinger", "total_variation", "majority_share", "classes_per_user")
    several = len(parameters.prob_clusters) > 1
    wishes = {
        "mean_size": "quantity.mean",
        "sigma_samples": rng.choice(["quantity.gini", "quantity.cv"]),
        "label_alpha": f"label.{rng.choice(labels)}",
        "label_noise": "concept.oracle_accuracy",
        "concept_within": "concept.within" if several else rng.choice(["concept.within", "concept.disagreement"]),
        "concept_between": rng.choice(["concept.between", "concept.disagreement"]) if several else "",
        "feature_shift": "feature.between_share",
    }
    chosen = {knob: wish for knob, wish in wishes.items() if wish and rng.random() < CHANCES.get(knob, 0.7)}
    if any(knob.startswith("concept") for knob in chosen):
        found.update(levels.ConceptLevels(parameters, sizes).levels(parameters))
    return {knob: (wish, found[wish]) for knob, wish in chosen.items() if wish in found}


def test_levels_to_ask_for_are_those_that_the_knobs_give() -> None:
    """Of noise, too: that its level moves what is asked for labels is what makes the order of solving matter."""
    noisy = []
    for seed in range(40):
        rng = random.Random(seed)
        fixed, knobs = draw_setting(rng, 50)
        chosen = choose_targets(rng, ShiftsParameters(**fixed, **knobs))
        if "label_noise" in chosen:
            assert 1 - chosen["label_noise"][1] == pytest.approx(knobs["label_noise"], abs=0.05)
            noisy.append(chosen["label_noise"][1] < 1)
    assert sum(noisy) >= 5


@pytest.mark.parametrize("run", range(RUNS))
def test_levels_of_the_files_are_those_asked_for(run: int, tmp_path: Path) -> None:
    """Over 100 settings: of each some knobs are given, and the others are to be found from the levels they gave."""
    rng = random.Random(run)
    for number in range(PER_RUN):
        users = USERS[(run * PER_RUN + number) % len(USERS)]
        fixed, knobs = draw_setting(rng, users)
        chosen = choose_targets(rng, ShiftsParameters(**fixed, **knobs))
        given = {knob: value for knob, value in knobs.items() if knob not in chosen}
        if "concept_within" not in given and "concept_between" in given:
            given["concept_between"] = 0.0  # one that is given bounds the other from above
            chosen.pop("concept_between", None)
        given.setdefault("mean_size", (fixed["min_samples"] + fixed["max_samples"]) / 2)
        asked = {wish: round(level, 4) for wish, level in chosen.values()}
        try:
            solution = solve(ShiftsParameters(**fixed, **given), make_targets(asked))
        except UsageError as error:
            raise AssertionError(f"{fixed} {given} {asked}") from error
        folder = tmp_path / str(number)
        generate(folder / "data", Dataset(solution.parameters))
        check_files(folder, solution.levels, asked)


def check_files(folder: Path, reached: Any, asked: dict[str, float]) -> None:
    measured = measure(folder / "data/all_data")
    own = compute(folder, {level.target.measure for level in reached})
    for level in reached:
        key = level.target.measure
        value = measured[key]["mean"] if key == "feature.between_share" else measured[key]
        relative = key in ("quantity.mean", "label.classes_per_user")
        assert abs(value - asked[key]) <= (0.01 * asked[key] if relative else 0.005), key
        assert level.reached == pytest.approx(value, abs=1e-9), key
        if key in own:
            assert value == pytest.approx(own[key], abs=1e-9), key
    for key in ("concept.within", "concept.between"):
        if key in measured:
            assert own[f"{key} of others"] == pytest.approx(measured[key], abs=0.06), key


def compute(folder: Path, wanted: set[str]) -> dict[str, float]:
    """The measures by their formulas, from the text of the files, with no code of the package."""
    content = json.loads((folder / "data/all_data/all_data.json").read_text())
    users = [content["user_data"][user] for user in content["users"]]
    with np.load(folder / "meta/truth.npz") as truth:
        models, clusters, classes = truth["models"], truth["cluster"], int(truth["num_classes"])
    counts = np.array([np.bincount(user["y"], minlength=classes) for user in users], float)
    sizes, pooled = counts.sum(axis=1), counts.sum(axis=0) / counts.sum()
    shares = counts / sizes[:, None]
    x = [np.array(user["x"]) for user in users]
    right = sum(
        int((np.argmax(a @ w[1:] + w[0], axis=1) == user["y"]).sum())
        for a, w, user in zip(x, models, users, strict=True)
    )
    pairs = np.abs(sizes[:, None] - sizes[None, :]).sum()
    roots = np.sqrt(shares)
    return {
        "quantity.mean": sizes.mean(),
        "quantity.cv": sizes.std() / sizes.mean(),
        "quantity.gini": pairs / (2 * len(sizes) * sizes.sum()),
        "label.jensen_shannon": 1 - float(sizes @ entropy(shares)) / sizes.sum() / float(entropy(pooled)),
        "label.hellinger": float(np.sqrt(pairwise(roots).sum() / 2 / len(sizes) / (len(sizes) - 1))),
        "label.total_variation": float(sizes @ np.abs(shares - pooled).sum(axis=1)) / 2 / sizes.sum(),
        "label.majority_share": shares.max(axis=1).mean(),
        "label.classes_per_user": (counts > 0).sum(axis=1).mean(),
        "concept.oracle_accuracy": right / sizes.sum(),
        "feature.between_share": share_between(x),
        **disagreements(x, models, clusters),
    }


def entropy(shares: NDArray[np.float64]) -> Any:
    return -np.sum(shares * np.log(np.where(shares > 0, shares, 1)), axis=-1)


def pairwise(rows: NDArray[np.float64]) -> Any:
    return np.maximum(0, (rows**2).sum(axis=1)[:, None] + (rows**2).sum(axis=1)[None, :] - 2 * rows @ rows.T)


def share_between(x: list[NDArray[np.float64]]) -> float:
    everything = np.concatenate(x)
    means = np.concatenate([np.broadcast_to(a.mean(axis=0), a.shape) for a in x])
    return float((means.var(axis=0) / everything.var(axis=0)).mean())


def disagreements(x: list[NDArray[np.float64]], models: Any, clusters: Any) -> dict[str, float]:
    """By samples and users of its own: about 600 samples of up to 300 users, all their models."""
    some = np.random.default_rng(0).permutation(len(x))[:300]
    samples = np.concatenate([x[user][: max(5, 600 // len(some))] for user in some])
    says = np.array([np.argmax(samples @ model[1:] + model[0], axis=1) for model in models[some]])
    differ = np.array([(says != row).mean(axis=1) for row in says])
    same = clusters[some][:, None] == clusters[some][None, :]
    others = ~np.eye(len(some), dtype=bool)
    values = {}
    if (same & others).any():
        values["concept.within of others"] = float(differ[same & others].mean())
    if (~same).any():
        values["concept.between of others"] = float(differ[~same].mean())
    return values


def test_the_command_that_is_printed_gives_the_same_bytes(tmp_path: Path) -> None:
    options = ["-num-tasks", 60, "-model", "shifts", "-num-dim", 12, "-max-samples", 50, "-mean-size", 20]
    asked = ["-target", "label.jensen_shannon=0.3", "-target", "concept.within=0.1+-0.02", "-target=quantity.gini=0.3"]
    result = fedsynth(tmp_path, "generate", *options, *asked)
    lines = result.stdout.splitlines()
    assert lines[1].split() == ["target", "asked", "reached", "chance"]
    assert [line.split()[0] for line in lines[2:5]] == ["label.jensen_shannon", "concept.within", "quantity.gini"]
    command = lines[5].removeprefix("the same without solving: fedsynth ").split()
    (tmp_path / "again").mkdir()
    fedsynth(tmp_path / "again", *command)
    for name in ("data/all_data/all_data.json", "meta/truth.npz"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    stage = json.loads((tmp_path / "meta/manifest.json").read_text())["stages"]["generate"]
    assert stage["parameters"]["command"].split()[1:] == command
    assert stage["parameters"]["targets"]["concept.within"]["tolerance"] == 0.02
    assert stage["parameters"]["label_alpha"] == float(command[command.index("-label-alpha") + 1])
    assert "kept" in fedsynth(tmp_path, "generate", *options, *asked).stdout
    assert "kept" in fedsynth(tmp_path, *command).stdout


def test_levels_of_given_sizes_are_reached_and_the_command_says_the_sizes(tmp_path: Path) -> None:
    (tmp_path / "sizes.txt").write_text(" ".join(map(str, range(10, 50))))
    options = ["-num-tasks", 40, "-model", "shifts", "-num-dim", 12, "-sizes", "sizes.txt"]
    result = fedsynth(tmp_path, "generate", *options, "-target", "label.jensen_shannon=0.3")
    command = result.stdout.splitlines()[-1].removeprefix("the same without solving: fedsynth ").split()
    assert command[command.index("-sizes") + 1] == "sizes.txt"
    assert measure(tmp_path / "data/all_data")["label.jensen_shannon"] == pytest.approx(0.3, abs=0.005)
    assert "kept" in fedsynth(tmp_path, *command).stdout


def test_data_in_the_way_is_found_before_solving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fedsynth.pipeline import generator, solve
    from fedsynth.pipeline.target import make_targets

    options = ["-num-tasks", 40, "-model", "shifts", "-num-dim", 12, "-max-samples", 50, "-mean-size", 20]
    fedsynth(tmp_path, "generate", *options)
    solved: list[Any] = []
    monkeypatch.setattr(solve, "solve", lambda *args, **more: solved.append(args))
    other = Dataset(ShiftsParameters(40, num_dim=9))
    with pytest.raises(StageError, match="made with num_dim 12"):
        levels = make_targets({"label.hellinger": 0.5})
        generator.generate_levels(tmp_path / "data", other, levels, given={}, command=repr)
    assert solved == []
    said = fedsynth(tmp_path, "generate", *options, "-target", "label.hellinger=0.5", "-seed", 1, check=1).stderr
    assert "-seed 931231, but -seed 1 was asked for" in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-target quantity.gini=0.5", "quantity.gini can't be asked of -model leaf, which has no knob"),
        ("-model fedprox -target concept.within=0.1", "can't be asked of -model fedprox"),
        ("label.jensen=0.5", "no knob reaches 'label.jensen', did you mean label.jensen_shannon?"),
        ("clusters.sizes=0.5", "no knob reaches 'clusters.sizes'"),
        ("label.hellinger=0.5 -target label.jensen_shannon=0.5", "one knob, -label-alpha, reaches both"),
        ("label.hellinger=0.5 -target label.hellinger=0.5", "label.hellinger is asked for by two targets"),
        ("concept.within=0.2 -target concept.disagreement=0.3", "one knob, -concept-within, reaches both"),
        ("quantity.mean=20 -mean-size 20", "-mean-size is given, and quantity.mean would choose it"),
        ("concept.between=0.2", "concept.between takes two clusters or more"),
        ("concept.within=0.3 -target concept.between=0.2 -prob-clusters 0.5,0.5", "less than concept.within"),
        ("concept.within", "expected MEASURE=LEVEL such as"),
        ("concept.within=much", "expected MEASURE=LEVEL such as"),
        ("concept.within=inf", "concept.within is to be inf"),
        ("concept.within=0.1+-0", "tolerance is 0, expected more than 0"),
        ("feature.between_share=0.9", "40 users of 5 to 60 samples and 5 classes: 0.0"),
        ("quantity.mean=80", "quantity.mean 80 can't be reached"),
        ("concept.within=0.9", "concept.within 0.9 can't be reached"),
    ],
)
def test_what_can_not_be_had_is_an_error_before_anything_is_written(options: str, said: str, tmp_path: Path) -> None:
    shifts = "" if "-model" in options or "gini" in options else "-model shifts -max-samples 60 -target "
    result = fedsynth(tmp_path, "generate", "-num-tasks", 40, *f"{shifts}{options}".split(), check=2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def small(**changes: Any) -> ShiftsParameters:
    return ShiftsParameters(**{"num_tasks": 40, "num_dim": 9, "max_samples": 60, "mean_size": 20.0, **changes})


@pytest.mark.parametrize(
    ("changes", "asked", "said"),
    [
        ({"num_tasks": 1}, {"concept.within": 0.2}, "does not apply"),
        ({"num_tasks": 1}, {"label.jensen_shannon": 0.2}, r"1 user .* 0.000 \(chance\) to 0.000"),
        ({"num_classes": 1}, {"label.jensen_shannon": 0.2}, r"1 class: 0.000 \(chance\) to 0.000"),
        ({"num_classes": 1}, {"concept.oracle_accuracy": 0.9}, r"1.000 to 1.000"),
        (
            {"min_samples": 1, "max_samples": 1, "mean_size": 1},
            {"label.jensen_shannon": 0.5},
            "of 1 sample and 5 classes",
        ),
        ({"min_samples": 1, "max_samples": 1, "mean_size": 1}, {"quantity.gini": 0.5}, "0.000 to 0.000"),
        ({"concept_dims": 9}, {"feature.between_share": 0.5}, "can't be reached"),
        ({"label_noise": 0.5}, {"label.jensen_shannon": 0.9}, "can't be reached"),
        ({"prob_clusters": (0.5, 0.5), "num_tasks": 1}, {"concept.between": 0.5}, "does not apply"),
    ],
)
def test_odd_users_give_a_sentence(changes: dict[str, Any], asked: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        solve(small(**changes), make_targets(asked))


def test_an_unreachable_level_names_the_levels_that_can_be_had() -> None:
    with pytest.raises(UsageError) as caught:
        solve(small(label_noise=0.3), make_targets({"label.jensen_shannon": 0.99}))
    low, high = str(caught.value).split("classes: ")[1].replace(" (chance)", "").split(" to ")
    for level in (float(low), float(high)):
        assert solve(small(label_noise=0.3), make_targets({"label.jensen_shannon": level}))
    with pytest.raises(UsageError):
        solve(small(label_noise=0.3), make_targets({"label.jensen_shannon": float(high) + 0.01}))


def test_other_models_parameters_reach_nothing() -> None:
    with pytest.raises(UsageError, match="model leaf"):
        solve(Parameters(3), make_targets({"label.jensen_shannon": 0.3}))


def test_chance_is_what_stats_says(tmp_path: Path) -> None:
    solution = solve(small(), make_targets({"label.jensen_shannon": 0.4, "feature.between_share": (0.2, 0.001)}))
    generate(tmp_path / "data", Dataset(solution.parameters))
    measured = measure(tmp_path / "data/all_data")
    assert solution.levels[0].chance == measured["label.jensen_shannon_chance"]
    assert solution.levels[1].reached == pytest.approx(0.2, abs=0.001)


def test_what_is_tried_is_told() -> None:
    told: list[str] = []
    solve(small(), make_targets({"label.jensen_shannon": 0.4}), tell=told.append)
    assert all(text.startswith("label.jensen_shannon: ") and text.endswith("asked 0.4") for text in told)
    assert len(told) > 2


def test_two_levels_that_nearly_touch_are_reached_together() -> None:
    """Turning one concept knob moves the other's level a little, which first leaves no room for it."""
    base = {"num_tasks": 500, "num_classes": 2, "num_dim": 16, "concept_dims": 15, "seed": 1028123759}
    sizes = {"min_samples": 10, "max_samples": 40, "mean_size": 23.2, "label_alpha": 0.8}
    asked = {"concept.within": (0.0864, 0.003), "concept.between": (0.0874, 0.003)}
    solution = solve(ShiftsParameters(**base, **sizes, prob_clusters=(0.5, 0.5)), make_targets(asked))
    for level, wish in zip(solution.levels, asked.values(), strict=True):
        assert level.reached == pytest.approx(wish[0], abs=wish[1])


def test_two_levels_of_few_users_that_move_each_other_are_reached_together() -> None:
    """In turn they never come to rest here, as the disagreement falls for a while where concept_between rises."""
    base = {"num_tasks": 80, "num_classes": 3, "num_dim": 12, "concept_dims": 7, "seed": 1741178200}
    sizes = {
        "min_samples": 1,
        "max_samples": 30,
        "mean_size": 9.64412,
        "sigma_samples": 0.785,
        "label_alpha": 1.7008462,
    }
    asked = {"concept.within": 0.27, "concept.disagreement": 0.2733}
    solution = solve(ShiftsParameters(**base, **sizes, prob_clusters=(0.5, 0.5)), make_targets(asked))
    for level, wish in zip(solution.levels, asked.values(), strict=True):
        assert level.reached == pytest.approx(wish, abs=0.005)


def test_of_two_levels_the_one_that_is_out_of_reach_is_named_with_what_can_be_had() -> None:
    asked = {"concept.within": 0.2, "concept.between": 0.95}
    with pytest.raises(UsageError, match=r"between 0.95 can't be reached with 40 users .*: 0\.\d+ to 0\.[67]\d+"):
        solve(small(prob_clusters=(0.5, 0.5)), make_targets(asked))
