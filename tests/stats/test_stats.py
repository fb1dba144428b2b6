"""`stats`, and `measure` in Python: what is printed, for which folders, and from what is read."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth as package
from fedsynth.errors import DataError, StageError
from fedsynth.leaf.values import LargeX, read_values
from fedsynth.pipeline.stats import measure
from fedsynth.stats.features import FeatureMoments, to_matrix
from fedsynth.stats.table import flat
from tests.commands import environment, fedsynth, generate, peak_memory, tie_truth

KEYS = {
    *(f"quantity.{name}" for name in ("mean", "std", "cv", "skewness", "min", "median", "max")),
    *("quantity.gini", "quantity.effective_users", "quantity.top10_share"),
    *("label.classes_per_user", "label.majority_share"),
    *(f"label.{name}" for name in ("jensen_shannon", "hellinger", "total_variation")),
    *(f"label.{name}_chance" for name in ("jensen_shannon", "hellinger", "total_variation")),
    *(f"label.{name}_adjusted" for name in ("jensen_shannon", "hellinger", "total_variation")),
    *("feature.between_share", "feature.domain_accuracy", "gradient.dissimilarity"),
    *("concept.disagreement", "concept.within", "concept.between", "concept.oracle_accuracy", "clusters.sizes"),
}
BESIDE = {
    "concept.disagreement_reference",
    *(f"concept.{name}_error" for name in ("disagreement", "within", "between")),
}
"""What stands beside some of them, and is there when they are."""


def numbers(values: dict[str, Any]) -> dict[str, float]:
    """The measures, each by its key."""
    return {key: value for key, value in flat(values).items() if isinstance(value, int | float)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    generate(folder, 40, "-prob-clusters", "0.5,0.5", "-num-dim", "3")
    fedsynth(folder, "preprocess", "-t", "sample", "--spltseed", "1")
    return folder


def test_json_has_every_measure_by_its_key(made: Path) -> None:
    values = json.loads(fedsynth(made, "stats", "--json").stdout)
    leaf = {"users", "samples", "mean", "std", "std_over_mean", "skewness", "histogram"}
    assert values.keys() == KEYS | BESIDE | leaf | {"left_out"}
    assert values["left_out"] == {}
    assert values == package.measure(made / "data/all_data")


def test_table_comes_after_leafs_lines(made: Path) -> None:
    leaf, lines = (fedsynth(made, "stats", *options).stdout for options in (["--no-measures"], []))
    assert leaf.splitlines()[-1].startswith(">200")
    assert lines.startswith(leaf + "\nheterogeneity")
    values = measure(made / "data/all_data")
    shown = re.search(r"^label.jensen_shannon +(\S+) +(\S+)", lines, re.MULTILINE)
    assert shown is not None
    expected = values["label.jensen_shannon"], values["label.jensen_shannon_chance"]
    assert tuple(map(float, shown.groups())) == pytest.approx(expected, abs=5e-4)
    assert max(map(len, lines.splitlines())) < 100


def test_no_features_leaves_out_what_needs_them(made: Path) -> None:
    values = json.loads(fedsynth(made, "stats", "--json", "--no-features").stdout)
    everything = measure(made / "data/all_data")
    skipped = {key for key in KEYS if key.startswith(("feature.", "concept.", "gradient."))}
    assert values["left_out"] == dict.fromkeys(skipped, "features were not asked for")
    assert {key: values[key] for key in KEYS - skipped} == {key: everything[key] for key in KEYS - skipped}


def test_no_measures_gives_leafs_numbers_alone(made: Path) -> None:
    values = json.loads(fedsynth(made, "stats", "--json", "--no-measures").stdout)
    assert not KEYS & values.keys()
    assert "makes no sense" in fedsynth(made, "stats", "--no-measures", "--no-features", check=2).stderr


@pytest.mark.parametrize("folder", ["train", "test"])
def test_any_stage_is_described(folder: str, made: Path) -> None:
    values = json.loads(fedsynth(made, "stats", folder, "--json", "--pictures").stdout)
    counts = json.loads(next((made / "data" / folder).glob("*.json")).read_text())["num_samples"]
    assert values["samples"] == sum(counts)
    assert (made / f"data/synthetic_{folder}_labels.png").is_file()
    assert (made / f"data/synthetic_{folder}_models.png").is_file()


def test_any_other_folder_is_described(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "data/train", tmp_path / "elsewhere/mine")
    for name in ("elsewhere/mine", tmp_path / "elsewhere/mine"):
        values = json.loads(fedsynth(tmp_path, "stats", name, "--json", "--pictures").stdout)
        assert values["users"] == 40
        assert values["left_out"]["clusters.sizes"].startswith("there is no ground truth")
    assert (tmp_path / "elsewhere/synthetic_mine_labels.png").is_file()


def test_files_of_a_folder_are_measured_together(made: Path, write_leaf: Any, tmp_path: Path) -> None:
    content = json.loads((made / "data/all_data/all_data.json").read_text())["user_data"]
    users = {user: (values["x"], values["y"]) for user, values in content.items()}
    write_leaf(users, "whole/all/all_data.json")
    for number, start in enumerate(range(0, 40, 15)):
        write_leaf(dict(list(users.items())[start : start + 15]), f"parts/all/all_data_{number}.json")
    parts, whole = (measure(tmp_path / name / "all") for name in ("parts", "whole"))
    assert numbers(parts) == pytest.approx(numbers(whole))
    assert parts["histogram"] == whole["histogram"]


def test_workers_give_the_same_numbers_to_the_last_digit(tmp_path: Path) -> None:
    generate(tmp_path, 40, "-num-dim", "3", "-num-shards", "5", "-stream", "independent")
    one, two = (fedsynth(tmp_path, "stats", "--json", "--workers", workers).stdout for workers in (1, 2))
    assert one == two


def test_order_of_users_makes_no_difference(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    file = tmp_path / "copy/data/all_data/all_data.json"
    content = json.loads(file.read_text())
    order = random.Random(1).sample(range(40), 40)
    for key in ("users", "num_samples"):
        content[key] = [content[key][number] for number in order]
    content["user_data"] = {user: content["user_data"][user] for user in sorted(content["users"])}
    (tmp_path / "copy/meta/manifest.json").unlink()
    file.write_text(json.dumps(content))
    tie_truth(tmp_path / "copy/meta/truth.npz", file)
    before, after = measure(made / "data/all_data"), measure(tmp_path / "copy/data/all_data")
    assert numbers(after) == pytest.approx(numbers(before))
    assert after["clusters.sizes"] == before["clusters.sizes"]


def test_texts_as_samples(write_leaf: Any, tmp_path: Path) -> None:
    """Sentiment140's x are lists of strings, its y 0 or 4; unpaired surrogates are read too."""
    write_leaf({"a": ([["é \ud800", "t"]], [4]), "b": ([["u"], ["w"]], [0, 0])}, "data/all_data/a.json")
    values = measure(tmp_path / "data/all_data")
    assert values["label.jensen_shannon"] == pytest.approx(1)
    assert values["left_out"]["feature.between_share"] == "features are not numbers of one shape"
    assert not (tmp_path / "data/synthetic_models.png").exists()


