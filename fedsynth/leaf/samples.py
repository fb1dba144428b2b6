"""One user's text, `{"x": [...], "y": [...]}`, as raw samples: slices that are checked to be JSON but never parsed.

Three ways lead to the same result, from the fastest to the most general: exactly the text that LEAF writes; any
spacing, order and number of keys; and what only the standard library reads (strings with unpaired surrogates).
"""

from __future__ import annotations

import codecs
import io
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from fedsynth.leaf.decode import MAX_DEPTH
from fedsynth.leaf.scan import Scanner

Raw = msgspec.Raw | bytes
"""The text of one sample's x or y; either kind goes into `bytes.join`."""

_COMPARED = 64
"""Samples whose text is joined at a time."""

_DECODED = 1 << 20
_BYTE = re.compile(r"\(byte (\d+)\)")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class _XY(msgspec.Struct, forbid_unknown_fields=True):
    x: list[msgspec.Raw]
    y: list[msgspec.Raw]


_decode_xy = msgspec.json.Decoder(_XY).decode
_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


class MalformedError(Exception):
    """A user's text is not what it should be. offset: of the wrong byte in the text, None where it is no single one."""

    def __init__(self, problem: str, offset: int | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset


@dataclass(frozen=True)
class UserSamples:
    """The raw samples of one user. x, y: the samples' texts, as many of each."""

    x: Sequence[Raw]
    y: Sequence[Raw]
    text: bytes
    """The whole user with LEAF's separators: every key that the input has, in its order."""


def read_user(text: bytes) -> UserSamples:
    """Split a user's text into raw samples; keeps the text and one small object per sample in memory.

    Raises MalformedError if the text is not JSON, has no list x or no list y, or not as many of one as of the other.
    """
    try:
        user = _read(text)
    except RecursionError as error:
        raise MalformedError(f"values nested too deeply, expected at most {MAX_DEPTH} levels") from error
    if len(user.x) != len(user.y):
        raise MalformedError(f"{len(user.x)} entries in x but {len(user.y)} in y")
    return user


def split_standard(text: bytes) -> UserSamples:
    """Split a user's text that `read_user` has found to be standard before, without looking for what can't be there."""
    try:
        xy = _decode_xy(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return read_user(text)  # unpaired surrogates, or a file that changed, which is explained there
    return UserSamples(xy.x, xy.y, text)


def sample_pieces(x: Sequence[Raw], y: Sequence[Raw]) -> tuple[bytes, ...]:
    """Return the text of a user with these samples and no other key, in pieces: joined, large ones would double."""
    return b'{"x": [', b", ".join(x), b'], "y": [', b", ".join(y), b"]}"


def standard_text(x: Iterable[Raw], y: Iterable[Raw]) -> bytes:
    """Return the text of `sample_pieces` as one."""
    return b'{"x": [%b], "y": [%b]}' % (b", ".join(x), b", ".join(y))


def is_standard(text: bytes, x: Sequence[Raw], y: Sequence[Raw]) -> bool:
    """Whether a text is that of a user with these samples and no other key, to the byte."""
    at = 0
    for start, samples in ((b'{"x": [', x), (b'], "y": [', y)):
        if not text.startswith(start, at):
            return False
        at += len(start)
        for first in range(0, len(samples), _COMPARED):
            piece = (b", " if first else b"") + b", ".join(samples[first : first + _COMPARED])
            if not text.startswith(piece, at):
                return False
            at += len(piece)
    return at + 2 == len(text) and text.endswith(b"]}")


def _read(text: bytes) -> UserSamples:
    try:
        user = _read_standard(text) or _read_any_keys(text)
    except UnicodeDecodeError as error:  # msgspec's, of a key
        _check_utf8(text)
        raise MalformedError("text that is not UTF-8") from error
    except msgspec.DecodeError as error:
        if not _SURROGATE.search(text):
            _fail(text, error)
        return _read_slowly(text)
    if not text.isascii():
        _check_slices(text)
    return user


def _read_standard(text: bytes) -> UserSamples | None:
    """Read a user who has x and y, in this order and with LEAF's separators, and nothing else; None for another."""
    try:
        xy = _decode_xy(text)
    except msgspec.ValidationError:
        return None
    return UserSamples(xy.x, xy.y, text) if is_standard(text, xy.x, xy.y) else None


def _read_any_keys(text: bytes) -> UserSamples:
    try:
        keys = _decode_keys(text)
    except msgspec.ValidationError as error:
        raise MalformedError("a value that is not an object with x and y") from error
    return _from_entries({key: _entries(raw) for key, raw in keys.items()})


def _entries(raw: msgspec.Raw) -> Sequence[Raw] | bytes:
    """Return a list's entries, any other value's text."""
    text = bytes(raw)
    return _decode_list(raw) if text.startswith(b"[") else text


def _read_slowly(text: bytes) -> UserSamples:
    """Check with the standard library, split with the scanner."""
    try:
        values = json.loads(_check_utf8(text), parse_constant=_reject_constant, parse_int=str)
    except json.JSONDecodeError as error:
        raise MalformedError(error.msg, len(error.doc[: error.pos].encode())) from error
    if not isinstance(values, dict):
        raise MalformedError("a value that is not an object with x and y")
    scanner = Scanner(io.BytesIO(text), Path())
    return _from_entries({key: _scan_entries(scanner.value()[1]) for key in scanner.members()})


def _scan_entries(text: bytes) -> Sequence[Raw] | bytes:
    if not text.startswith(b"["):
        return text
    scanner = Scanner(io.BytesIO(text), Path())
    return [scanner.value()[1] for _ in scanner.entries()]


def _from_entries(entries: dict[str, Sequence[Raw] | bytes]) -> UserSamples:
    texts = [json.dumps(key).encode() + b": " + _text(value) for key, value in entries.items()]
    return UserSamples(_list_of(entries, "x"), _list_of(entries, "y"), b"{" + b", ".join(texts) + b"}")


def _list_of(entries: dict[str, Sequence[Raw] | bytes], key: str) -> Sequence[Raw]:
    if key not in entries:
        raise MalformedError(f'no "{key}"')
    values = entries[key]
    if isinstance(values, bytes):
        raise MalformedError(f'"{key}" that is not a list')
    return values


def _text(value: Sequence[Raw] | bytes) -> bytes:
    return value if isinstance(value, bytes) else b"[" + b", ".join(value) + b"]"


def _check_utf8(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise MalformedError("text that is not UTF-8", error.start) from error


def _check_slices(text: bytes) -> None:
    """Check text to be UTF-8 piece by piece: all of it, decoded, takes up to four times as much memory."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(text), _DECODED):
            decoder.decode(text[start : start + _DECODED], final=start + _DECODED >= len(text))
    except UnicodeDecodeError:
        _check_utf8(text)  # which says where


def _reject_constant(name: str) -> Any:
    raise MalformedError(f"{name}, which is not JSON,")


def _fail(text: bytes, error: msgspec.DecodeError) -> NoReturn:
    """Translate msgspec's error. It stops at the first byte it can't use, which shows NaN and Infinity."""
    found = _BYTE.search(str(error))
    if found is None:
        raise MalformedError("text that ends too early", len(text)) from error
    offset = int(found.group(1))
    constant = re.match(rb"NaN|-?Infinity", text[max(0, offset - 1) :].lstrip(b" [,:"))
    problem = f"{constant.group().decode()}, which is not JSON," if constant else "text that is not JSON"
    raise MalformedError(problem, offset) from error
