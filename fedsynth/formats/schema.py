"""Which columns a table has, and of which types: Arrow's, chosen so that they hold every user of every file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from fedsynth.errors import EngineError, install_extra

USER, X, Y, CLUSTER, HIERARCHY = "user_id", "x", "y", "cluster", "hierarchy"

DTYPES = ("float32", "float64")


def import_arrow() -> ModuleType:
    """Return pyarrow. Raises EngineError where it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise EngineError(
            "pyarrow is not installed, which writes all formats but pfllib; "
            f"{install_extra('pyarrow >= 16.1', 'arrow')}"
        ) from error
    module: ModuleType = pyarrow
    return module


@dataclass(frozen=True)
class Schema:
    """The columns. x, y: their types in Arrow; dtype: what fractions in x become.

    whole_names: whether all users are called by whole numbers; class_names: what labels 0, 1, ... are called, None
    where labels are no classes; positions: of text labels, which are then written as numbers; cluster, hierarchy:
    whether these columns are there.
    """

    x: Any
    y: Any
    whole_names: bool
    dtype: str = "float64"
    class_names: Sequence[str] | None = None
    positions: Mapping[str, int] | None = None
    cluster: bool = False
    hierarchy: bool = False

    def wider(self, x: Any, y: Any) -> Schema:
        """Return the schema whose columns hold these types too."""
        return replace(self, x=join(self.x, x), y=join(self.y, y))

    def arrow(self, metadata: Mapping[bytes, bytes] | None = None) -> Any:
        """Return the schema in Arrow."""
        pa = import_arrow()
        fields = [(USER, pa.int64() if self.whole_names else pa.string()), (X, self.x), (Y, self.y)]
        fields += [(CLUSTER, pa.int64())] if self.cluster else []
        fields += [(HIERARCHY, pa.string())] if self.hierarchy else []
        return pa.schema([pa.field(name, kind) for name, kind in fields], metadata=metadata)


def are_whole(names: Sequence[str]) -> bool:
    """Whether names are all whole numbers of 64 bits as Python writes them: then nothing is lost in numbers."""
    for name in names:
        if not name.removeprefix("-").isdecimal() or len(name) > 20:
            return False
        number = int(name)
        if str(number) != name or not -(2**63) <= number < 2**63:
            return False
    return True


def join(one: Any, other: Any) -> Any:
    """Return the type that holds the values of both. Raises TypeError, in words, if none does."""
    pa = import_arrow()
    if one.equals(other) or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    numbers = [kind for kind in (one, other) if pa.types.is_integer(kind) or pa.types.is_floating(kind)]
    if len(numbers) == 2:
        return next(kind for kind in numbers if pa.types.is_floating(kind))
    if is_list(one) and is_list(other):
        value = join(one.value_type, other.value_type)
        if is_fixed(one) and is_fixed(other) and one.list_size == other.list_size:
            return pa.list_(value, one.list_size)
        return pa.list_(value)
    raise TypeError(f"{described(one)} beside {described(other)}")


def is_list(kind: Any) -> bool:
    """Whether a type is of lists, of one length or of any."""
    return bool(import_arrow().types.is_list(kind)) or is_fixed(kind)


def is_fixed(kind: Any) -> bool:
    """Whether a type is of lists of one length."""
    return bool(import_arrow().types.is_fixed_size_list(kind))


def described(kind: Any) -> str:
    """Return in words what a type holds."""
    types = import_arrow().types
    if is_list(kind):
        length = f" of {kind.list_size}" if is_fixed(kind) else ""
        return f"lists{length}"
    if types.is_integer(kind) or types.is_floating(kind):
        return "numbers"
    return "texts" if types.is_string(kind) else "objects"
