"""The scanner finds where values end, whatever strings hold and wherever blocks end."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.errors import DataError
from fedsynth.leaf import scan
from fedsynth.leaf.scan import Scanner

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text('ab{}[]",:\\ é\n'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a{}[]"\\', max_size=4), inner, max_size=4),
    max_leaves=12,
)


def scanner(text: str | bytes) -> Scanner:
    data = text.encode() if isinstance(text, str) else text
    return Scanner(io.BytesIO(data), Path("file.json"))


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.dictionaries(st.text('a{}[]"\\'), values), st.sampled_from([(", ", ": "), (",", ":"), (" ,\n", "\t: ")]))
def test_members_are_what_json_loads_finds(content: dict[str, Any], separators: tuple[str, str]) -> None:
    found = scanner(json.dumps(content, separators=separators))
    assert {key: json.loads(found.value()[1]) for key in found.members()} == content
    found.end()


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_blocks_may_end_anywhere(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BLOCK", block)
    content = {'k"{': ['a}\\"]', {"b": [1.5e-7, "}{"]}, "é" * 40], "n": 12345, "s": 'x\\\\"'}
    found = scanner(json.dumps(content, ensure_ascii=False))
    assert {key: json.loads(found.value()[1]) for key in found.members()} == content


def test_offsets_are_places_in_the_file() -> None:
    text = '\ufeff { "a" : [1, 2] , "b":"c" }'.encode()
    found = scanner(text)
    for _ in found.members():
        offset, value = found.value()
        assert text[offset : offset + len(value)] == value


def test_entries_of_a_list() -> None:
    found = scanner('[1, "a]", {"b": [2]}]')
    assert [found.value()[1] for _ in found.entries()] == [b"1", b'"a]"', b'{"b": [2]}']


def test_empty_containers() -> None:
    assert list(scanner("{ }").members()) == []
    assert list(scanner("[ ]").entries()) == []


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"a"', '{"a": ', '{"a": [1', '{"a": "b', "{a: 1}", '{"a" 1}', '{"a": 1 "b": 2}']
)
def test_broken_text_is_an_error_that_names_the_byte(text: str) -> None:
    with pytest.raises(DataError, match=r"file\.json: .* at byte \d+"):
        found = scanner(text)
        for _ in found.members():
            found.value()


def test_text_after_the_end_is_an_error() -> None:
    found = scanner("{} x")
    assert list(found.members()) == []
    with pytest.raises(DataError, match="at byte 3"):
        found.end()
