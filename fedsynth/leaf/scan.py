"""Walk a JSON file value by value, without parsing what is inside and without holding more than one value."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from fedsynth.errors import DataError

BLOCK = 1 << 20
_FIRST = 1 << 16
"""Bytes read at first: of many files only the head is asked for."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FEW_QUOTES = 8
_CLOSING = {ord("{"): b"}", ord("["): b"]"}
_SPACE = re.compile(rb"[ \t\n\r]*")
_SCALAR = re.compile(rb"[^ \t\n\r,\]}]*")


class Readable(Protocol):
    """What a scanner needs of a file."""

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, at most `size`, none at the end."""


class Scanner:
    """Read one JSON document from the front, a value at a time.

    Holds the largest single value asked for, twice while it is handed out, plus one block of 1 MiB. Every byte is
    looked at once, so the time is linear whatever strings and nesting hold. Values are delimited, not checked: decode
    what `value` returns.
    """

    def __init__(self, file: Readable, path: Path) -> None:
        self.path = path
        self._file = file
        self._data = bytearray(file.read(min(BLOCK, _FIRST)))
        self._base = 0
        self._at = len(BYTE_ORDER_MARK) if self._data.startswith(BYTE_ORDER_MARK) else 0

    @property
    def offset(self) -> int:
        """Where the next byte stands in the file."""
        return self._base + self._at

    def members(self) -> Iterator[str]:
        """Yield each key of the object that comes next; the caller consumes its value before asking for another."""
        self._expect(b"{")
        if self._accept(b"}"):
            return
        while True:
            key = self._key()
            self._expect(b":")
            yield key
            if self._accept(b"}"):
                return
            self._expect(b",")

    def entries(self) -> Iterator[None]:
        """Yield once for each entry of the array that comes next; the caller consumes it before asking for another."""
        self._expect(b"[")
        if self._accept(b"]"):
            return
        while True:
            yield
            if self._accept(b"]"):
                return
            self._expect(b",")

    def value(self) -> tuple[int, bytes]:
        """Consume the next value; return its offset in the file and its text."""
        first = self._peek()
        offset = self.offset
        if first in _CLOSING:
            size = self._bracketed(first)
        elif first == ord('"'):
            size = self._quoted()
        else:
            size = self._scalar()
        text = bytes(memoryview(self._data)[self._at : self._at + size])
        self._at += size
        if size > BLOCK:  # one copy of a large value is enough
            self._base += self._at
            self._data = self._data[self._at :]
            self._at = 0
        return offset, text

    def ahead(self, ending: bytes, separator: bytes, most: int) -> bytes:
        """Return the text from here to the last `ending` that `separator` follows, of at most `most` bytes.

        Consumes nothing; returns b"" where there is none.
        """
        if len(self._data) - self._at < most:
            self._refill()
        end = self._data.rfind(ending + separator, self._at, self._at + most)
        return b"" if end < 0 else bytes(memoryview(self._data)[self._at : end + len(ending)])

    def skip(self, size: int) -> None:
        """Consume `size` bytes of what `ahead` returned."""
        self._at += size

    def end(self) -> None:
        """Raise DataError unless only white space is left."""
        self._skip_space()
        if self._at < len(self._data):
            raise self.error("text after the end of the JSON object")

    def error(self, problem: str, offset: int | None = None) -> DataError:
        """Return a DataError that names the file and the byte."""
        where = self.offset if offset is None else offset
        return DataError(
            f"{self.path}: {problem} at byte {where:,}; expected LEAF's JSON: generate or fetch the file again"
        )

    def _key(self) -> str:
        if self._peek() != ord('"'):
            raise self.error(f"found {self._here()} where a key was expected")
        offset, text = self.value()
        try:
            return str(json.loads(text.decode()))  # bytes would pass as UTF-8 that isn't: surrogates one by one
        except ValueError as error:
            raise self.error(f"a key that is not valid JSON ({error})", offset) from error

    def _expect(self, char: bytes) -> None:
        if not self._accept(char):
            raise self.error(f"found {self._here()} where {char.decode()!r} was expected")

    def _accept(self, char: bytes) -> bool:
        if self._peek() != char[0]:
            return False
        self._at += 1
        return True

    def _here(self) -> str:
        return repr(self._data[self._at : self._at + 1].decode("latin-1"))

    def _peek(self) -> int:
        self._skip_space()
        if self._at == len(self._data):
            raise self.error("the text ends too early")
        return self._data[self._at]

    def _skip_space(self) -> None:
        while True:
            match = _SPACE.match(self._data, self._at)
            assert match is not None  # the pattern matches the empty text
            self._at = match.end()
            if self._at < len(self._data) or not self._refill():
                return

    def _refill(self) -> bool:
        """Read on, dropping what is consumed. What is held grows where it is, so a large value is copied O(1) times."""
        del self._data[: self._at]
        self._base += self._at
        self._at = 0
        more = self._file.read(BLOCK)
        self._data += more
        return bool(more)

    def _find(self, char: bytes, start: int) -> int:
        """Return where `char` comes next, counted from the value's start; read on as needed."""
        while True:
            found = self._data.find(char, self._at + start)
            if found >= 0:
                return found - self._at
            start = len(self._data) - self._at
            if not self._refill():
                raise self.error("the text ends too early", self._base + len(self._data))

    def _bracketed(self, first: int) -> int:
        """Return the size of an object or array: brackets count only outside strings."""
        opening, closing = bytes([first]), _CLOSING[first]
        depth, quoted, done = 1, False, 1
        while True:
            end = self._find(closing, done) + 1
            openings, quotes = _count(self._data, self._at + done, self._at + end, opening, quoted)
            depth += openings
            quoted ^= quotes % 2 == 1
            done = end
            if not quoted:
                depth -= 1
                if depth == 0:
                    return end

    def _quoted(self) -> int:
        done, escaped = 1, True
        while escaped:
            end = self._find(b'"', done)
            held = self._data[self._at + done : self._at + end]
            escaped = (len(held) - len(held.rstrip(b"\\"))) % 2 == 1
            done = end + 1
        return done

    def _scalar(self) -> int:
        while True:
            match = _SCALAR.match(self._data, self._at)
            assert match is not None  # the pattern matches the empty text
            if match.end() < len(self._data) or not self._refill():
                return match.end() - self._at


def _count(data: bytes | bytearray, start: int, end: int, opening: bytes, quoted: bool) -> tuple[int, int]:
    r"""Count the opening brackets outside strings, and the quotes that open or close one; quoted: it starts inside.

    Escapes are dropped first: without `\\` and `\"` every quote counts.
    """
    if data.find(b"\\", start, end) >= 0:
        data = data[start:end].replace(b"\\\\", b"").replace(b'\\"', b"")
        start, end = 0, len(data)
    quotes = _count_quotes(data, start, end)
    if data.find(opening, start, end) < 0:
        return 0, quotes
    return sum(piece.count(opening) for piece in data[start:end].split(b'"')[int(quoted) :: 2]), quotes


def _count_quotes(data: bytes | bytearray, start: int, end: int) -> int:
    """Numbers hold no quotes, and `find` passes over them ten times as fast as `count`."""
    for quotes in range(_FEW_QUOTES):
        start = data.find(b'"', start, end) + 1
        if not start:
            return quotes
    return _FEW_QUOTES + data.count(b'"', start, end)
