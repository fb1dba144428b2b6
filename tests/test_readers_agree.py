"""Whatever a file holds, the readers agree with each other and with Python's json and LEAF's rules on what it says.

The readers: the checking index with raw samples, the lazily opened file, and the values for statistics.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.errors import DataError
from fedsynth.leaf.lazy import LazyLeafFile
from fedsynth.leaf.reader import SampleReader, read_index
from fedsynth.leaf.values import read_values

DEEPEST = 500
Pairs = list[tuple[str, Any]]
Said = dict[str, Any]
"""What a file says: users, num_samples, hierarchies, order (of user_data), x and y by user."""


# Python's json with LEAF's rules


class Object(dict[str, Any]):
    """An object of the text, with all of its pairs: the last of duplicates counts, and there is all of them to see."""

    def __init__(self, pairs: Pairs) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def whole(digits: str) -> int:
    return int(Decimal(digits))


def reject(constant: str) -> Any:
    raise ValueError(constant)


def depth(value: Any) -> int:
    """How many lists and objects are in one another at most; values that a later duplicate hides count too."""
    deepest, left = 0, [(value, 1)]
    while left:
        value, level = left.pop()
        if isinstance(value, Object | list):
            deepest = max(deepest, level)
            inner = value if isinstance(value, list) else [entry for _, entry in value.pairs]
            left.extend((entry, level + 1) for entry in inner)
    return deepest


def must(holds: bool) -> None:
    if not holds:
        raise ValueError


def oracle(data: bytes) -> Said | None:
    """What a file says, None if it is no LEAF file."""
    try:
        root = json.loads(data.decode("utf-8-sig"), parse_constant=reject, parse_int=whole, object_pairs_hook=Object)
        must(isinstance(root, Object) and len(root) == len(root.pairs))
        users, counts, hierarchies = (root.get(key) for key in ("users", "num_samples", "hierarchies"))
        must(isinstance(users, list) and all(isinstance(user, str) for user in users) and len({*users}) == len(users))
        must(isinstance(counts, list) and all(type(count) is int and 0 <= count < 10**18 for count in counts))
        must(hierarchies is None or (isinstance(hierarchies, list) and len(hierarchies) == len(users)))
        must(len(counts) == len(users) and all(depth(root[key]) <= DEEPEST for key in root if key != "user_data"))
        data_of = root.get("user_data")
        must(isinstance(data_of, Object) and len(data_of) == len(data_of.pairs) and data_of.keys() == {*users})
        for user, count in zip(users, counts, strict=True):
            entry = data_of[user]
            must(isinstance(entry, Object) and depth(entry) <= DEEPEST)
            must(all(isinstance(entry.get(key), list) and len(entry[key]) == count for key in "xy"))
    except (ValueError, RecursionError):
        return None
    x, y = ({user: data_of[user][key] for user in users} for key in "xy")
    return said(users, counts, hierarchies, list(data_of), x, y)


def said(users: Any, counts: Any, hierarchies: Any, order: Any, x: Any, y: Any) -> Said:
    return {
        "users": list(users),
        "num_samples": list(counts),
        "hierarchies": plain(hierarchies),
        "order": list(order),
        "x": {user: plain(entries, rounded=True) for user, entries in x.items()},
        "y": {user: plain(entries) for user, entries in y.items()},
    }


def plain(value: Any, *, rounded: bool = False) -> list[str]:
    """A value's parts, which are equal just if they are the same: 1, 1.0 and true are not.

    rounded: whole numbers beyond 64 bits become floats, where there are any so large.
    """
    parts, left = [], [value]
    while left:
        value = left.pop()
        if isinstance(value, list):
            parts.append(f"list of {len(value)}")
            left.extend(reversed(value))
        elif isinstance(value, dict):
            parts.append(f"object of {list(value)!r}")
            left.extend(reversed(value.values()))
        elif isinstance(value, int) and not isinstance(value, bool):
            parts.append(_whole_part(value, rounded))
        else:
            parts.append(repr(value))
    return parts


def _whole_part(value: int, rounded: bool) -> str:
    if rounded and not -(2**63) <= value < 2**64:
        with contextlib.suppress(OverflowError):
            return repr(float(value))
    return hex(value)


# The readers


def value_of(raw: Any) -> Any:
    return json.loads(bytes(raw).decode(), parse_int=whole)


def by_index(path: Path) -> Said:
    index = read_index(path, samples=True)
    x, y = {}, {}
    with SampleReader(index) as reader:
        for number, user in enumerate(index.counts.users):
            raw = reader.samples(number)
            x[user], y[user] = ([value_of(sample) for sample in side] for side in (raw.x, raw.y))
            text = value_of(reader.text(number))
            assert plain(text["x"]) == plain(x[user])
            assert plain(text["y"]) == plain(y[user])
        if index.samples is not None:
            pooled = reader.pooled(range(sum(index.counts.num_samples)))
            order = [index.counts.users[number] for number in index.counts.data_order]
            for found, side in zip(pooled, (x, y), strict=True):
                assert plain([value_of(sample) for sample in found]) == plain([v for user in order for v in side[user]])
    counts = index.counts
    order = [counts.users[number] for number in counts.data_order]
    return said(list(counts.users), list(counts.num_samples), counts.hierarchies, order, x, y)


def lazily(path: Path) -> Said:
    file = LazyLeafFile(path)
    samples = [file.samples(user) for user in range(len(file.users))]
    exact = [file.samples(user, exact=True) for user in range(len(file.users))]
    for some, other in zip(samples, exact, strict=True):
        assert plain(some[0], rounded=True) == plain(other[0], rounded=True)
        assert plain(some[1]) == plain(other[1])
    x, y = ({user: one[side] for user, one in zip(file.users, samples, strict=True)} for side in (0, 1))
    return said(file.users, file.num_samples, file.hierarchies, [], x, y)


def by_values(path: Path) -> Said:
    found = list(read_values(path, lambda: True))
    labels = [(user, plain(y)) for user, _, y in read_values(path, lambda: False)]
    assert labels == [(user, plain(y)) for user, _, y in found]
    x, y = ({one[0]: one[side] for one in found} for side in (1, 2))
    return said([], [], None, x, x, y)


READERS: dict[Callable[[Path], Said], tuple[str, ...]] = {
    by_index: ("users", "num_samples", "hierarchies", "order", "x", "y"),
    lazily: ("users", "num_samples", "hierarchies", "x", "y"),
    by_values: ("order", "x", "y"),
}
"""What each of them tells."""


def agree(path: Path, data: bytes) -> bool:
    """Hold the readers against json; return whether the file is valid. Only DataErrors may come of it."""
    path.write_bytes(data)
    expected = oracle(data)
    for reader, keys in READERS.items():
        try:
            found = reader(path)
        except DataError as error:
            assert str(path) in str(error)
            assert expected is None, f"{reader.__name__} refuses {data[:1000]!r}: {error}"
        else:
            assert expected is not None, f"{reader.__name__} accepts {data[:1000]!r}"
            for key in keys:
                assert found[key] == expected[key], f"{reader.__name__}: {key} of {data[:1000]!r}"
    return expected is not None


# Small files and what may happen to them

SIMPLE: Pairs = [
    ("users", ["a", "b"]),
    ("num_samples", [2, 1]),
    (
        "user_data",
        Object([("a", Object([("x", [1, 2.5]), ("y", [0, 1])])), ("b", Object([("x", [[3]]), ("y", ["c"])]))]),
    ),
]
RICH: Pairs = [
    ("users", ["é", "\ud800", ""]),
    ("num_samples", [1, 0, 2]),
    ("hierarchies", ["p", None, Object([("k", [1e300])])]),
    (
        "user_data",
        Object(
            [
                ("", Object([("x", ["}", '"]'] * 1), ("y", [2**64 + 1, -(2**63) - 1]), ("raw", "\\")])),
                ("\ud800", Object([("y", []), ("x", [])])),
                ("é", Object([("raw", [True]), ("x", ["\udc00"]), ("y", [Object([])])])),
            ]
        ),
    ),
    ("version", Object([("n", 1)])),
]
TOKENS = [
    *(b"{", b"}", b"[", b"]", b'"', b"\\", b",", b":", b" ", b"\n", b"\t", b"\r", b"\x00", b"\x0b", b"\xff", b"\xa0"),
    *(b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xed\xb0\x80", b"\xc0\xaf", b"\xe2\x80\xa8", "é".encode(), b"\xc3"),
    *(b"\\ud800", b"\\udc00", b"\\ud83d\\ude00", b"\\u00e9", b"\\u12", b"\\/", b"\\x", b"\\\\", b'\\"', b"\\u0000"),
    *(b"null", b"true", b"NaN", b"Infinity", b"-Infinity", b"nul", b"-", b"+1", b"01", b"1.", b".5", b"1e5", b"1E+400"),
    *(b"-0", b"-0.0", b"1e-400", b"18446744073709551615", b"18446744073709551616", b"-9223372036854775809"),
    *(b"9" * 25, b"9" * 400, b"7" * 4301, b"-" + b"7" * 5000, b"0" * 30, b"1" + b"0" * 640),
    *(
        b'"a"',
        b'"b":',
        b'"x": [],',
        b'"y":[],',
        b'{"x":[],"y":[]}',
        b'"users":[],',
        b'"user_data":{},',
        b'"k":1,',
        b"[],",
    ),
    *(
        b"[" * 600,
        b"[" * 600 + b"]" * 600,
        b"[" * 40 + b"]" * 40,
        b'{"a":' * 300 + b"[" * 300 + b"]" * 300 + b"}" * 300,
    ),
]


def text_of(value: Any, rng: random.Random) -> str:
    """JSON, spaced and escaped in one of many ways; whole numbers of any size."""
    space = rng.choice(["", "", " ", "\n", " \t"])
    if isinstance(value, Object):
        pairs = (f"{text_of(key, rng)}{space}: {text_of(entry, rng)}" for key, entry in value.pairs)
        return "{" + (space + ", ").join(pairs) + space + "}"
    if isinstance(value, list):
        return "[" + (space + ", ").join(text_of(entry, rng) for entry in value) + space + "]"
    if isinstance(value, str) and rng.random() < 0.3 and value.isprintable():
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def rearranged(pairs: Pairs, rng: random.Random) -> Pairs:
    """Drop, double or move one of the keys, or put another's value there."""
    pairs = list(pairs)
    at, to = rng.randrange(len(pairs)), rng.randrange(len(pairs))
    match rng.randrange(5):
        case 0:
            del pairs[at]
        case 1:
            pairs.insert(to, pairs[at])
        case 2:
            pairs.insert(to, pairs.pop(at))
        case 3:
            pairs[at] = (pairs[at][0], pairs[to][1])
        case _:
            rng.shuffle(pairs)
    return pairs


