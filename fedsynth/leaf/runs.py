"""Runs of small users in LEAF's own text, checked and found together; any other text is no run.

A user of ten samples is a microsecond's work for the parser and ten for code that looks at one user at a time. A run is
the text of neighbouring users, `, "0": {...}, "1": {...}`, as a file has it after another user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from json.encoder import encode_basestring_ascii

import msgspec

from fedsynth.leaf.decode import is_too_deep

LONGEST = 1 << 16
"""Bytes of a run at most: its raw samples are held together."""
SMALL = 1 << 12
"""Bytes of a user's text up to which others like them are looked for after them."""

_AROUND = len(', "": ')


class RawSamples(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The raw samples of one user. x, y: the samples' texts."""

    x: list[msgspec.Raw]
    y: list[msgspec.Raw]


_decode_users = msgspec.json.Decoder(dict[str, RawSamples]).decode
_decode_list = msgspec.json.Decoder(list[RawSamples]).decode


@dataclass(frozen=True)
class Run:
    """Neighbouring users. offsets: [users] where in the file the text of each starts; sizes: [users].

    samples: [users], or empty where users' samples were not read.
    """

    names: Sequence[str]
    offsets: Sequence[int]
    sizes: Sequence[int]
    samples: Sequence[RawSamples] = ()


def split_texts(texts: Sequence[bytes]) -> list[RawSamples]:
    """Split standard users' texts into raw samples. Raises msgspec's errors, UnicodeDecodeError or RecursionError."""
    return _decode_list(b"[" + b", ".join(texts) + b"]")


def split_run(name: bytes, texts: bytes) -> list[RawSamples]:
    """Split the text of neighbours into raw samples, as `split_texts` does. name: the id of the first, as JSON."""
    return list(_decode_users(b"{%b: %b}" % (name, texts)).values())


def read_run(text: bytes, base: int) -> Run | None:
    """Check the users of a run and return it, None unless each is x and y alone with LEAF's separators.

    base: where in the file the run starts.
    Then all that `read_user` checks of each holds, and no id stands twice: what was read, written again, is the text.
    """
    try:
        users = _decode_users(b"{" + text[2:] + b"}")
        if not text.isascii():
            text.decode()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    keys = [encode_basestring_ascii(name).encode() for name in users]
    samples = list(users.values())
    join = b", ".join
    texts = [b'{"x": [%b], "y": [%b]}' % (join(user.x), join(user.y)) for user in samples]
    if b", ".join(map(b"%b: %b".__mod__, zip(keys, texts, strict=True))) != text[2:]:
        return None
    if [len(user.x) for user in samples] != [len(user.y) for user in samples] or any(map(is_too_deep, texts)):
        return None
    sizes = list(map(len, texts))
    return Run(list(users), _offsets(base, [len(key) - 2 for key in keys], sizes), sizes, samples)


def _offsets(base: int, keys: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Return where users' texts start. keys: [users] bytes of each key; sizes: of each text."""
    ends = accumulate(map(int.__add__, keys, sizes))
    before = range(base + _AROUND, base + _AROUND * (len(sizes) + 1), _AROUND)
    return list(map(int.__add__, map(int.__sub__, ends, sizes), before))
