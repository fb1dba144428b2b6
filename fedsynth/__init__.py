"""Synthetic federated datasets: LEAF's generator and preprocessing, byte for byte, and datasets to train on."""

from __future__ import annotations

__version__ = "0.1.0"

__all__ = ["__version__"]