@pytest.mark.parametrize("options", [[], ["--no-features"]])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"x": [[1.0]], "y": [0]', '"x": [[1.0], [2.0]], "y": [0]'), 'user "a" has 2 entries in x but 1 in y'),
        (('"num_samples": [1, 1]', '"num_samples": [1, 2]'), 'user "b" has 2 in num_samples but 1 samples'),
        (('"y": [1]', '"y": [NaN]'), "NaN, which is not JSON"),
        (('"y": [1]}}}', '"y": [1]}'), "the text ends too early"),
        (('"b": {', '"a": {'), 'user "a" appears twice in user_data'),
        (('"b": {', '"c": {'), 'user "b" has no entry in user_data'),
        (('"y": [1]}}', '"y": [1]}, "c": {"x": [], "y": []}}'), 'user "c" has data but is not listed in users'),
        ((', "b": {"x": [[2.0]], "y": [1]}', ""), 'user "b" has no entry in user_data'),
        (('"y": [1]', '"z": [1]'), 'user "b" has no "y"'),
    ],
)
def test_damaged_data_is_an_error(
    change: tuple[str, str], said: str, options: list[str], write_leaf: Any, tmp_path: Path
) -> None:
    file = write_leaf({"a": ([[1.0]], [0]), "b": ([[2.0]], [1])})
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change))
    result = fedsynth(tmp_path, "stats", *options, check=1)
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_large_users_are_parsed_by_slices(tmp_path: Path, write_leaf: Any) -> None:
    rng = random.Random(3)
    x = [[rng.gauss(0, 1) for _ in range(40)] for _ in range(6_000)]
    y = [rng.randrange(3) for _ in x]
    file = write_leaf({"large": (x, y), "small": (x[:10], y[:10])})
    assert file.stat().st_size > 4 << 20
    ((name, parsed, labels), _) = read_values(file, lambda: True)
    assert name == "large"
    assert isinstance(parsed, LargeX)
    assert (parsed[7], parsed[5_990:], labels) == (x[7], x[5_990:], y)
    assert to_matrix(parsed).tolist() == x
    share = measure(tmp_path / "data/all_data")["feature.between_share"]
    features = FeatureMoments()
    for part in (x, x[:10]):
        features.add(np.array(part))
    assert share == features.measures()["feature.between_share"]


