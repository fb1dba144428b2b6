"""JSON text becomes Python values, exactly: no limit of digits, no NaN, strict UTF-8, and a depth that is known."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import accumulate
from typing import Any

MAX_DEPTH = 500
"""How deep lists and objects may be nested: half of what Python's parser takes, so that no caller's stack decides."""

_ALWAYS_READ = 512
"""Digits of a whole number that Python reads whatever its limit (`sys.set_int_max_str_digits`) is."""

_EXACT = 1 << 63
_COMMA = ord(",")
_BRACKETS = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class LongInt(int):
    """A whole number of more digits than Python turns into text by itself; its own text is kept."""

    def __new__(cls, digits: str) -> LongInt:
        """Read a number's digits, with a minus sign or without."""
        size = _read_digits(digits.lstrip("-"))
        number = super().__new__(cls, -size if digits.startswith("-") else size)
        number.digits = digits
        return number

    digits: str

    def __repr__(self) -> str:
        return self.digits

    def __format__(self, spec: str) -> str:
        return format(self.digits, spec) if spec in ("", "s") else super().__format__(spec)

    def __getnewargs__(self) -> tuple[str]:  # type: ignore[override]
        return (self.digits,)


def _read_digits(digits: str) -> int:
    """Halve and multiply: Python's limit is for its own conversion, whose time grows with the square."""
    if len(digits) <= _ALWAYS_READ:
        return int(digits)
    right = len(digits) // 2
    power: int = 10**right
    return _read_digits(digits[:-right]) * power + _read_digits(digits[-right:])


def _parse_int(digits: str) -> int:
    return int(digits) if len(digits) <= _ALWAYS_READ else LongInt(digits)


def decode(text: bytes) -> Any:
    """Return the value of a JSON text of any length of numbers; the last of duplicate keys counts.

    Raises ValueError for what is not JSON or not UTF-8. The text must not be nested deeper than MAX_DEPTH.
    """
    decoded = text.decode()
    try:
        return json.loads(decoded, parse_constant=_reject_constant)
    except (json.JSONDecodeError, NotJSONError):
        raise
    except ValueError:  # a number of too many digits
        return json.loads(decoded, parse_constant=_reject_constant, parse_int=_parse_int)


class NotJSONError(ValueError):
    """A constant that Python reads but that is not JSON."""


def _reject_constant(name: str) -> Any:
    raise NotJSONError(f"{name} is not JSON")


def may_be_rounded(values: Iterable[Any]) -> bool:
    """Whether a list holds, at any depth, a float of 2**63 or more: from fast parsers it may be a whole number."""
    left: list[Iterable[Any]] = [values]
    while left:
        for value in left.pop():
            if type(value) is float:
                if not -_EXACT < value < _EXACT:
                    return True
            elif type(value) is list:
                left.append(value)
            elif type(value) is dict:
                left.append(value.values())
    return False


def is_too_deep(text: bytes) -> bool:
    """Whether a JSON text is nested deeper than MAX_DEPTH; it is looked at fast where that can't be."""
    return _may_be_deep(text) and max(accumulate(_steps(text)), default=0) > MAX_DEPTH


def _may_be_deep(text: bytes) -> bool:
    """Count the brackets that open, but for those right after `], ` or `}, `.

    Of each level that has another one inside it, the first inside it is counted: nothing has closed between the two.
    """
    if len(text) <= 2 * MAX_DEPTH or text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    found = 0
    for opening, closing in ((b"[", ord("]")), (b"{", ord("}"))):
        at = text.find(opening)
        while at >= 0 and found < MAX_DEPTH - 1:
            if text[at - 3] != closing or text[at - 2] != _COMMA:
                found += 1
            at = text.find(opening, at + 1)
    return found >= MAX_DEPTH - 1


def _steps(text: bytes) -> memoryview:
    """Return 1 for each bracket outside strings that opens, -1 for each that closes."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(text.split(b'"')[::2])
    return memoryview(outside.translate(_BRACKETS, _NO_BRACKETS)).cast("b")
