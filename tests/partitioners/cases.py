"""Random wishes that can be granted, for every scheme."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from fedsynth.partitioners.column import Column, to_column
from fedsynth.partitioners.request import Request

SCHEMES = ("iid", "quantity", "dirichlet", "inner-dirichlet", "classes", "shards")
ALPHAS = st.sampled_from([1e-12, 1e-3, 0.1, 0.5, 1.0, 10.0, 1e6, float("inf")])


@st.composite
def columns(draw: st.DrawFn, least: int = 1) -> Column:
    """Samples of 1 to 8 classes, each of `least` samples or more, in any order."""
    totals = draw(st.lists(st.integers(least, 60), min_size=1, max_size=8))
    labels = np.repeat(np.arange(len(totals)), totals)
    return to_column(np.random.RandomState(draw(st.integers(0, 999))).permutation(labels))


@st.composite
def wishes(draw: st.DrawFn, scheme: str) -> tuple[Column, Request]:
    """A column and a request that it can grant."""
    by = draw(columns(least=2))
    num_samples, num_classes = len(by.codes), len(by.values)
    own: dict[str, Any] = {}
    users = draw(st.integers(1, num_samples))
    if scheme == "quantity":
        own["sigma"] = draw(st.sampled_from([0.0, 0.5, 2.0, 100.0]))
    if "dirichlet" in scheme:
        own["alpha"] = draw(ALPHAS)
    if scheme == "shards":
        own["shards"] = draw(st.integers(1, num_samples // users))
    if scheme == "classes":
        each = draw(st.integers(1, num_classes))
        most = int(by.totals.min()) * num_classes // each
        own["classes"] = each
        users = draw(st.integers(-(-num_classes // each), max(most, -(-num_classes // each))))
        least = 1
    else:
        least = draw(st.integers(1, num_samples // users))
    seed = draw(st.integers(0, 2**64 - 1))
    return by, Request(scheme=scheme, users=users, min_samples=least, seed=seed, **own)
