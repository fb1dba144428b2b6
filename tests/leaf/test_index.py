"""What is valid is decided in one place; the readers say the same sentence about what isn't."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsynth as package
from fedsynth.errors import DataError
from fedsynth.federated import LeafDataset
from fedsynth.leaf.decode import LongInt, decode
from fedsynth.leaf.lazy import LazyLeafFile
from fedsynth.leaf.reader import read_index
from fedsynth.leaf.values import read_values
from tests.commands import fedsynth
from tests.conftest import WriteLeaf

USERS = {"a": ([1, 2], [0, 1]), "b": ([3], [1])}
TEXT = json.dumps(
    {"users": ["a", "b"], "num_samples": [2, 1], "user_data": {u: {"x": x, "y": y} for u, (x, y) in USERS.items()}}
)


def lazily(path: Path) -> Any:
    file = LazyLeafFile(path)
    return file.hierarchies, [file.samples(user) for user in range(len(file.users))]


READERS: list[Callable[[Path], Any]] = [read_index, lazily, lambda path: list(read_values(path, lambda: True))]

BAD = {
    "users twice": (TEXT[:-1] + ', "users": ["a", "b"]}', '"users" stands twice in the file'),
    "num_samples twice": ('{"num_samples": [2, 1], ' + TEXT[1:], '"num_samples" stands twice in the file'),
    "hierarchies twice": ('{"hierarchies": null, "hierarchies": null, ' + TEXT[1:], '"hierarchies" stands twice'),
    "user_data twice": (TEXT[:-1] + ', "user_data": {}}', '"user_data" stands twice in the file'),
    "another key twice": ('{"v": 1, ' + TEXT[1:-1] + ', "v": 1}', '"v" stands twice in the file'),
    "a user twice in the data": (TEXT.replace('"b": {', '"a": {'), 'user "a" appears twice in user_data'),
    "a user twice in users": (TEXT.replace('["a", "b"]', '["a", "a"]'), 'user "a" is listed twice in users'),
    "a key of surrogates as bytes": (TEXT.encode().replace(b'"b": {', b'"\xed\xa0\x80": {'), "a key that is not valid"),
    "a head's key of surrogates": (b'{"\xed\xa0\x80": 1, ' + TEXT.encode()[1:], "a key that is not valid JSON"),
    "hierarchies after the data": (TEXT[:-1] + ', "hierarchies": [1]}', "2 users but 1 entries in hierarchies"),
    "damage after the data": (TEXT[:-1] + ', "v": nul}', '"v" can not be read'),
    "no data": ('{"users": [], "num_samples": []}', 'no "user_data"'),
}


@pytest.mark.parametrize("name", BAD)
def test_all_readers_refuse_with_the_same_sentence(name: str, tmp_path: Path) -> None:
    data, message = BAD[name]
    path = tmp_path / "a.json"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    said = set()
    for reader in READERS:
        with pytest.raises(DataError) as caught:
            reader(path)
        said.add(str(caught.value))
    assert len(said) == 1
    assert f"{path}: " in said.pop().partition(message)[0]


def test_the_last_of_a_users_duplicate_keys_counts(write_leaf: WriteLeaf, tmp_path: Path) -> None:
    path = write_leaf(USERS)
    path.write_text(TEXT.replace('"b": {"x": [3]', '"b": {"x": 7, "x": [9], "x": [3]'))
    fedsynth(tmp_path, "preprocess", "-k", 0)
    written = json.loads((tmp_path / "data/rem_user_data/all_data_keep_0.json").read_text())
    assert written == json.loads(TEXT)
    assert lazily(path)[1][1] == ([3], [1])
    assert list(read_values(path, lambda: True))[1] == ("b", [3], [1])


def label_file(write_leaf: WriteLeaf, *labels: str) -> Path:
    path = write_leaf({"u": (["\ud800", *labels[1:]], list(range(len(labels))))})
    path.write_text(path.read_text().replace(json.dumps(list(range(len(labels)))), f"[{', '.join(labels)}]"))
    return path


LONG = [("9" * 5_000, "9" * 4_999 + "8"), (f'"{"l" * 100_000}"', '"l"'), (str(2**64 + 1), str(2**64 + 2))]


@pytest.mark.parametrize("labels", LONG, ids=["5000 digits", "100000 characters", "65 bits"])
def test_long_labels_are_valid_for_all_and_stay_apart(
    labels: tuple[str, ...], write_leaf: WriteLeaf, tmp_path: Path
) -> None:
    path = label_file(write_leaf, *labels)
    fedsynth(tmp_path, "preprocess", "-k", 0)
    assert f"[{', '.join(labels)}]" in (tmp_path / "data/rem_user_data/all_data_keep_0.json").read_text()
    assert package.measure(path.parent)["label.classes_per_user"] == 2
    found = LeafDataset(path, label_dtype=object)["u"].labels.tolist()
    assert found == [decode(label.encode()) for label in labels]
    if not labels[0].startswith('"'):
        digits = labels[0] if len(labels[0]) < 40 else "a number of 5,000 digits"
        with pytest.raises(DataError, match=f'user "u" has {digits} among values to load as int64, expected'):
            LeafDataset(path)["u"]


def test_large_whole_numbers_become_floats_where_floats_are_asked_for(write_leaf: WriteLeaf) -> None:
    path = label_file(write_leaf, str(2**70 + 1), "1")
    assert LeafDataset(path, label_dtype="float64")["u"].labels.tolist() == [2.0**70, 1.0]
    path = label_file(write_leaf, str(2**63), "-1")
    with pytest.raises(DataError, match=f"{2**63} among values to load as int64"):
        LeafDataset(path)["u"]
    with pytest.raises(DataError, match="-1 among values to load as uint64"):
        LeafDataset(path, label_dtype="uint64")["u"]


def test_whole_numbers_beside_a_float_are_not_rounded(write_leaf: WriteLeaf) -> None:
    path = label_file(write_leaf, str(2**53 + 1), "1.0")
    assert LeafDataset(path)["u"].labels.tolist() == [2**53 + 1, 1]
    path = label_file(write_leaf, str(2**53 + 1), "1.5")
    with pytest.raises(DataError, match=r"1\.5 among values to load as int64, expected whole numbers"):
        LeafDataset(path)["u"]


def test_features_that_are_objects_are_not_rounded(write_leaf: WriteLeaf) -> None:
    path = write_leaf({"u": ([{"id": 2**100 + 1}, "s"], [0, 1])})
    assert LeafDataset(path)["u"].features.tolist() == [{"id": 2**100 + 1}, "s"]
    path = write_leaf({"u": ([[2**100 + 1], [1]], [0, 1])})
    assert LeafDataset(path, dtype=object)["u"].features.tolist() == [[2**100 + 1], [1]]
    assert LeafDataset(path)["u"].features.dtype == np.float64


@pytest.mark.parametrize("digits", [513, 4_300, 4_301, 100_000])
def test_numbers_of_any_length_are_read_and_shown(digits: int) -> None:
    for text in ("7" * digits, "-1" + "0" * (digits - 1)):
        number = decode(text.encode())
        assert number % 1_000_003 == sum_mod(text, 1_000_003)
        long = LongInt(text)
        again = pickle.loads(pickle.dumps(long))
        assert (long, hash(long)) == (number, hash(number))
        assert str(again) == repr(again) == f"{again}" == text


def sum_mod(text: str, divisor: int) -> int:
    rest = 0
    for digit in text.lstrip("-"):
        rest = (rest * 10 + int(digit)) % divisor
    return -rest % divisor if text.startswith("-") else rest
