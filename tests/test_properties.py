"""Laws: whatever a LEAF file holds, stages lose no sample, double none, and change no byte of any."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.errors import DataError, StageError
from fedsynth.leaf.reader import read_index
from fedsynth.leaf.samples import MalformedError, read_user
from fedsynth.leaf.scan import Scanner
from fedsynth.pipeline.options import Stage, remove_stage, sample_stage, split_stage
from fedsynth.pipeline.preprocess import preprocess

FEW = settings(max_examples=80, deadline=None, derandomize=True, database=None)
MANY = settings(max_examples=800, deadline=None, derandomize=True, database=None)

BRACKETS = ["{", "}", "[", "]", '"', "\\", '\\"', "\\\\", '", "y": [', ""]
NASTY = [*BRACKETS, "é", "\u2028", "\ud800", "\udc00", "\U0001f600", "\x00"]


def as_read(value: Any) -> Any:
    """Two halves of a character that stand together are read as one."""
    return json.loads(json.dumps(value))


texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(), max_size=6),
    st.lists(st.sampled_from(NASTY), max_size=6).map("".join),
)
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
).map(as_read)
names = texts.map(as_read)

STYLES: list[dict[str, Any]] = [
    {},
    {"separators": (",", ":")},
    {"indent": 1},
    {"ensure_ascii": False},
    {"ensure_ascii": False, "separators": (" ,", "\t:  ")},
]


@dataclass(frozen=True)
class File:
    """A LEAF file and the text that it is written as."""

    content: dict[str, Any]
    style: dict[str, Any]

    @property
    def text(self) -> str:
        text = json.dumps(self.content, **self.style)
        try:
            text.encode()
        except UnicodeEncodeError:  # unpaired surrogates have no UTF-8
            return json.dumps(self.content, **{**self.style, "ensure_ascii": True})
        return text


@st.composite
def files(draw: st.DrawFn, min_users: int = 1) -> File:
    """Any valid file. Each y holds its number, so that samples are told apart; user_data has an order of its own."""
    users = draw(st.lists(names, unique=True, min_size=min_users, max_size=5))
    data = {}
    for user in users:
        x = draw(st.lists(values, max_size=6))
        data[user] = {"x": x, "y": [[number, draw(values)] for number in range(len(x))]}
        if draw(st.booleans()):
            data[user]["raw"] = draw(values)
        if draw(st.booleans()):
            data[user] = dict(reversed(data[user].items()))
    content: dict[str, Any] = {"users": users, "num_samples": [len(data[user]["y"]) for user in users]}
    if draw(st.booleans()):
        content["hierarchies"] = [draw(values) for _ in users]
    content["user_data"] = {user: data[user] for user in draw(st.permutations(users))}
    return File(content, draw(st.sampled_from(STYLES)))


# The text of every sample, found in the plainest way


def members(text: str, at: int) -> Iterator[tuple[str, int, int]]:
    """Yield each key of the object at this place, and where its value starts and ends."""
    at = skip(text, at + 1)
    while text[at] != "}":
        key, at = json.JSONDecoder().raw_decode(text, at)
        start = skip(text, skip(text, at) + 1)
        at = json.JSONDecoder().raw_decode(text, start)[1]
        yield key, start, at
        at = skip(text, at)
        at = skip(text, at + 1) if text[at] == "," else at


def entries(text: str, at: int) -> Iterator[str]:
    """Yield the text of each entry of the array at this place."""
    at = skip(text, at + 1)
    while text[at] != "]":
        end = json.JSONDecoder().raw_decode(text, at)[1]
        yield text[at:end]
        at = skip(text, end)
        at = skip(text, at + 1) if text[at] == "," else at


def skip(text: str, at: int) -> int:
    while text[at : at + 1] in tuple(" \t\n\r"):
        at += 1
    return at


Samples = list[tuple[str, str]]
"""The texts of x and y of each sample of a user."""


@dataclass(frozen=True)
class Raw:
    """A file taken apart. samples, others: by user, others by key; data_order: the users as in user_data."""

    users: list[str]
    hierarchies: list[Any] | None
    samples: dict[str, Samples]
    others: dict[str, dict[str, Any]]
    data_order: list[str]


def take_apart(text: str) -> Raw:
    content = json.loads(text)
    start = next(start for key, start, _ in members(text, 0) if key == "user_data")
    samples, others = {}, {}
    for user, at, _ in members(text, start):
        parts = {key: place for key, place, _ in members(text, at)}
        samples[user] = list(zip(entries(text, parts["x"]), entries(text, parts["y"]), strict=True))
        others[user] = {key: value for key, value in content["user_data"][user].items() if key not in ("x", "y")}
    assert content["num_samples"] == [len(samples[user]) for user in content["users"]]
    return Raw(content["users"], content.get("hierarchies"), samples, others, list(samples))


def run(folder: Path, text: str, *stages: Stage) -> Path:
    """Run stages over a file; return the data folder."""
    data = folder / "data"
    (data / "all_data").mkdir(parents=True)
    (data / "all_data/all_data.json").write_text(text, encoding="utf-8", newline="")
    for _ in preprocess(data, stages):
        pass
    return data


def output(folder: Path, file: File) -> Raw:
    """Take a stage's only file apart; where the input is json.dumps' own text, the output must be so too."""
    (path,) = folder.iterdir()
    text = path.read_bytes().decode("ascii") if file.text.isascii() else path.read_text(encoding="utf-8")
    raw = take_apart(text)
    if not file.style:
        assert text == json.dumps(json.loads(text))
    return raw


def assert_hierarchies_follow(found: Raw, source: Raw) -> None:
    if source.hierarchies is None:
        assert found.hierarchies is None
    else:
        by_user = dict(zip(source.users, source.hierarchies, strict=True))
        assert found.hierarchies == [by_user[user] for user in found.users]


def assert_whole(found: Raw, source: Raw, users: Sequence[str]) -> None:
    """These users, in this order, each with all that he had."""
    assert found.users == found.data_order == list(users)
    for user in users:
        assert found.samples[user] == source.samples[user]
        assert found.others[user] == source.others[user]
    assert_hierarchies_follow(found, source)


@FEW
@given(files(), st.integers(0, 5))
def test_removal_keeps_exactly_the_users_with_enough(file: File, min_samples: int) -> None:
    source = take_apart(file.text)
    kept = [user for user in source.users if len(source.samples[user]) >= min_samples]
    with tempfile.TemporaryDirectory() as folder:
        if not any(source.samples[user] for user in kept):
            with pytest.raises(StageError, match="no samples are left"):
                run(Path(folder), file.text, remove_stage(min_samples))
            return
        data = run(Path(folder), file.text, remove_stage(min_samples))
        assert_whole(output(data / "rem_user_data", file), source, kept)


@FEW
@given(files(), st.floats(0.01, 1), st.integers(0, 99))
def test_niid_sampling_takes_whole_users_and_part_of_one(file: File, fraction: float, seed: int) -> None:
    source = take_apart(file.text)
    wanted = int(fraction * sum(map(len, source.samples.values())))
    stage = sample_stage("niid", fraction=fraction, user_fraction=1, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        if not wanted:
            with pytest.raises(StageError, match="no samples are left"):
                run(Path(folder), file.text, stage)
            return
        found = output(run(Path(folder), file.text, stage) / "sampled_data", file)
    assert sum(map(len, found.samples.values())) == wanted
    assert found.users == found.data_order
    for user in found.users[:-1]:
        assert found.samples[user] == source.samples[user]
        assert found.others[user] == source.others[user]
    last = found.users[-1]
    assert sorted(found.samples[last]) == sorted(source.samples[last][: len(found.samples[last])])
    assert_hierarchies_follow(found, source)


@FEW
@given(files(), st.floats(0.01, 1), st.floats(0.01, 2), st.integers(0, 99))
def test_iid_sampling_deals_each_sample_at_most_once(
    file: File, fraction: float, user_fraction: float, seed: int
) -> None:
    source = take_apart(file.text)
    pool = [sample for samples in source.samples.values() for sample in samples]
    stage = sample_stage("iid", fraction=fraction, user_fraction=user_fraction, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        if not int(fraction * len(pool)):
            with pytest.raises(StageError, match="no samples are left"):
                run(Path(folder), file.text, stage)
            return
        found = output(run(Path(folder), file.text, stage) / "sampled_data", file)
    dealt = [sample for samples in found.samples.values() for sample in samples]
    assert len(dealt) == int(fraction * len(pool))
    for sample in dealt:
        pool.remove(sample)
    assert found.users == [str(number) for number in range(max(1, round(user_fraction * len(source.users))))]
    assert found.hierarchies is None
    assert not any(found.others.values())


def number(sample: tuple[str, str]) -> int:
    """Which of its user's samples this was."""
    return int(json.loads(sample[1])[0])


