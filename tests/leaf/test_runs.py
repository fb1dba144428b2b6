"""Users who are looked at together come out as those who are looked at one by one; what is odd is left to that way."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.errors import DataError
from fedsynth.leaf.decode import MAX_DEPTH
from fedsynth.leaf.frames import find_run, pass_users
from fedsynth.leaf.index import LeafWalk, open_unchanged
from fedsynth.leaf.lazy import LazyLeafFile
from fedsynth.leaf.reader import SampleReader, read_index
from fedsynth.leaf.runs import Run, read_run

USERS = {f"u{number}": {"x": [[number, 0.5]] * (number % 4), "y": [number] * (number % 4)} for number in range(400)}


def run_of(users: dict[str, Any]) -> bytes:
    return b", " + json.dumps(users).encode()[1:-1]


def write(path: Path, users: dict[str, Any], data: bytes | None = None) -> Path:
    head = {"users": list(users), "num_samples": [len(user["y"]) for user in users.values()]}
    text = json.dumps(users).encode() if data is None else data
    path.write_bytes(json.dumps(head).encode()[:-1] + b', "user_data": ' + text + b"}")
    return path


@pytest.mark.parametrize("find", [read_run, find_run])
def test_a_run_tells_names_and_places(find: Any) -> None:
    text = run_of(USERS)
    run = find(text, 0)
    assert run is not None
    assert list(run.names) == list(USERS)
    texts = [text[at : at + size] for at, size in zip(run.offsets, run.sizes, strict=True)]
    assert [json.loads(user) for user in texts] == list(USERS.values())
    if run.samples:
        assert [b", ".join(user.y) for user in run.samples] == [
            json.dumps(u["y"]).encode()[1:-1] for u in USERS.values()
        ]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
samples = st.lists(st.tuples(values, values), max_size=4)


@settings(derandomize=True, deadline=None)
@given(st.dictionaries(st.text(max_size=4), samples, min_size=1, max_size=6))
def test_any_users_are_found_or_left_alone(users: dict[str, list[tuple[Any, Any]]]) -> None:
    """Whatever is taken for a run is what json says it is."""
    text = run_of({name: {"x": [x for x, _ in pairs], "y": [y for _, y in pairs]} for name, pairs in users.items()})
    for run in (read_run(text, 0), find_run(text, 0)):
        if run is not None:
            assert list(run.names) == list(users)
            found = [json.loads(text[at : at + size]) for at, size in zip(run.offsets, run.sizes, strict=True)]
            assert found == list(json.loads(b"{" + text[2:] + b"}").values())
    assert read_run(text, 0) is not None or "\\ud" in text.decode().lower()


ODD = {
    "another spacing": ('"y": [', '"y":['),
    "keys in another order": ('{"x": [], "y": []}', '{"y": [], "x": []}'),
    "another key": ('"y": []}', '"y": [], "z": 1}'),
    "a key twice": ('"x": [], "y": []}', '"x": [], "x": [], "y": []}'),
    "a user twice": ('"u4": ', '"u8": '),
    "not JSON": ("0.5]", "0.5.]"),
    "NaN": ("0.5]", "NaN]"),
    "no UTF-8": ('"u5"', '"\udcff"'),
    "an escaped name": ('"u5"', '"\\u0075\\u0035"'),
    "sizes that differ": ('"y": [1]', '"y": [1, 1]'),
    "a tab in a name": ('"u5"', '"u\t5"'),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_no_run(name: str) -> None:
    before, after = ODD[name]
    text = run_of(USERS).decode().replace(before, after, 1).encode(errors="surrogateescape")
    run = read_run(text, 0)
    assert run is None or len(run.names) < len(USERS)


@pytest.mark.parametrize("name", ODD)
def test_odd_files_are_said_and_read_as_one_by_one(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = ODD[name]
    data = json.dumps(USERS).replace(before, after, 1).encode(errors="surrogateescape")
    path = write(tmp_path / "a.json", USERS, data)
    found = said(path)
    monkeypatch.setattr(LeafWalk, "_run", lambda walk, read, longest: None)
    assert said(path) == found


def said(path: Path) -> Any:
    try:
        index = read_index(path)
    except DataError as error:
        return str(error)
    with SampleReader(index) as reader:
        texts = [reader.text(user) for user in range(len(index.num_samples))]
    return list(index.counts.users), list(index.offsets), list(index.sizes), bytes(index.standard), texts


def test_most_of_small_users_are_in_runs(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", USERS)
    for read in (read_run, find_run):
        with open_unchanged(path) as (file, _):
            parts = list(LeafWalk(file, path).users_and_runs(read))
        assert sum(len(part.names) for part in parts if isinstance(part, Run)) >= len(USERS) - 2
        assert len(parts) <= 4


def test_users_nested_too_deeply_are_found_in_runs(tmp_path: Path) -> None:
    deep: Any = 1
    for _ in range(MAX_DEPTH + 1):
        deep = [deep]
    path = write(tmp_path / "a.json", {**USERS, "deep": {"x": [deep], "y": [1]}, "last": {"x": [], "y": []}})
    for read in (read_index, lambda path: LazyLeafFile(path).samples(0)):
        with pytest.raises(DataError, match='"deep" has values nested too deeply'):
            read(path)


ODD_BYTES = [bytes([code]) for code in b'"{}[]:, xyu0~|\\\t\x7f\xff']


def mutant(data: bytes, rng: random.Random) -> bytes:
    """Change a byte, leave a few out, or put a few that are there elsewhere."""
    at, other = sorted(rng.sample(range(len(data)), 2))
    size = rng.randrange(1, 12)
    return rng.choice(
        (
            data[:at] + rng.choice(ODD_BYTES) + data[at + 1 :],
            data[:at] + data[at + size :],
            data[:at] + data[other : other + size] + data[at:],
            data[:at] + data[other : other + size] + data[at + size :],
        )
    )


def places(path: Path) -> Any:
    try:
        with open_unchanged(path) as (file, _):
            walk = pass_users(LeafWalk(file, path))
    except DataError as error:
        return str(error)
    return list(walk.found), list(walk.offsets), list(walk.sizes)


def test_mutants_are_walked_as_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the text, users found by its frame are those that the walk finds without it, or so is what is wrong."""
    rng = random.Random(5)
    users = dict(list(USERS.items())[:9])
    data = json.dumps(users).encode()
    path, runs = tmp_path / "a.json", 0
    for _ in range(4000):
        write(path, users, mutant(data, rng))
        found = places(path)
        with monkeypatch.context() as patch:
            patch.setattr(LeafWalk, "_run", lambda walk, read, longest: None)
            assert places(path) == found, path.read_bytes()
        runs += isinstance(found, tuple)
    assert 100 < runs < 3900
