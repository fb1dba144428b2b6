"""A user's text becomes raw samples on each of the three ways of reading it."""

from __future__ import annotations

import json

import pytest

from fedsynth.leaf.samples import MalformedError, is_standard, read_user, sample_pieces


def raws(values: object) -> list[bytes]:
    return [bytes(value) for value in values]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        (b'{"x": [[1.0, 2], [3]], "y": [0, 1]}', [b"[1.0, 2]", b"[3]"], [b"0", b"1"]),
        (b'{"x":[1,\n 2 ],"y" : ["a","b"]}', [b"1", b"2"], [b'"a"', b'"b"']),
        (b'{"y": [1], "x": [{"a": "}"}]}', [b'{"a": "}"}'], [b"1"]),
        (b'{"x": ["\\ud800 alone"], "y": [null]}', [b'"\\ud800 alone"'], [b"null"]),
        ('{"x": ["é"], "y": [1e5]}'.encode(), ['"é"'.encode()], [b"1e5"]),
        (b'{"x": [], "y": []}', [], []),
    ],
)
def test_samples_keep_their_text(text: bytes, x: list[bytes], y: list[bytes]) -> None:
    user = read_user(text)
    assert (raws(user.x), raws(user.y)) == (x, y)


def test_text_gets_leafs_separators_and_keeps_all_keys() -> None:
    user = read_user(b'{"raw" :"a , b","x":[1,2],"y":[3 ,4],"z":{"k":  1}}')
    assert user.text == b'{"raw": "a , b", "x": [1, 2], "y": [3, 4], "z": {"k":  1}}'


def test_surrogates_take_the_slow_way_to_the_same_result() -> None:
    text = b'{"x":["\\udfff", "b"] ,"y":[1,2], "raw": [1,2]}'
    user = read_user(text)
    assert user.text == b'{"x": ["\\udfff", "b"], "y": [1, 2], "raw": [1, 2]}'
    assert json.loads(user.text) == json.loads(text)


def test_join_is_the_text_of_json_dump() -> None:
    assert b"".join(sample_pieces([b"1", b"2"], [b'"a"', b'"b"'])).decode() == json.dumps(
        {"x": [1, 2], "y": ["a", "b"]}
    )


@pytest.mark.parametrize("size", [0, 1, 2, 63, 64, 65, 128, 200])
def test_text_is_standard_to_the_byte_or_not(size: int) -> None:
    x, y = [b"[1, 2]"] * size, [b"%d" % label for label in range(size)]
    text = b"".join(sample_pieces(x, y))
    assert is_standard(text, x, y)
    for at in range(0, len(text), 7):
        assert not is_standard(text[:at] + b" " + text[at:], x, y)
        assert not is_standard(text[:at] + text[at + 1 :], x, y)


@pytest.mark.parametrize(
    ("text", "problem", "offset"),
    [
        (b'{"x": [1, NaN], "y": [1, 2]}', "NaN", 10),
        (b'{"x": [-Infinity], "y": [1]}', "-Infinity", 8),
        (b'{"x": [1], "y": [01]}', "not JSON", 18),
        (b'{"x": [1], "y": [2]', "too early", 19),
        (b'{"x": ["\xff"], "y": [2]}', "UTF-8", 8),
        (b'{"x": ["\\ud800\xff"], "y": [2]}', "UTF-8", 14),
        (b'{"x": ["\\ud800"], "y": [NaN]}', "NaN", None),
        (b'{"x": [1, 2], "y": [2]}', "2 entries in x but 1 in y", None),
        (b'{"x": [1]}', 'no "y"', None),
        (b'{"x": {}, "y": [1]}', '"x" that is not a list', None),
        (b"[1]", "not an object", None),
        (b'{"x": [' + b"[" * 10_000 + b"]" * 10_000 + b'], "y": [1]}', "nested too deeply", None),
        (b'{"x": ["\\ud800", ' + b"[" * 10_000 + b"]" * 10_000 + b'], "y": [1, 2]}', "nested too deeply", None),
    ],
)
def test_what_is_wrong_and_where(text: bytes, problem: str, offset: int | None) -> None:
    with pytest.raises(MalformedError) as caught:
        read_user(text)
    assert problem in caught.value.problem
    assert caught.value.offset == offset