def assert_split(train: Raw, test: Raw, source: Raw, users: Sequence[str], fraction: float) -> None:
    """Each of these users' samples are in train or in test, in their order; all other users are left out."""
    assert train.users == test.users == train.data_order == test.data_order == list(users)
    for user in users:
        before, size = source.samples[user], len(source.samples[user])
        train_size = 1 if size == 2 else max(1, int(fraction * size))
        sides = [[number(sample) for sample in side.samples[user]] for side in (train, test)]
        assert sides == [sorted(side) for side in sides]
        assert sorted(sides[0] + sides[1]) == list(range(size))
        assert len(sides[0]) == train_size
        for side in (train, test):
            assert all(sample == before[number(sample)] for sample in side.samples[user])
            assert not side.others[user]
    for side in (train, test):
        assert_hierarchies_follow(side, source)


@FEW
@given(files(), st.floats(0.01, 0.99), st.integers(0, 99))
def test_split_by_sample_parts_each_users_samples(file: File, fraction: float, seed: int) -> None:
    source = take_apart(file.text)
    users = [user for user in source.users if len(source.samples[user]) >= 2]
    stage = split_stage("sample", fraction=fraction, seed=seed, dataset="synthetic")
    with tempfile.TemporaryDirectory() as folder:
        if not users:
            with pytest.raises(StageError, match="no samples are left"):
                run(Path(folder), file.text, stage)
            return
        data = run(Path(folder), file.text, stage)
        assert_split(output(data / "train", file), output(data / "test", file), source, users, fraction)


