"""Users read as arrays in blocks are those read one by one, and whatever is no such file is left to that."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth.errors import DataError
from fedsynth.leaf import value_blocks
from fedsynth.leaf.head import read_head
from fedsynth.leaf.value_blocks import ValueBlock, read_blocks
from fedsynth.leaf.values import read_values


@pytest.fixture(params=[64, 1 << 18])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(value_blocks, "_AT_ONCE", request.param)
    return int(request.param)


def dataset(count: int = 40, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, 5, count).tolist()
    users = [f"user {number}" for number in range(count)]
    samples = {
        user: {"x": rng.normal(size=(size, 3)).tolist(), "y": rng.integers(-2, 9, size).tolist()}
        for user, size in zip(users, sizes, strict=True)
    }
    return {"users": users, "num_samples": sizes, "user_data": samples}


def single(path: Path) -> list[Any]:
    return [(user, list(x), list(y)) for user, x, y in read_values(path, lambda: True)]


def together(path: Path) -> tuple[list[Any], int]:
    """All users, one by one, and how many of them came in blocks."""
    users, found, in_blocks = [], [], 0
    for part in read_blocks(path, lambda: True):
        if not isinstance(part, ValueBlock):
            found.append((part[0], list(part[1]), list(part[2])))
            continue
        assert part.users == range(in_blocks, in_blocks + len(part.sizes))
        users = users or read_head(path)["users"]
        ends = np.cumsum(part.sizes)
        for user, end, size in zip(part.users, ends, part.sizes, strict=True):
            rows = slice(end - size, end)
            found.append((users[user], part.x[rows].tolist(), part.y[rows].tolist()))
        in_blocks += len(part.sizes)
    return found, in_blocks


def outcome(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except DataError as error:
        return str(error)


def test_blocks_are_the_users_one_by_one(at_once: int, tmp_path: Path) -> None:
    path = tmp_path / "all_data.json"
    path.write_text(json.dumps(dataset()))
    found, in_blocks = together(path)
    assert found == single(path)
    assert in_blocks == 40 or at_once == 64  # a short block may hold no sample, and then no matrix


WRITTEN = {
    "compact": lambda data: json.dumps(data, separators=(",", ":")),
    "indented": lambda data: json.dumps(data, indent=1),
    "line feed": lambda data: json.dumps(data) + "\n",
    "byte order mark": lambda data: "\ufeff" + json.dumps(data),
    "data first": lambda data: json.dumps({"user_data": data["user_data"], **data}),
    "head after": lambda data: json.dumps({**data, "hierarchies": data["num_samples"]}),
    "empty": lambda data: json.dumps({"users": [], "num_samples": [], "user_data": {}}),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_other_writing_is_read_too(name: str, at_once: int, tmp_path: Path) -> None:
    path = tmp_path / "all_data.json"
    path.write_text(WRITTEN[name](dataset()))
    assert together(path)[0] == single(path)


ODD = {
    "texts in x": {"x": ["a b", 'c"}, "'], "y": [1, 2]},
    "texts in y": {"x": [[1.0, 2.0, 3.0]], "y": ["a"]},
    "true": {"x": [[1.0, 2.0, 3.0]], "y": [True]},
    "fractions": {"x": [[1.0, 2.0, 3.0]], "y": [1.5]},
    "whole floats": {"x": [[1.0, 2.0, 3.0]], "y": [2.0]},
    "null": {"x": [[1.0, None, 3.0]], "y": [1]},
    "longer": {"x": [[1.0, 2.0, 3.0, 4.0]], "y": [1]},
    "nested": {"x": [[[1.0], [2.0], [3.0]]], "y": [1]},
    "flat": {"x": [1.0, 2.0], "y": [1, 2]},
    "nothing in x": {"x": [[]], "y": [1]},
    "another key": {"x": [[1.0, 2.0, 3.0]], "y": [1], "z": 1},
    "large": {"x": [[1.0, 2.0, 3.0]], "y": [2**63]},
    "digits": {"x": [[1.0, 2.0, 10**30]], "y": [10**30]},
    "infinite": {"x": [[1.0, 2.0, float("1e308")]], "y": [1]},
}


@pytest.mark.parametrize("position", [0, 20, 39])
@pytest.mark.parametrize("name", ODD)
def test_from_an_odd_user_on_users_are_read_one_by_one(name: str, position: int, at_once: int, tmp_path: Path) -> None:
    data = dataset()
    user = data["users"][position]
    data["user_data"][user] = ODD[name]
    data["num_samples"][position] = len(ODD[name]["y"])
    path = tmp_path / "all_data.json"
    path.write_text(json.dumps(data).replace("1e+308", "1e999"))
    assert together(path)[0] == single(path)


def test_other_order_of_users_is_kept(at_once: int, tmp_path: Path) -> None:
    data = dataset()
    data["user_data"] = dict(reversed(data["user_data"].items()))
    (tmp_path / "all_data.json").write_text(json.dumps(data))
    assert together(tmp_path / "all_data.json")[0] == single(tmp_path / "all_data.json")


TWICE = ('{"x": [[1, 2, 3]], "y": [1]}', '{"x":[[1,2,3]],"y":[1]}', '{"x": [], "y": [], "y": []}', '{"y": [], "x": []}')


@pytest.mark.parametrize("text", TWICE)
@pytest.mark.parametrize("position", [0, 17, 39])
def test_key_that_stands_twice_is_found(text: str, position: int, at_once: int, tmp_path: Path) -> None:
    path, data, user = tmp_path / "all_data.json", dataset(), f"user {position}"
    own = f'"{user}": {json.dumps(data["user_data"][user])}'
    path.write_text(json.dumps(data).replace(own, f'{own}, "{user}": {text}'))
    with pytest.raises(DataError, match="appears twice"):
        together(path)


def test_damage_is_what_the_reader_of_single_users_says(at_once: int, tmp_path: Path) -> None:
    """500 files with a byte more, less or other: the same users, or the same sentence."""
    draw, path = random.Random(14), tmp_path / "all_data.json"
    whole = json.dumps(dataset(12)).encode()
    signs = b'{}[]",: 0x\\-e.n\xff'
    for _ in range(500):
        damaged = bytearray(whole)
        for _ in range(draw.choice([1, 1, 2])):
            at = draw.randrange(len(damaged))
            damaged[at : at + draw.choice([0, 1, 1, 9])] = bytes(draw.choices(signs, k=draw.choice([0, 1, 1, 2])))
        path.write_bytes(damaged)
        assert outcome(lambda: together(path)[0]) == outcome(lambda: single(path)), bytes(damaged)


def test_x_that_is_not_wanted_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "all_data.json"
    path.write_text(json.dumps(dataset()))
    assert not any(isinstance(part, ValueBlock) for part in read_blocks(path, lambda: False))


def test_large_users_are_read_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_blocks, "_MOST", 2_000)
    monkeypatch.setattr(value_blocks, "_AT_ONCE", 500)
    data = dataset()
    data["user_data"]["user 30"] = {"x": [[0.5, 1.5, 2.5]] * 500, "y": [1] * 500}
    data["num_samples"][30] = 500
    path = tmp_path / "all_data.json"
    path.write_text(json.dumps(data))
    found, in_blocks = together(path)
    assert found == single(path)
    assert 0 < in_blocks <= 30
