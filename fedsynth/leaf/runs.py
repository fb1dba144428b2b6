"""Runs of small users in LEAF's own text, checked and found together; any other text is no run.

A user of ten samples is a microsecond's work for the parser and ten for code that looks at one user at a time. A run is
the text of neighbouring users, `, "0": {...}, "1": {...}`, as a file has it after another user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from json.encoder import encode_basestring_ascii

import msgspec

from fedsynth.leaf.decode import MAX_DEPTH, is_too_deep

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
    """Neighbouring users. offsets: [users] where the text of each starts, from where the run does; sizes: [users].

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


def read_run(text: bytes) -> Run | None:
    """Check the users of a run and return it, None unless each is x and y alone with LEAF's separators.

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
    return Run(list(users), *_laid_out([len(key) - 2 for key in keys], list(map(len, texts))), samples)


def find_run(text: bytes) -> Run | None:
    """Return where the users of a run are, without reading their samples; None unless the text's form alone shows it.

    Each has six quotes, of three keys, and one pair of braces: then nothing else is a string, and nothing is nested in
    objects. Between the quotes stand `, `, the id, `: {`, `x`, x's value, `y` and y's value.
    """
    if b"\\" in text or not text.isascii():
        return None
    pieces = (text + b", ").split(b'"')
    users = len(pieces) // 6
    keys, xs, ys = pieces[1::6], pieces[4::6], pieces[6::6]
    if len(pieces) != 6 * users + 1 or not text.count(b"{") == text.count(b"}") == users:
        return None
    if [pieces[offset::6].count(key) for offset, key in ((2, b": {"), (3, b"x"), (5, b"y"))] != [users] * 3:
        return None
    if not all(map(bytes.endswith, ys, repeat(b"}, "))):
        return None
    if any(len(value) >= MAX_DEPTH and value.count(b"[") >= MAX_DEPTH - 1 for value in chain(xs, ys)):
        return None
    names = b'"'.join(keys).decode()
    if not names.isprintable():
        return None
    sizes = [x + y + 5 for x, y in zip(map(len, xs), map(len, ys), strict=True)]
    return Run(names.split('"'), *_laid_out(list(map(len, keys)), sizes))


def _laid_out(keys: Sequence[int], sizes: list[int]) -> tuple[list[int], list[int]]:
    """Return where users' texts start in a run, and their sizes. keys: [users] bytes of each key; sizes: of each."""
    ends = accumulate(map(int.__add__, keys, sizes))
    before = range(_AROUND, _AROUND * (len(sizes) + 1), _AROUND)
    return list(map(int.__add__, map(int.__sub__, ends, sizes), before)), sizes
