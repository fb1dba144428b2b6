"""What Hugging Face's library calls features: the types of columns, in the schema's metadata and in the card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fedsynth.formats.schema import Y, is_fixed, is_list

_NAMES = {"double": "float64", "float": "float32"}


def schema_metadata(schema: Any, class_names: Sequence[str] | None, made: Mapping[str, Any]) -> dict[bytes, bytes]:
    """Return a table's metadata. made: of what, and how, as JSON values."""
    features = {field.name: _feature(field.type) for field in schema}
    if class_names is not None:
        features[Y] = {"names": list(class_names), "_type": "ClassLabel"}
    return {
        b"huggingface": json.dumps({"info": {"features": features}}).encode(),
        b"fedsynth": json.dumps(made, sort_keys=True).encode(),
    }


def card_features(schema: Any, class_names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the features as the card's YAML has them."""
    found: list[dict[str, Any]] = []
    for field in schema:
        if field.name == Y and class_names is not None:
            names = {str(number): name for number, name in enumerate(class_names)}
            found.append({"name": Y, "dtype": {"class_label": {"names": names}}})
        else:
            found.append({"name": field.name, **_in_card(field.type)})
    return found


def type_name(kind: Any) -> str:
    """Return what Hugging Face calls a type of single values."""
    return _NAMES.get(str(kind), str(kind))


def _feature(kind: Any) -> dict[str, Any]:
    if not is_list(kind):
        return {"dtype": type_name(kind), "_type": "Value"}
    length = {"length": kind.list_size} if is_fixed(kind) else {}
    return {"feature": _feature(kind.value_type), **length, "_type": "Sequence"}


def _in_card(kind: Any) -> dict[str, Any]:
    if not is_list(kind):
        return {"dtype": type_name(kind)}
    inner = _in_card(kind.value_type)
    length = {"length": kind.list_size} if is_fixed(kind) else {}
    return {"sequence": inner["dtype"] if set(inner) == {"dtype"} else inner, **length}
