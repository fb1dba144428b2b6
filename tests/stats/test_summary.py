"""LEAF's statistics, checked against NumPy and by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.stats.summary import summarize


@settings(derandomize=True)
@given(st.lists(st.integers(0, 2000), min_size=1, max_size=60))
def test_numbers_are_numpys(counts: list[int]) -> None:
    summary, values = summarize(counts), np.array(counts)
    assert np.isclose(summary.mean, values.mean())
    assert np.isclose(summary.std, values.std())
    assert summary.bins == np.histogram(values, range(0, 201, 20))[0].tolist()
    assert sum(summary.bins) + summary.beyond == len(counts) == summary.users
    if len(set(counts)) > 1:
        assert np.isclose(summary.skewness, ((values - values.mean()) ** 3).mean() / values.std() ** 3)


def test_equal_users_have_no_skewness() -> None:
    summary = summarize([7, 7, 7])
    assert (summary.std, summary.skewness, summary.std_over_mean) == (0, 0, 0)


def test_users_without_samples() -> None:
    assert summarize([0, 0]).std_over_mean == 0


def test_last_bin_has_both_edges_and_what_lies_beyond_is_counted() -> None:
    summary = summarize([0, 19, 20, 199, 200, 201, 1000])
    assert summary.bins == [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]
    assert summary.beyond == 2


def test_lines_are_leafs() -> None:
    assert summarize([10, 30]).lines("synthetic")[:12] == [
        "####################################",
        "DATASET: synthetic",
        "2 users",
        "40 samples (total)",
        "20.00 samples per user (mean)",
        "num_samples (std): 10.00",
        "num_samples (std/mean): 0.50",
        "num_samples (skewness): 0.00",
        "",
        "num_sam\tnum_users",
        "0 \t 1",
        "20 \t 1",
    ]