@FEW
@given(
    files(min_users=3), st.floats(0.01, 0.6), st.floats(0.01, 0.39), st.sampled_from([0, 0.4, 0.7]), st.integers(0, 9)
)
def test_four_sides_part_everything_of_any_file(
    file: File, fraction: float, val_fraction: float, new_users: float, seed: int
) -> None:
    source = take_apart(file.text)
    users = [user for user in source.users if len(source.samples[user]) >= 2]
    fractions = {"fraction": fraction, "val_fraction": val_fraction, "new_users": new_users}
    stage = split_stage("sample", **fractions, seed=seed, dataset="synthetic")
    with tempfile.TemporaryDirectory() as folder:
        try:
            data = run(Path(folder), file.text, stage)
        except StageError as error:
            assert "no samples are left" in str(error)
            assert not users or (new_users and len(users) < 3) or min(len(source.samples[user]) for user in users) < 3
            return
        found = {name: output(data / name, file) for name in stage.folders}
    new: list[str] = []
    if new_users:
        whole = found.pop("new_users")
        new = whole.users
        assert_whole(whole, source, [user for user in users if user in whole.samples])
    assert len(new) == int(new_users * len(users))
    split = [user for user in users if user not in new]
    assert found["train"].users == found["test"].users == split
    assert found["val"].users == [user for user in split if len(source.samples[user]) >= 3]
    for side in found.values():
        assert side.data_order == side.users
        assert_hierarchies_follow(side, source)
    for user in split:
        sides = [side.samples.get(user, []) for side in found.values()]
        assert all(side == sorted(side, key=number) for side in sides)
        assert sorted((sample for side in sides for sample in side), key=number) == source.samples[user]


@FEW
@given(files(min_users=2), st.floats(0.01, 0.99), st.integers(0, 99))
def test_split_by_user_parts_the_users(file: File, fraction: float, seed: int) -> None:
    source = take_apart(file.text)
    stage = split_stage("user", fraction=fraction, seed=seed, dataset="synthetic")
    with tempfile.TemporaryDirectory() as folder:
        try:
            data = run(Path(folder), file.text, stage)
        except StageError:
            filled = sum(bool(samples) for samples in source.samples.values())
            assert filled < len(source.users) or int(fraction * len(source.users)) == 0
            return
        train, test = output(data / "train", file), output(data / "test", file)
    assert len(train.users) == int(fraction * len(source.users))
    assert sorted(train.users + test.users) == sorted(source.users)
    for side in (train, test):
        assert_whole(side, source, [user for user in source.users if user in side.samples])


