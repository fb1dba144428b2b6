"""The text of samples as `json.dump` writes them; of arrays ten times faster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

_ROWS = 32
"""Rows encoded at a time: enough to be fast, few enough to stay in the processor's cache, 40 kB of text."""
_REPR_BELOW = 1e-4
"""From here down (but for 0) Python writes an exponent with two digits, orjson a decimal or one with fewer."""
_REPR_FROM = 1e16
"""From here up Python writes a plus in the exponent, which orjson before 3.11.5 or so leaves out."""


def user_pieces(x: NDArray[Any] | Sequence[Any], y: NDArray[Any] | Sequence[Any]) -> Iterator[bytes]:
    """Yield the text of a user in pieces. x, y: as `sample_pieces` takes them, of one length."""
    yield b'{"x": ['
    yield from sample_pieces(x)
    yield b'], "y": ['
    yield from sample_pieces(y)
    yield b"]}"


def sample_pieces(samples: NDArray[Any] | Sequence[Any]) -> Iterator[bytes]:
    """Yield the text of samples, `a, b, c`, in pieces of at most 32 samples where they are rows.

    samples: an array [n, ...] of finite numbers, or a sequence of JSON values. Floats are written as their double's
    `repr`, false and true in arrays as 0 and 1. Raises ValueError for NaN and infinity in a sequence.
    """
    if not isinstance(samples, np.ndarray):
        yield json.dumps(list(samples), allow_nan=False)[1:-1].encode()
        return
    for start in range(0, len(samples), _ROWS):
        text = _encode_samples(_plain(samples[start : start + _ROWS]))
        yield b", " + text if start else text


def sample_texts(samples: NDArray[Any]) -> list[bytes]:
    """Return the text of each sample of an array [n, ...] of finite numbers, as `sample_pieces` writes it."""
    samples = _plain(samples)
    if samples.ndim != 2 or not samples.shape[1]:
        return [_encode_samples(samples[row : row + 1]) for row in range(len(samples))]
    texts = []
    for start in range(0, len(samples), _ROWS):
        rows = encode_rows(samples[start : start + _ROWS])[1:-1].split(b"], [")
        texts += [b"[" + row + b"]" for row in rows]
    return texts


def encode_rows(rows: NDArray[Any]) -> bytes:
    """Return rows [n, D] of finite numbers as `[a, b], [c, d]`, every float as Python's `repr` writes it."""
    text = encode(rows)[1:-1]
    marked = _other_notation(rows) if rows.dtype.kind == "f" else None
    return text if marked is None else _rewrite(text, rows, marked)


def has_other_notation(rows: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows hold a float that orjson writes otherwise than Python: [n]."""
    marked = _other_notation(rows)
    return np.zeros(len(rows), np.bool_) if marked is None else np.asarray(marked.any(axis=1))


def _other_notation(rows: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return which floats orjson writes otherwise than Python, [n, D], or None if it is none of them."""
    magnitudes = np.abs(rows)
    if magnitudes.size == 0 or (magnitudes.min() >= _REPR_BELOW and magnitudes.max() < _REPR_FROM):
        return None
    return np.asarray(((magnitudes < _REPR_BELOW) & (magnitudes > 0)) | (magnitudes >= _REPR_FROM))


def encode(values: NDArray[Any]) -> bytes:
    """Return an array of whole numbers, or of floats that are 0 or from 1e-4 to 1e16, as a JSON array."""
    text = orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)
    return text.replace(b",", b", ")


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers in the types that their text is defined for: doubles and whole numbers."""
    if values.dtype.kind == "f":
        return values.astype(np.float64, copy=False)
    kind = np.uint64 if values.dtype.kind == "u" else np.int64
    return values.astype(kind, copy=False)


def _encode_samples(samples: NDArray[Any]) -> bytes:
    if samples.ndim == 1:
        return encode_rows(samples[np.newaxis])[1:-1]
    if samples.ndim == 2:
        return encode_rows(samples)
    return b", ".join(b"[" + _encode_samples(sample) + b"]" for sample in samples)


def _rewrite(text: bytes, rows: NDArray[Any], marked: NDArray[np.bool_]) -> bytes:
    """Write the few marked values as `repr` does."""
    texts = text[1:-1].split(b"], [")
    for row in np.flatnonzero(marked.any(axis=1)).tolist():
        values = texts[row].split(b", ")
        for column in np.flatnonzero(marked[row]).tolist():
            values[column] = repr(float(rows[row, column])).encode()
        texts[row] = b", ".join(values)
    return b"[" + b"], [".join(texts) + b"]"
