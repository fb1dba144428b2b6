"""The manifest says what happened."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.commands import contents, fedsynth, generate


def test_each_stage_is_recorded(tmp_path: Path) -> None:
    data = generate(tmp_path)
    options = "-s niid --sf 0.5 -k 5 -t sample --smplseed 1 --spltseed 2"
    fedsynth(tmp_path, "preprocess", *options.split())
    stages = json.loads((tmp_path / "meta/manifest.json").read_text())["stages"]
    assert list(stages) == ["generate", "sample", "remove_users", "split"]
    assert stages["sample"]["parameters"] == {"method": "niid", "fraction": 0.5}
    assert [stages[name]["seed"] for name in stages] == [931231, 1, None, 2]
    assert stages["sample"]["before"] == {"users": 20, "samples": 2294}
    assert stages["sample"]["after"]["sampled_data"]["samples"] == 1147
    for stage in stages.values():
        for file in stage["outputs"]:
            content = (data.parent / file["path"]).read_bytes()
            assert (file["size"], file["md5"]) == (len(content), hashlib.md5(content).hexdigest())
    assert [file["path"] for file in stages["split"]["inputs"]] == ["data/rem_user_data/all_data_niid_5_keep_5.json"]


def test_truth_is_what_the_labels_come_from(tmp_path: Path) -> None:
    import numpy as np

    data = generate(tmp_path, 30, "-prob-clusters", "0.5,0.25,0.25")
    with np.load(tmp_path / "meta/truth.npz") as file:
        truth = dict(file)
    users = json.loads((data / "all_data/all_data.json").read_text())["user_data"]
    assert truth["user_ids"].tolist() == list(users)
    assert set(truth["cluster"].tolist()) == {0, 1, 2}
    right = total = 0
    for number, user in enumerate(users.values()):
        model = truth["Q"] @ truth["model_info"][number]
        x, y = np.array(user["x"]), np.array(user["y"])
        right += int((np.argmax(x @ model[1:] + model[0], axis=1) == y).sum())
        total += len(y)
    assert right / total > 0.95
    spread = truth["model_info"] - truth["centers"][truth["cluster"]]
    assert 0.05 < spread.std() < 0.2


@pytest.mark.parametrize(("act", "words"), [("unlink", "is gone"), ("change", "has changed"), ("add", "is new")])
def test_folder_that_is_not_as_its_stage_left_it_is_refused(act: str, words: str, tmp_path: Path) -> None:
    data = generate(tmp_path)
    fedsynth(tmp_path, "preprocess", "-s", "niid", "--sf", 1)
    path = data / "sampled_data/all_data_niid_0.json"
    if act == "add":
        path = path.with_name("more.json")
        path.write_text('{"users": [], "num_samples": [], "user_data": {}}')
    elif act == "change":
        path.write_bytes(path.read_bytes() + b" ")
    else:
        path.rename(path.with_name("other.txt"))
    message = fedsynth(tmp_path, "preprocess", "-k", 5, check=1).stderr
    assert f"{Path('data/sampled_data') / path.name} {words}" in message
    assert not (data / "rem_user_data").exists()


def test_other_data_in_place_of_what_was_generated_is_taken(tmp_path: Path) -> None:
    data = generate(tmp_path)
    content = {"users": ["a"], "num_samples": [2], "user_data": {"a": {"x": [1, 2], "y": [0, 1]}}}
    (data / "all_data/all_data.json").write_text(json.dumps(content))
    fedsynth(tmp_path, "preprocess", "-k", 1)
    assert "rem_user_data/all_data_keep_1.json" in contents(data)
