"""Runs of small users in LEAF's own text, checked and found together; whatever is not plainly that is no run.

A user of ten samples is a microsecond's work for the parser and ten for code that looks at one user at a time. A run is
the text of neighbouring users, `, "0": {...}, "1": {...}`, as a file has it after another user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from json.encoder import encode_basestring_ascii

import msgspec

from fedsynth.leaf.decode import MAX_DEPTH, is_too_deep

LONGEST = 1 << 17
"""Bytes of a run at most: its raw samples are held together."""
SMALL = 1 << 14
"""Bytes of a user's text up to which others like them are looked for after them."""

_MIDDLE = b'], "y": ['


class RawSamples(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """The raw samples of one user. x, y: the samples' texts."""

    x: list[msgspec.Raw]
    y: list[msgspec.Raw]


_decode_users = msgspec.json.Decoder(dict[str, RawSamples]).decode
_decode_list = msgspec.json.Decoder(list[RawSamples]).decode


@dataclass(frozen=True)
class Run:
    """Neighbouring users. offsets: [users] where the text of each starts, from where the run does; sizes: [users].

    samples: [users], or empty where nobody looked at what users have.
    """

    names: Sequence[str]
    offsets: Sequence[int]
    sizes: Sequence[int]
    samples: Sequence[RawSamples] = ()


def split_texts(texts: Sequence[bytes]) -> list[RawSamples]:
    """Split standard users' texts into raw samples. Raises msgspec's errors, UnicodeDecodeError or RecursionError."""
    return _decode_list(b"[" + b", ".join(texts) + b"]")


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
    again = [
        b', %b: {"x": [%b], "y": [%b]}' % (key, join(user.x), join(user.y))
        for key, user in zip(keys, samples, strict=True)
    ]
    if b"".join(again) != text or any(map(_is_deep, again)):
        return None
    if [len(user.x) for user in samples] != [len(user.y) for user in samples]:
        return None
    return Run(list(users), *_laid_out(keys, again), samples)


def find_run(text: bytes) -> Run | None:
    """Return where the users of a run are, without a look at what they have; None unless that is plain to see.

    Each has six quotes, three keys and one pair of braces: then nothing else is a string, and nothing is nested in
    objects.
    """
    if b"\\" in text or not text.isascii():
        return None
    parts = text[3:-2].split(b']}, "')
    if text.count(b'"') != 6 * len(parts) or not text.count(b"{") == text.count(b"}") == len(parts):
        return None
    keys = [part[: part.find(b'"')] for part in parts]
    if not all(part.startswith(b'": {"x": [', len(key)) for part, key in zip(parts, keys, strict=True)):
        return None
    names = [key.decode() for key in keys]
    if not all(_MIDDLE in part for part in parts) or any(map(_is_deep, parts)) or not all(map(str.isprintable, names)):
        return None
    return Run(names, *_laid_out([b'"%b"' % key for key in keys], [b', "%b]}' % part for part in parts]))


def _is_deep(user: bytes) -> bool:
    """Whether a user may be nested too deeply: what is has as many brackets that open, and that close."""
    return len(user) > 2 * MAX_DEPTH and user.count(b"[") + user.count(b"{") > MAX_DEPTH and is_too_deep(user)


def _laid_out(keys: Sequence[bytes], users: Sequence[bytes]) -> tuple[list[int], list[int]]:
    """Return where the users' texts start in a run, and how long they are. users: with the key, and `, ` before it."""
    before = [len(key) + 4 for key in keys]
    sizes = list(map(int.__sub__, map(len, users), before))
    ends = accumulate(map(len, users))
    return list(map(int.__sub__, ends, sizes)), sizes
