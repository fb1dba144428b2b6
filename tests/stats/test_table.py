"""Only digits that hold are shown, and what several folders have stands side by side."""

from __future__ import annotations

from typing import Any

import pytest

from fedsynth.stats.heterogeneity import Measures
from fedsynth.stats.table import flat, shown, side_by_side, table_lines


@pytest.mark.parametrize(
    ("key", "values", "text"),
    [
        ("quantity.min", {"quantity.min": 12_345}, "12,345"),
        ("quantity.median", {"quantity.median": 25.5}, "25.5"),
        ("quantity.mean", {"quantity.mean": 107.553}, "107.6"),
        ("quantity.gini", {"quantity.gini": 0.73318}, "0.733"),
        ("concept.oracle_accuracy", {"concept.oracle_accuracy": 1.0}, "1.000"),
        ("feature.domain_accuracy", {"feature.domain_accuracy": 0.98765}, "0.99"),
        ("gradient.dissimilarity.optimum.G", {"gradient.dissimilarity.optimum.G": 1.2345}, "1.2"),
        ("concept.within", {"concept.within": 0.0616, "concept.within_error": 0.003}, "0.06"),
        ("concept.within", {"concept.within": 0.0, "concept.within_error": 0.0}, "0.000"),
        ("clusters.sizes", {"clusters.sizes": [3, 4]}, "3 4"),
        ("label.hellinger", {}, ""),
    ],
)
def test_digits_that_hold(key: str, values: dict[str, Any], text: str) -> None:
    assert shown(key, values) == text


def test_measures_in_parts_are_flat() -> None:
    values = {"a": {"mean": 1.0, "max": 2.0}, "b": {"zero": {"G": 3.0}}, "c": 4}
    assert flat(values) == {"a": 1.0, "a.mean": 1.0, "a.max": 2.0, "b.zero.G": 3.0, "c": 4}


def test_the_reference_stands_beside_disagreement_and_reasons_below() -> None:
    values = {"concept.disagreement": 0.5, "concept.disagreement_reference": 0.8, "feature.domain_accuracy": 0.9}
    left_out = {"label.hellinger": "no classes", "label.hellinger_chance": "no classes"}
    lines = table_lines(Measures(values, left_out, None, None))
    rows = {line.split()[0]: line.split()[1:3] for line in lines}
    assert rows["concept.disagreement"] == ["0.500", "0.800"]
    assert rows["feature.domain_accuracy"] == ["0.90", "0.50"]
    assert lines[-1] == "skipped, no classes: label.hellinger"


def test_columns_are_as_wide_as_they_must_be() -> None:
    columns = {"a folder": {"users": 3, "label.hellinger": 0.25}, "b": {"users": 4, "concept.within": 0.5}}
    lines = side_by_side(columns, marked={"label.hellinger"})
    assert [line.split() for line in lines] == [
        ["a", "folder", "b"],
        ["users", "3", "4"],
        ["label.hellinger", "*", "0.250"],
        ["concept.within", "0.500"],
    ]
    assert len({len(line) for line in lines}) == 1
