"""Programs that import pfl.data, and can't be edited, get these classes."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType, TracebackType

from fedsynth.errors import UsageError

_DATA = "pfl.data"
_MODULES = ("dataset", "federated_dataset", "partition", "pytorch", "sampling", "user_state")


class Replacement:
    """The time during which `import pfl.data` gives fedsynth.federated; ends with `undo`, or with a `with` block."""

    def __init__(self) -> None:
        self._ended = False

    def undo(self) -> None:
        """Forget every module of pfl that was imported meanwhile, so that the next import takes pfl's own classes."""
        if not self._ended:
            self._ended = True
            for name in _imported():
                del sys.modules[name]

    def __enter__(self) -> Replacement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()


def replace_pfl() -> Replacement:
    """Make `import pfl.data` and its modules give fedsynth.federated's classes, to pfl-research's algorithms too.

    To be called before anything imports pfl; imports pfl itself. For the whole program, or, as a context manager, for
    what is imported in the block: code imported there keeps these classes. pfl.data.tensorflow can't be imported then.

    Returns:
        A context manager, whose `undo` ends the replacement too.

    Raises:
        UsageError: pfl is imported already.
        ImportError: pfl is not installed.

    Examples:
        >>> import fedsynth
        >>> with fedsynth.replace_pfl():  # doctest: +SKIP
        ...     import pfl.data.federated_dataset
    """
    if _imported():
        raise UsageError("pfl is imported already, expected it not to be; call replace_pfl() before that")
    if importlib.util.find_spec("pfl") is None:
        raise ImportError("pfl-research is not installed; run `pip install 'pfl==0.6.*'`")
    replacement = Replacement()
    try:
        package = _alias()
        importlib.import_module("pfl").data = package  # type: ignore[attr-defined]
    except BaseException:
        replacement.undo()
        raise
    return replacement


def _alias() -> ModuleType:
    """Register fedsynth.federated and its modules as pfl.data and its modules, and nothing further below them."""
    federated = importlib.import_module("fedsynth.federated")
    package = ModuleType(_DATA, federated.__doc__)
    package.__path__ = []
    package.__dict__.update({name: getattr(federated, name) for name in federated.__all__})
    sys.modules[_DATA] = package
    for name in _MODULES:
        module = importlib.import_module(f"fedsynth.federated.{name}")
        sys.modules[f"{_DATA}.{name}"] = module
        setattr(package, name, module)
    return package


def _imported() -> list[str]:
    return [name for name in sys.modules if name == "pfl" or name.startswith("pfl.")]
