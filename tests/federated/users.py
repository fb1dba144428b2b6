"""Users as PyTorch datasets, at module level so that DataLoader's processes can import them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from fedsynth.federated import LeafDataset


class TensorUsers(torch.utils.data.Dataset[Any]):
    """user u has u % 5 + 1 samples, in tensors of three dtypes."""

    def __getitem__(self, user: int) -> tuple[Any, ...]:
        size = user % 5 + 1
        return (
            torch.full((size, 2), user, dtype=torch.float32),
            torch.arange(size) + user,
            torch.full((size,), user % 2 == 0),
        )


class DictUsers(torch.utils.data.Dataset[Any]):
    """The same in a dict, one of them a NumPy array."""

    def __getitem__(self, user: int) -> dict[str, Any]:
        return {"x": torch.full((user + 1, 2), float(user)), "y": np.arange(user + 1)}


class BareUsers(torch.utils.data.Dataset[Any]):
    """A tensor alone."""

    def __getitem__(self, user: int) -> Any:
        return torch.arange(user + 1)


class FailingUsers(torch.utils.data.Dataset[Any]):
    """User 2 can't be loaded."""

    def __getitem__(self, user: int) -> Any:
        if user == 2:
            raise LookupError("user 2 is ill")
        return torch.arange(user + 1)


class Samples(torch.utils.data.Dataset[Any]):
    """Seven samples of one user."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, sample: int) -> tuple[Any, Any]:
        return torch.tensor([sample, sample]), torch.tensor(sample)


class Converted(torch.utils.data.Dataset[Any]):
    """The users of a LeafDataset, for DataLoader's processes."""

    def __init__(self, dataset: LeafDataset) -> None:
        self._dataset = dataset

    def __getitem__(self, user: str) -> Any:
        return self._dataset[user].raw_data


class NamedUsers(torch.utils.data.Dataset[Any]):
    """A dict that says who the user is, as the collators of pfl-research's language models return it."""

    def __getitem__(self, user: int) -> dict[str, Any]:
        return {"x": torch.arange(user + 1), "y": torch.full((user + 1, 1), float(user)), "user_id": f"name-{user}"}
