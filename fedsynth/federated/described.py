"""A folder's users in words and as a table: from heads, records, the truth and one user, never from all samples."""

from __future__ import annotations

import html
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fedsynth.errors import FedsynthError
from fedsynth.federated.slices import shape_of
from fedsynth.truth import NoTruth
from fedsynth.words import counted

if TYPE_CHECKING:
    from fedsynth.federated.leaf_dataset import LeafDataset

_UNKNOWN = "not known"


def describe(dataset: LeafDataset) -> str:
    """Return one line. Raises nothing: what can't be read is omitted."""
    said = _Said.of(dataset)
    parts = [counted(len(dataset), "user"), counted(sum(dataset.num_samples), "sample")]
    if said.x:
        parts += [f"x {said.x}", f"y {said.y}" + (f" of {said.classes} classes" if said.classes else "")]
    parts.append("ground truth" if said.truth == "known" else "no ground truth")
    return f"{dataset.path}: {', '.join(parts)}"


def as_table(dataset: LeafDataset) -> str:
    """Return a table in HTML, for notebooks. Raises nothing."""
    said = _Said.of(dataset)
    sizes = dataset.num_samples or [0]
    rows = {
        "folder": str(dataset.path),
        "users": f"{len(dataset):,}",
        "samples": f"{sum(sizes):,}",
        "samples of a user": f"{min(sizes):,} to {max(sizes):,}, median {statistics.median(sizes):,g}",
        "x": said.x or _UNKNOWN,
        "y": said.y or _UNKNOWN,
        "classes": said.classes or "not counted; fedsynth.measure does",
        "ground truth": said.truth,
    }
    lines = (f"<tr><th>{name}</th><td>{html.escape(value)}</td></tr>" for name, value in rows.items())
    return f"<table><caption>LeafDataset</caption>{''.join(lines)}</table>"


@dataclass(frozen=True)
class _Said:
    """x, y: shape and type of a sample; classes: how many; each "" if it is not known cheaply."""

    x: str
    y: str
    classes: str
    truth: str

    @classmethod
    def of(cls, dataset: LeafDataset) -> _Said:
        first = _tried(dataset.first_samples, None)
        x, y = ("", "") if first is None else map(shape_of, first)
        truth = _tried(dataset.find_truth, None)
        reason = truth.reason if isinstance(truth, NoTruth) else "known"
        classes = "" if dataset.num_classes is None else f"{dataset.num_classes:,}"
        return cls(x, y, classes, "not to be had: it or the data is damaged" if truth is None else reason)


def _tried(look: Callable[[], Any], default: Any) -> Any:
    try:
        return look()
    except (FedsynthError, OSError):
        return default
