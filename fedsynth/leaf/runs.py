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

_START, _MIDDLE, _END = b'{"x": [', b'], "y": [', b"]}"


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
    samples = list(users.values())
    texts = [b"".join((_START, b", ".join(user.x), _MIDDLE, b", ".join(user.y), _END)) for user in samples]
    keys = [encode_basestring_ascii(name).encode() + b": " for name in users]
    if b", " + b", ".join(map(bytes.__add__, keys, texts)) != text or _is_deep(text, texts):
        return None
    if any(len(user.x) != len(user.y) for user in samples):
        return None
    return Run(list(users), *_laid_out(list(map(len, keys)), list(map(len, texts))), samples)


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
    names = [part[: part.find(b'"')] for part in parts]
    if not all(part.startswith(b'": {"x": [', len(name)) for part, name in zip(parts, names, strict=True)):
        return None
    if not all(_MIDDLE in part for part in parts) or (len(text) > MAX_DEPTH and _is_deep(text, parts)):
        return None
    found = [name.decode() for name in names]
    if not all(map(str.isprintable, found)):
        return None
    sizes = [len(part) - len(name) - 1 for part, name in zip(parts, names, strict=True)]
    return Run(found, *_laid_out([len(name) + 4 for name in names], sizes))


def _is_deep(text: bytes, users: Sequence[bytes]) -> bool:
    """Whether one of the users may be nested too deeply.

    Of the brackets that `is_too_deep` counts of one user, every other user has at least three.
    """
    found = text.count(b"[") - text.count(b"], [") + text.count(b"{") - text.count(b"}, {")
    if found - 3 * (len(users) - 1) < MAX_DEPTH - 1:
        return False
    return any(len(user) > MAX_DEPTH - 2 and is_too_deep(user) for user in users)


def _laid_out(keys: Sequence[int], sizes: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return where users' texts start that follow each other after `, ` and a key of so many bytes, and the sizes."""
    ends = accumulate(map(int.__add__, keys, sizes))
    gaps = range(2, 2 * len(sizes) + 1, 2)
    return [end - size + gap for end, size, gap in zip(ends, sizes, gaps, strict=True)], list(sizes)