def test_large_users_of_texts_and_damaged_ones(tmp_path: Path, write_leaf: Any) -> None:
    texts = ["\ud800" + "x" * 1_000] * 6_000
    file = write_leaf({"large": (texts, [0] * 6_000)})
    ((_, parsed, _),) = read_values(file, lambda: True)
    assert list(parsed[:2]) == texts[:2]
    assert "feature.between_share" in measure(tmp_path / "data/all_data")["left_out"]
    file.write_text(file.read_text().replace('"y": [0, ', '"y": ['))
    with pytest.raises(DataError, match='user "large" has 6000 entries in x but 5999 in y'):
        measure(tmp_path / "data/all_data")


def test_a_terminal_gets_a_progress_bar_and_a_pipe_does_not(made: Path) -> None:
    import fcntl
    import os
    import pty
    import struct
    import termios

    assert fedsynth(made, "stats").stderr == ""
    terminal, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "fedsynth", "stats", "--json"]
    result = subprocess.run(command, cwd=made, env=environment(), stdout=subprocess.PIPE, stderr=end, timeout=60)
    os.close(end)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "stats all_data" in shown
    assert "/40" in shown
    assert json.loads(result.stdout)["users"] == 40


def test_a_user_in_two_files_is_an_error(write_leaf: Any, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_leaf({"u": ([[1.0]], [0])}, f"data/all_data/{name}.json")
    with pytest.raises(DataError, match='user "u" is in two files'):
        measure(tmp_path / "data/all_data")


def test_json_draws_nothing_unless_asked(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "data", tmp_path / "data", ignore=shutil.ignore_patterns("*.png"))
    fedsynth(tmp_path, "stats", "--json")
    assert not [*tmp_path.rglob("*.png")]
    fedsynth(tmp_path, "stats", "--json", "--pictures")
    assert {path.name for path in tmp_path.rglob("*.png")} == {
        *(f"synthetic_{kind}.png" for kind in ("hist", "hist_nolabel", "labels"))
    }


def test_the_last_line_says_where_the_pictures_are(made: Path) -> None:
    line = fedsynth(made, "stats", "train").stdout.splitlines()[-1]
    assert line == "pictures: data/synthetic_train_{hist,hist_nolabel,labels,models}.png"
    for kind in ("hist", "hist_nolabel", "labels", "models"):
        assert (made / f"data/synthetic_train_{kind}.png").is_file()


def test_a_file_is_no_folder(made: Path) -> None:
    stderr = fedsynth(made, "stats", "data/all_data/all_data.json", check=1).stderr
    assert "all_data.json: a file, expected a folder of LEAF data; name its folder, data/all_data" in stderr
    with pytest.raises(StageError, match="name its folder"):
        measure(made / "data/all_data/all_data.json")


def test_numbers_beyond_floats_are_left_out_of_json(write_leaf: Any, tmp_path: Path) -> None:
    """JSON has no NaN and no infinity."""
    users = {str(number): ([[sign * 1e300, 1.0]] * 5, [0, 1] * 2 + [1]) for number, sign in enumerate((1, -1))}
    write_leaf(users, "data/all_data/a.json")
    text = fedsynth(tmp_path, "stats", "--json").stdout
    values = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert set(values["left_out"].values()) >= {"features are too large to be squared"}
    assert values["label.jensen_shannon"] == 0


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="missing or empty"):
        measure(tmp_path / "nowhere")
    assert "missing or empty" in fedsynth(tmp_path, "stats", "nowhere", check=1).stderr


def test_a_picture_that_does_not_apply_any_more_is_removed(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy")
    fedsynth(tmp_path / "copy", "stats")
    assert (tmp_path / "copy/data/synthetic_models.png").is_file()
    (tmp_path / "copy/meta/truth.npz").unlink()
    fedsynth(tmp_path / "copy", "stats")
    assert not (tmp_path / "copy/data/synthetic_models.png").exists()


def test_import_stays_light() -> None:
    script = "import sys, fedsynth; print({'numpy', 'PIL', 'orjson', 'click'} & set(sys.modules))"
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_memory_is_flat_in_x(tmp_path: Path) -> None:
    """Four times the users of the same sizes: less than 8 MB more at the peak, for 80 MB more of text."""
    peaks = []
    for tasks in (200, 800):
        folder = tmp_path / str(tasks)
        folder.mkdir()
        generate(folder, tasks, "-sigma-samples", "0", "-mean-samples", "4.7", "-num-dim", "60")
        peaks.append(peak_memory(folder, "from fedsynth.pipeline.stats import measure; measure('data/all_data')"))
    assert peaks[1] - peaks[0] < 8e6
