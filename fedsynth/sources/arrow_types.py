"""Arrow's columns as numbers, texts or JSON texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import DataError, named
from fedsynth.leaf.text import sample_texts
from fedsynth.sources.source import JSON, NUMBER, OTHER, TEXT, ColumnInfo, Values, check_finite, null_error

_IMAGES = (
    "make numbers or texts, in UTF-8, of it first, such as one list of pixels a row; or write the assignment alone, "
    f"with {named('assignment_only')}"
)


def describe_schema(schema: Any) -> dict[str, ColumnInfo]:
    """Return what is known of each column of an Arrow schema, with Hugging Face's names of labels."""
    features = _huggingface_features(schema.metadata or {})
    return {field.name: _describe(field.type, _label_names(features.get(field.name))) for field in schema}


def to_values(path: Path, name: str, array: Any, info: ColumnInfo, first_row: int) -> Values:
    """Return a column of a batch. Raises DataError, with the row's number, for nulls, NaN and infinity."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.null_count:
        raise null_error(path, name, first_row + pc.index(array.is_null(), True).as_py())
    if info.kind == TEXT:
        texts: list[str] = array.to_pylist()
        return texts
    if info.kind == NUMBER and not info.width:
        if pa.types.is_decimal(array.type):
            array = array.cast(pa.float64())
        numbers: NDArray[Any] = array.to_numpy(zero_copy_only=False)
        check_finite(path, name, numbers, first_row)
        return numbers
    return _rows(path, name, array, info, first_row)


def _rows(path: Path, name: str, array: Any, info: ColumnInfo, first_row: int) -> Values:
    """Return lists as an array [rows, ...], or as texts where their length may change from row to row."""
    flat, shape = array, [len(array)]
    while _is_list(flat.type):
        lengths = np.unique(flat.value_lengths().to_numpy(zero_copy_only=False)) if len(flat) else np.zeros(1)
        flat = flat.flatten()
        if flat.null_count or len(lengths) != 1:
            return _ragged(path, name, array, first_row)
        shape.append(int(lengths[0]))
    if not _is_number(flat.type) or 0 in shape:
        return _ragged(path, name, array, first_row)
    matrix = flat.to_numpy(zero_copy_only=False).reshape(shape)
    check_finite(path, name, matrix, first_row)
    return matrix if info.width else sample_texts(matrix)


def _ragged(path: Path, name: str, array: Any, first_row: int) -> Values:
    """Return each row's JSON text."""
    texts = []
    for row, value in enumerate(array.to_pylist(), first_row):
        try:
            if _holds_nothing(value):
                raise null_error(path, name, row)
            texts.append(json.dumps(value, allow_nan=False).encode())
        except ValueError as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{path}: NaN or infinity in row {row:,} (from 0) of column {name!r}, expected numbers"
            ) from error
    return texts


def _holds_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, list) and any(map(_holds_nothing, value)))


def _describe(kind: Any, names: Sequence[str]) -> ColumnInfo:
    import pyarrow as pa

    described = str(kind)[:60]
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if _is_number(kind) or pa.types.is_null(kind):  # of nothing at all; where there are rows, that is an error
        return ColumnInfo(NUMBER, described, (), whole=not _is_fraction(kind), label_names=names)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or str(kind) == "string_view":
        return ColumnInfo(TEXT, described, None)
    if _is_list(kind):
        return _describe_list(kind, described)
    if pa.types.is_temporal(kind):
        return ColumnInfo(OTHER, described, None, advice="make a number or a text of it first")
    return ColumnInfo(OTHER, described, None, advice=_IMAGES)


def _describe_list(kind: Any, described: str) -> ColumnInfo:
    import pyarrow as pa

    width: tuple[int, ...] | None = ()
    while _is_list(kind):
        fixed = width is not None and pa.types.is_fixed_size_list(kind)
        width = (*(width or ()), kind.list_size) if fixed else None
        kind = kind.value_type
    if _is_number(kind) and not pa.types.is_decimal(kind):
        whole = not _is_fraction(kind)
        return ColumnInfo(NUMBER, described, width, whole) if width else ColumnInfo(JSON, described, None, whole)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return ColumnInfo(JSON, described, None)
    return ColumnInfo(OTHER, described, None, advice=_IMAGES)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow as pa

    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _is_fraction(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _huggingface_features(metadata: Mapping[bytes, bytes]) -> Mapping[str, Any]:
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return features if isinstance(features, dict) else {}
    except (ValueError, KeyError, TypeError):
        return {}


def _label_names(feature: Any) -> Sequence[str]:
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
