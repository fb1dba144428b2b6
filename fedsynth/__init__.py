"""Synthetic federated datasets: LEAF's generator and preprocessing, byte for byte, and datasets to train on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedsynth.pipeline.stats import measure

__version__ = "0.1.0"

__all__ = ["__version__", "measure"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is first asked for: `import fedsynth` stays light."""
    if name == "measure":
        from fedsynth.pipeline.stats import measure

        return measure
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
