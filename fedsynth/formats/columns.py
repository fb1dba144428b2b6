"""The samples of a user as columns of Arrow's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.formats.numbers import as_type, rows_at_a_time, to_numbers
from fedsynth.formats.schema import Schema, import_arrow, is_list, join
from fedsynth.formats.survey import Survey


class WiderError(Exception):
    """A column's type does not hold what a user has. x, y: types that are needed as well."""

    def __init__(self, x: Any, y: Any) -> None:
        super().__init__(x, y)
        self.x, self.y = x, y


class LabelError(TypeError):
    """The labels are what no column holds."""


@dataclass(frozen=True)
class UserRows:
    """A user and what else is known of them."""

    user: str
    x: Sequence[Any]
    y: Sequence[Any]
    cluster: int | None = None
    hierarchy: str | None = None


def user_batches(rows: UserRows, schema: Schema, arrow_schema: Any) -> Iterator[Any]:
    """Yield a user's samples as record batches of at most 2,048 rows and some megabytes; holds one of them.

    Raises WiderError for samples that the schema does not hold, TypeError, in words, for what no column holds,
    LabelError if that is labels, and ValueError for numbers that the type asked for can't hold.
    """
    pa = import_arrow()
    step = rows_at_a_time(rows.x[0])
    for start in range(0, len(rows.y), step):
        x = _fit_dtype(to_arrow(rows.x[start : start + step]), schema.dtype)
        labels = rows.y[start : start + step]
        if schema.positions is not None:
            labels = [schema.positions[label] for label in labels]
        y = _labels_to_arrow(labels, schema)
        if join(schema.x, x.type) != schema.x or join(schema.y, y.type) != schema.y:
            raise WiderError(x.type, y.type)
        count = len(labels)
        user = int(rows.user) if schema.whole_names else rows.user
        columns = [_repeated(user, arrow_schema.field(0).type, count), _cast(x, schema.x), _cast(y, schema.y)]
        columns += [_repeated(rows.cluster, pa.int64(), count)] if schema.cluster else []
        columns += [_repeated(rows.hierarchy, pa.string(), count)] if schema.hierarchy else []
        yield pa.record_batch(columns, schema=arrow_schema)


def first_types(survey: Survey, schema: Schema) -> tuple[Any, Any]:
    """Return the types of x and y that a file's first samples have; of nothing where no column holds them."""
    x, y = survey.first
    labels = y if schema.positions is None else [schema.positions[label] for label in y]
    nothing = import_arrow().null()
    if not y:
        return nothing, nothing
    try:
        return _fit_dtype(to_arrow(x), schema.dtype).type, to_arrow(labels).type
    except (TypeError, ValueError):  # said, with the user's name, when they are written
        return nothing, nothing


def to_arrow(values: Sequence[Any]) -> Any:
    """Return samples as an array: numbers of one shape in lists of one length, others as they are.

    Raises TypeError, in words, for a mixture that no column holds, and for objects.
    """
    pa = import_arrow()
    numbers = to_numbers(values)
    if numbers is not None:
        return _nested(numbers)
    try:
        found = pa.array(values)
    except UnicodeEncodeError as error:
        raise TypeError("texts that are no UTF-8") from error
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise TypeError("values of several kinds") from error
    leaf = found.type
    while is_list(leaf):
        leaf = leaf.value_type
    if pa.types.is_boolean(leaf):  # of lists of several lengths; elsewhere they are 1 and 0
        return _cast(found, _with_leaf(found.type, pa.int64()))
    if not (pa.types.is_null(leaf) or pa.types.is_string(leaf) or leaf in (pa.int64(), pa.float64())):
        raise TypeError("objects" if pa.types.is_struct(leaf) else f"values of type {leaf}")
    return found


def _labels_to_arrow(labels: Sequence[Any], schema: Schema) -> Any:
    try:
        found = to_arrow(labels)
        _require_exact(found, labels)
        join(schema.y, found.type)
    except TypeError as error:
        raise LabelError(f"labels that are {error}") from error
    return found


def _require_exact(found: Any, labels: Sequence[Any]) -> None:
    """Raise TypeError if whole numbers were rounded."""
    if import_arrow().types.is_floating(found.type):
        for label in labels:
            if type(label) is int and int(float(label)) != label:
                raise TypeError("whole numbers beyond 64 bits, or beside fractions that are less exact")


def _nested(numbers: NDArray[Any]) -> Any:
    pa = import_arrow()
    found = pa.array(numbers.reshape(-1))
    for size in reversed(numbers.shape[1:]):
        found = pa.FixedSizeListArray.from_arrays(found, size)
    return found


def _fit_dtype(found: Any, dtype: str) -> Any:
    """Return an array whose fractions are of this type."""
    pa = import_arrow()
    wanted = pa.from_numpy_dtype(np.dtype(dtype))
    leaf = found
    while is_list(leaf.type):
        leaf = leaf.flatten()
    if leaf.type == wanted or not pa.types.is_floating(leaf.type):
        return found
    as_type(leaf.to_numpy(zero_copy_only=False), dtype)
    return _cast(found, _with_leaf(found.type, wanted))


def _with_leaf(kind: Any, leaf: Any) -> Any:
    pa = import_arrow()
    if not is_list(kind):
        return leaf
    size = kind.list_size if pa.types.is_fixed_size_list(kind) else -1
    return pa.list_(_with_leaf(kind.value_type, leaf), size)


def _cast(found: Any, kind: Any) -> Any:
    try:
        return found if found.type == kind else found.cast(kind)
    except import_arrow().ArrowInvalid as error:
        raise TypeError("whole numbers that are less exact beside fractions") from error


def _repeated(value: Any, kind: Any, count: int) -> Any:
    pa = import_arrow()
    try:
        return pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)
    except UnicodeEncodeError as error:
        raise TypeError("a name that is no UTF-8") from error
