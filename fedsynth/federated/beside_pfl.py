"""What depends on whether pfl-research is imported. Nothing here imports it.

Where it is: its own count of workers, its device, its error for a user without a state, and its checks by
`isinstance`, which then take this package's classes for its own of the same name.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections.abc import Callable
from typing import Any, TypeVar

Class = TypeVar("Class", bound=type)

_waiting: list[tuple[str, type]] = []
"""pfl.data's modules and our classes that its classes of the same name do not know yet."""


def stands_for(module: str) -> Callable[[Class], Class]:
    """Return a decorator: the class is one of the same name in pfl.data's module, as soon as that is imported."""

    def decorate(cls: Class) -> Class:
        _waiting.append((f"pfl.data.{module}", cls))
        return cls

    return decorate


def introduce() -> None:
    """Register our classes with pfl's, where these are imported: its algorithms check for them."""
    if not _waiting or "pfl.data" not in sys.modules:
        return
    for module, cls in tuple(_waiting):
        theirs = getattr(sys.modules.get(module), cls.__name__, None)
        if theirs is None or theirs is cls:  # not imported yet, or replaced by our own
            continue
        if isinstance(theirs, ABCMeta):
            theirs.register(cls)
        _waiting.remove((module, cls))


def pfl_workers() -> Any | None:
    """Return pfl's own distributed context, None as long as it is not imported or has no framework chosen."""
    selector = sys.modules.get("pfl.internal.ops.selector")
    if selector is None:
        return None
    try:
        return selector.get_framework_module().distributed
    except (AssertionError, AttributeError):  # no framework yet; the module is being imported
        return None


def pfl_device() -> Any | None:
    """Return the torch device that pfl puts users on, None as long as its PyTorch part is not imported."""
    operations = sys.modules.get("pfl.internal.ops.pytorch_ops")
    return None if operations is None else operations.get_default_device()


def pfl_error(name: str) -> type[Exception] | None:
    """Return pfl's exception of this name, None as long as pfl is not imported."""
    found: type[Exception] | None = getattr(sys.modules.get("pfl.exception"), name, None)
    return found