def structured(pairs: Pairs, rng: random.Random) -> Pairs:
    """Rearrange the keys of the file, of user_data or of a user."""
    level = rng.randrange(6)
    if level not in (1, 2, 3):
        return pairs
    if level == 1:
        return rearranged(pairs, rng)
    changed: Pairs = []
    for key, value in pairs:
        if key == "user_data" and level == 2:
            value = Object(rearranged(value.pairs, rng))
        elif key == "user_data":
            value = Object([(user, Object(rearranged(entry.pairs, rng))) for user, entry in value.pairs])
        changed.append((key, value))
    return changed


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, double, move, put in or replace some bytes."""
    at, to = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    piece = data[at : min(to, at + rng.choice([1, 1, 3, 20]))]
    after = data[at + len(piece) :]
    match rng.randrange(8):
        case 0:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 1:
            return data[:at] + after
        case 2:
            return data[:at] + piece + piece + after
        case 3:
            return data[:to] if rng.random() < 0.2 else data[:at] + after[: to - at] + piece + after[to - at :]
        case 4:
            return data[:at] + rng.choice(TOKENS) + after
        case 5:
            return rng.choice([b"\xef\xbb\xbf", b" \n", b"\x00"]) + data + rng.choice([b"", b"\n ", b"x"])
        case _:
            return replaced(data, rng)


def replaced(data: bytes, rng: random.Random) -> bytes:
    """Put a token in the place of a number, or in a string: what often is valid again."""
    places = [at for at, byte in enumerate(data) if byte in b"0123456789" or byte in b"abxyk"]
    if not places:
        return data
    at = rng.choice(places)
    return data[:at] + rng.choice(TOKENS) + data[at + 1 :]


def mutant(rng: random.Random) -> bytes:
    pairs = structured(rng.choice([SIMPLE, SIMPLE, RICH]), rng)
    data = text_of(Object(pairs), rng).encode("utf-8", "surrogatepass")
    for _ in range(rng.choice([0, 1, 1, 1, 2, 3])):
        data = damaged(data, rng)
    return data


@pytest.mark.parametrize("part", range(10))
def test_readers_agree_on_ten_thousand_damaged_files(part: int, tmp_path: Path) -> None:
    rng = random.Random(part)
    valid = sum(agree(tmp_path / "f.json", mutant(rng)) for _ in range(1_000))
    assert 150 < valid < 850, "the mutants are to be of both kinds"


@pytest.mark.parametrize("pairs", [SIMPLE, RICH], ids=["simple", "rich"])
def test_readers_agree_on_keys_in_any_order(pairs: Pairs, tmp_path: Path) -> None:
    for order in itertools.permutations(pairs):
        assert agree(tmp_path / "f.json", text_of(Object(list(order)), random.Random(1)).encode())


@pytest.mark.parametrize("levels", [1, 498, 499, 500, 501, 520, 900, 3_000])
@pytest.mark.parametrize("opening", ["[", '{"a": ', "[1, ", '["[", [], ', "[{}, "])
def test_readers_agree_on_depth(levels: int, opening: str, tmp_path: Path) -> None:
    closing = "}" if opening.startswith("{") else "]"
    deep = opening * (levels - 1) + "[]" + closing * (levels - 1)
    user = f'{{"x": [{deep}, {deep}], "y": [0, 1]}}'
    text = f'{{"users": ["a"], "num_samples": [2], "hierarchies": [1], "user_data": {{"a": {user}}}}}'
    assert agree(tmp_path / "f.json", text.encode()) == (levels + 2 <= DEEPEST)
    head = text.replace(deep, "0").replace("[1]", f"[{deep}]")
    assert agree(tmp_path / "f.json", head.encode()) == (levels + 1 <= DEEPEST)


@pytest.mark.parametrize("sample", ['"\\ud800"', "1", '"é"', "[[1], [2]]"])
@pytest.mark.parametrize("label", ["9" * 5_000, "-" + "3" * 4_301, f'"{"l" * 100_000}"', "8" * 400, "1e999", "2" * 20])
@pytest.mark.parametrize("spacing", [", ", ","])
def test_readers_agree_on_long_labels(sample: str, label: str, spacing: str, tmp_path: Path) -> None:
    user = f'{{"x": [{sample}{spacing}0], "y": [{label}{spacing}{label[:-1]}1]}}'
    if label.startswith('"'):
        user = user.replace("1]}", '"]}')
    text = f'{{"users": ["a"], "num_samples": [2], "user_data": {{"a": {user}}}}}'
    assert agree(tmp_path / "f.json", text.encode())


numbers = st.one_of(
    st.integers(), st.integers(2**60, 2**70), st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 9)
)
entries = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text(max_size=3), st.sampled_from(["\ud800", '"', "\\", "]"])),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(st.tuples(st.sampled_from("abx"), inner), max_size=3).map(Object)
    ),
    max_leaves=6,
)
names = st.sampled_from(["a", "b", "é", "\udc00", ""])


@st.composite
def files(draw: st.DrawFn) -> Object:
    """A file that is nearly right: keys, users and samples may be missing, too many or doubled."""
    users = draw(st.lists(names, max_size=3, unique=draw(st.booleans())))
    data: Pairs = []
    for user in draw(st.permutations(users)):
        size = draw(st.integers(0, 2))
        pairs: Pairs = [(key, draw(st.lists(entries, min_size=size, max_size=size))) for key in "xy"]
        pairs += draw(st.lists(st.tuples(st.sampled_from("xyz"), entries), max_size=1))
        data.append((user, Object(pairs)))
    counts = {user: len(entry["y"]) if isinstance(entry["y"], list) else 0 for user, entry in data}
    pairs = [("users", users), ("num_samples", [counts[user] for user in users]), ("user_data", Object(data))]
    pairs += draw(st.lists(st.tuples(st.just("hierarchies"), st.just(users) | entries), max_size=1))
    pairs += draw(st.lists(st.tuples(st.sampled_from(["users", "z", "z", "é"]), entries), max_size=1))
    return Object(list(draw(st.permutations(pairs))))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@given(files(), st.integers(0, 9))
def test_readers_agree_on_files_that_are_nearly_right(
    tmp_path_factory: pytest.TempPathFactory, file: Object, style: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "nearly.json"
    agree(path, text_of(file, random.Random(style)).encode("utf-8", "surrogatepass"))
