"""PyTorch itself. Nothing else in fedsynth imports torch, and nothing here does before it is needed."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.beside_pfl import pfl_device


def import_torch() -> Any:
    """Return the module torch. Raises ImportError that says how to install it."""
    try:
        import torch
    except ImportError as error:
        raise ImportError('PyTorch is not installed; run `pip install "torch >= 2.2"`') from error
    return torch


def check_device(device: Any) -> None:
    """Raise UsageError unless torch knows a device of this name, or it is None."""
    torch = import_torch()
    try:
        if device is not None:
            torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"device is {device!r}, expected one that torch has, such as 'cpu' or 'cuda:0'") from error


def to_tensor(array: NDArray[Any], device: Any | None) -> Any:
    """Return a copy on the device; None: on pfl-research's default where that is imported, else on the CPU."""
    return import_torch().tensor(array, device=pfl_device() if device is None else device)


def on_pfls_device(value: Any) -> Any:
    """Return a tensor on pfl-research's default device, where that is imported; all else as it is."""
    device = pfl_device()
    return value if device is None or not isinstance(value, import_torch().Tensor) else value.to(device)
