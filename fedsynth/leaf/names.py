"""Users' ids, packed: their JSON text and where each one ends, ten bytes a user instead of a Python object."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from json.encoder import encode_basestring_ascii
from typing import Any, overload

_SEPARATOR = b", "
_SHORT = 1 << 32


class Names(Sequence[str]):
    """A sequence of ids. text: as they stand in a file's head, `"0", "1", "2"`; an id becomes a str when asked for.

    ends: [n + 1] where each id's text starts, and where one more would.
    """

    __slots__ = ("ends", "text")

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.text = _SEPARATOR.join(texts)
        ends = accumulate((len(text) + len(_SEPARATOR) for text in texts), initial=0)
        self.ends = array("I" if len(self.text) + 2 < _SHORT else "q", ends)

    @classmethod
    def of(cls, users: Iterable[str]) -> Names:
        """Pack ids; those that are packed already stay as they are."""
        return users if isinstance(users, Names) else cls([encode_basestring_ascii(user).encode() for user in users])

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: Any) -> Any:
        """Return an id, or the list of those in a slice."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(index)
        return json.loads(self.texts(position, position + 1)[0])

    def __iter__(self) -> Iterator[str]:
        return iter(json.loads(b"[" + self.text + b"]"))

    @classmethod
    def unpacked(cls, text: bytes, ends: array[int]) -> Names:
        """Return names of the same text and ends."""
        names = cls.__new__(cls)
        names.text, names.ends = text, ends
        return names

    def __reduce__(self) -> tuple[Any, ...]:
        return Names.unpacked, (self.text, self.ends)

    def texts(self, start: int, stop: int) -> list[bytes]:
        """Return the JSON text of the ids at positions from `start` to before `stop`."""
        text, ends = self.text, self.ends[start : stop + 1]
        gap = len(_SEPARATOR)
        return [text[begin : end - gap] for begin, end in pairwise(ends)]

    def pick(self, positions: Iterable[int]) -> Names:
        """Return the ids at these positions."""
        text, ends = self.text, self.ends
        gap = len(_SEPARATOR)
        return Names([text[ends[position] : ends[position + 1] - gap] for position in positions])
