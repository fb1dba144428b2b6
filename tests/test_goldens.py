"""LEAF's own outputs: the same commands, the same names, the same bytes."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ROOT, fedsynth

TESTS = Path(__file__).parent
CASES: list[dict[str, Any]] = json.loads((TESTS / "goldens.json").read_text())["cases"]
GENERATED = {case["name"]: case for case in CASES if case["argv"][0] == "main.py"}
PREPROCESSED = [case for case in CASES if case["argv"][0] != "main.py"]


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def generate_case(case: dict[str, Any], cwd: Path) -> Path:
    clusters = ",".join(map(str, case["prob_clusters"]))
    fedsynth(cwd, "generate", *case["argv"][1:], "-prob-clusters", clusters)
    return cwd / "data/all_data/all_data.json"


def prepare(case: dict[str, Any], cwd: Path) -> None:
    """Put a case's input into data/all_data."""
    if case["input"] in GENERATED:
        generate_case(GENERATED[case["input"]], cwd)
    else:
        shutil.copytree(TESTS / case["input"], cwd / "data/all_data")


def our_name(name: str, case: dict[str, Any]) -> str:
    """LEAF drops the sampling method from the names of a split by user."""
    by_user = "user" in case["argv"]
    method = case["argv"][case["argv"].index("-s") + 1] if "-s" in case["argv"] else ""
    if not by_user or not name.startswith(("train/", "test/")) or case["input"] == "inputs/shk":
        return name
    if not method:
        return name.replace("all_data_0_", "all_data_")
    return name.replace("all_data_0_", f"all_data_{method}_")


def leafs_text(path: Path) -> bytes:
    """LEAF loses hierarchies when it splits."""
    if path.parent.name not in ("train", "test"):
        return path.read_bytes()
    return re.sub(rb'"hierarchies": \[.*?\], (?="num_samples")', b"", path.read_bytes(), count=1)


@pytest.mark.parametrize("name", GENERATED)
def test_generator_writes_leafs_bytes(name: str, tmp_path: Path) -> None:
    case = GENERATED[name]
    data = generate_case(case, tmp_path).read_bytes()
    sums = {*case["files"].values(), *case["files_without_fma"].values()}
    assert md5(data) in sums
    users = json.loads(data)
    assert len(users["users"]) == case["summary"]["users"]
    assert sum(users["num_samples"]) == case["summary"]["samples"]
    assert repr(users["user_data"]["0"]["x"][0][0]) == case["summary"]["first_x"]


@pytest.mark.parametrize("case", PREPROCESSED, ids=lambda case: case["name"])
def test_stages_write_leafs_bytes(case: dict[str, Any], tmp_path: Path) -> None:
    prepare(case, tmp_path)
    fedsynth(tmp_path, "preprocess", *case["argv"][1:])
    merged = "user" in case["argv"] and case["input"] == "inputs/shk"
    for name, expected in case["files"].items():
        if not (merged and name.startswith(("train/", "test/"))):
            assert md5(leafs_text(tmp_path / "data" / our_name(name, case))) == expected, name


@pytest.mark.parametrize("case", PREPROCESSED, ids=lambda case: case["name"])
def test_checksum_file_is_md5sums(case: dict[str, Any], tmp_path: Path) -> None:
    prepare(case, tmp_path)
    fedsynth(tmp_path, "preprocess", *case["argv"][1:])
    files = sorted((tmp_path / "data").rglob("*.json"))
    lines = [f"{md5(path.read_bytes())}  {path.relative_to(tmp_path)}\n" for path in files]
    assert (tmp_path / "meta/dir-checksum.md5").read_text() == "".join(lines)


@pytest.mark.parametrize(
    "case",
    [case for case in PREPROCESSED if "user" in case["argv"] and case["input"] == "inputs/shk"],
    ids=lambda case: case["name"],
)
def test_split_by_user_over_files_has_leafs_users(case: dict[str, Any], tmp_path: Path) -> None:
    """LEAF writes one file for all input files together: put ours together to compare."""
    prepare(case, tmp_path)
    fedsynth(tmp_path, "preprocess", *case["argv"][1:])
    for name, expected in case["files"].items():
        side = name.partition("/")[0]
        if side in ("train", "test"):
            assert md5(merge(sorted((tmp_path / "data" / side).glob("*.json")))) == expected


def merge(paths: list[Path]) -> bytes:
    merged: dict[str, Any] = {"users": [], "num_samples": [], "user_data": {}}
    for path in paths:
        content = json.loads(path.read_text())
        merged["users"] += content["users"]
        merged["num_samples"] += content["num_samples"]
        merged["user_data"].update(content["user_data"])
    return json.dumps(merged).encode()


def test_edited_constant_in_main_py_is_used(tmp_path: Path) -> None:
    """The way that LEAF's users choose several clusters."""
    import subprocess
    import sys

    from tests.commands import environment

    text = (ROOT / "main.py").read_text()
    (tmp_path / "main.py").write_text(text.replace("PROB_CLUSTERS = [1.0]", "PROB_CLUSTERS = [0.5, 0.5]"))
    subprocess.run(
        [sys.executable, "main.py", "-num-tasks", "100"],
        cwd=tmp_path,
        env=environment(),
        check=True,
        capture_output=True,
    )
    case = GENERATED["gen_f"]
    data = (tmp_path / "data/all_data/all_data.json").read_bytes()
    assert md5(data) in {*case["files"].values(), *case["files_without_fma"].values()}