@FEW
@given(files(), st.integers(0, 4), st.floats(0.01, 0.99), st.integers(0, 99))
def test_whole_chain_loses_and_doubles_nothing(file: File, min_samples: int, fraction: float, seed: int) -> None:
    source = take_apart(file.text)
    kept = [user for user in source.users if len(source.samples[user]) >= max(2, min_samples)]
    stages = [
        sample_stage("niid", fraction=1.0, user_fraction=1, seed=seed),
        remove_stage(min_samples),
        split_stage("sample", fraction=fraction, seed=seed, dataset="synthetic"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        if not kept:
            with pytest.raises(StageError, match="no samples are left"):
                run(Path(folder), file.text, *stages)
            return
        data = run(Path(folder), file.text, *stages)
        train, test = output(data / "train", file), output(data / "test", file)
        assert sorted(train.users) == sorted(kept)
        assert_split(train, test, source, train.users, fraction)


@FEW
@given(files())
def test_iid_chain_deals_every_sample_exactly_once(file: File) -> None:
    source = take_apart(file.text)
    pool = sorted(sample for samples in source.samples.values() for sample in samples)
    stages = [sample_stage("iid", fraction=1.0, user_fraction=0.5, seed=1), remove_stage(0)]
    with tempfile.TemporaryDirectory() as folder:
        if not pool:
            with pytest.raises(StageError, match="no samples are left"):
                run(Path(folder), file.text, *stages)
            return
        found = output(run(Path(folder), file.text, *stages) / "rem_user_data", file)
    assert sorted(sample for samples in found.samples.values() for sample in samples) == pool


# Reading


PIECES = [b"", b"NaN", b"null", *(bytes([char]) for char in b'{}[]",:\\ \n\xff\x00\xed019-.eux')]


@st.composite
def damaged(draw: st.DrawFn, texts: st.SearchStrategy[str]) -> bytes:
    """Text with up to three pieces put in, taken out or replaced."""
    data = draw(texts).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        piece = draw(st.sampled_from(PIECES))
        data = data[:at] + piece + data[at + draw(st.integers(0, 2)) :]
    return data


def reject(constant: str) -> Any:
    raise ValueError(constant)


def user_as_json(text: bytes) -> dict[str, Any] | None:
    """A user as the standard library reads it, None if it is none."""
    try:
        user = json.loads(text.decode(), parse_constant=reject)
    except ValueError:
        return None
    if not isinstance(user, dict) or not all(isinstance(user.get(key), list) for key in "xy"):
        return None
    return user if len(user["x"]) == len(user["y"]) else None


user_texts = st.builds(
    lambda x, y, more, style: json.dumps({"x": x, "y": y, **more}, **style),
    st.lists(values, max_size=3),
    st.lists(values, max_size=3),
    st.dictionaries(names, values, max_size=1),
    st.sampled_from(STYLES),
)


@MANY
@given(damaged(user_texts))
def test_reader_takes_just_what_the_standard_library_takes(text: bytes) -> None:
    expected = user_as_json(text)
    if expected is None:
        with pytest.raises(MalformedError):
            read_user(text)
        return
    user = read_user(text)
    assert [json.loads(bytes(raw)) for raw in user.x] == expected["x"]
    assert [json.loads(bytes(raw)) for raw in user.y] == expected["y"]
    assert json.loads(user.text) == expected


@MANY
@given(st.dictionaries(names, values, max_size=4), st.sampled_from(STYLES), st.sampled_from(["", " ", "\n\t"]))
def test_scanner_finds_every_value(content: dict[str, Any], style: dict[str, Any], space: str) -> None:
    text = (space + json.dumps(content, **{**style, "ensure_ascii": True}) + space).encode()
    scanner = Scanner(io.BytesIO(text), Path("f.json"))
    found = {}
    for key in scanner.members():
        offset, raw = scanner.value()
        assert text[offset : offset + len(raw)] == raw
        found[key] = json.loads(raw)
    scanner.end()
    assert found == content


@MANY
@given(damaged(files().map(lambda file: file.text)))
def test_index_of_any_text_is_right_or_an_error(text: bytes) -> None:
    """Whatever is accepted is what the standard library reads, and consistent."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f.json"
        path.write_bytes(text)
        try:
            index = read_index(path)
        except DataError as error:
            assert str(path) in str(error)
            return
    content = json.loads(text.decode("utf-8-sig"), parse_constant=reject)
    assert list(index.counts.users) == content["users"]
    assert set(content["users"]) == content["user_data"].keys()
    assert list(index.counts.num_samples) == [len(content["user_data"][user]["y"]) for user in content["users"]]
    assert [content["users"][at] for at in index.counts.data_order] == list(content["user_data"])


@MANY
@given(damaged(st.builds(lambda value: json.dumps(value, ensure_ascii=False), values)))
def test_scanner_raises_nothing_but_data_errors(text: bytes) -> None:
    scanner = Scanner(io.BytesIO(text), Path("f.json"))
    try:
        for _ in scanner.members():
            scanner.value()
        scanner.end()
    except DataError as error:
        assert "f.json" in str(error)
