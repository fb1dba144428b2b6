"""The measures as tables for people: of one folder, or of several side by side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import groupby
from typing import Any

from fedsynth.stats.heterogeneity import Measures

MEANINGS = {
    "quantity.min": "samples of the smallest user",
    "quantity.median": "of the median user",
    "quantity.max": "of the largest user",
    "quantity.gini": "inequality: 0 none, 1 one has all",
    "quantity.effective_users": "effective number of users",
    "quantity.top10_share": "samples held by the largest tenth",
    "label.classes_per_user": "classes that a user has",
    "label.majority_share": "share of a user's largest class",
    "label.jensen_shannon": "how far labels tell users apart",
    "label.hellinger": "distance between two users' labels",
    "label.total_variation": "distance from all users' labels",
    "feature.between_share": "variance of features between users",
    "feature.domain_accuracy": "two users told apart by x alone",
    "gradient.dissimilarity.zero.G": "users' gradients from the mean, at 0",
    "gradient.dissimilarity.zero.B": "their length over the mean's, at 0",
    "gradient.dissimilarity.optimum.G": "at the pooled optimum",
    "concept.disagreement": "two users' true models disagree",
    "concept.within": "in one cluster",
    "concept.between": "across clusters",
    "concept.oracle_accuracy": "accuracy of the users' true models",
    "clusters.sizes": "users in each cluster",
}
"""What LEAF's lines say already is not said again."""

_GROUPS = ("users", "samples", "quantity", "label", "feature", "gradient", "concept")
_BY_CHANCE = {"feature.domain_accuracy": 0.5}


def table_lines(measures: Measures) -> list[str]:
    """Return a line for each measure, and a line for each reason why others are skipped.

    chance: what chance alone would give where that is known; for concepts, what models that have nothing to do with
    each other give, 1 - 1/C. adjusted: the value between chance, 0, and 1.
    """
    values = flat(measures.values)
    lines = [f"{'heterogeneity':<32} {'value':>9} {'chance':>7} {'adjusted':>8}"]
    for key, meaning in MEANINGS.items():
        if key in values:
            columns = [shown(key, values), shown(f"{key}_chance", values), shown(f"{key}_adjusted", values)]
            columns[1] = columns[1] or _reference(key, values)
            lines.append(f"{key:<32} {columns[0]:>9} {columns[1]:>7} {columns[2]:>8}  {meaning}")
    for reason, keys in groupby(measures.left_out, measures.left_out.__getitem__):
        names = ", ".join(key for key in keys if not key.endswith(("_chance", "_adjusted")))
        lines += [f"skipped, {reason}: {names}"] if names else []
    return lines


def side_by_side(columns: Mapping[str, Mapping[str, Any]], marked: Collection[str] = ()) -> list[str]:
    """Return a table with a line for each measure that any column has, and a column for each name.

    columns: measures by name, as `flat` gives them; marked: those that bear a star. Chance levels and errors are
    not shown; what is left of a measure beyond chance is `_adjusted`.
    """
    keys = {key for values in columns.values() for key in values if _is_row(key)}
    order = {key: number for values in columns.values() for number, key in enumerate(values)}
    rows = [["", *columns]]
    for key in sorted(keys, key=lambda key: (_GROUPS.index(key.split(".")[0]), order[key], key)):
        cells = [shown(key, values) for values in columns.values()]
        if any(cells):
            rows.append([f"{key}{' *' if key in marked else ''}", *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    ]


def _is_row(key: str) -> bool:
    shown_already = key.startswith("feature.between_share.")
    return key.split(".")[0] in _GROUPS and not shown_already and not key.endswith(("_chance", "_error", "_reference"))


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return measures with one number each: those in several parts under the parts' names, but for the usual mean."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found.update({f"{key}.{part}": one for part, one in flat(value).items()})
            if "mean" in value:
                found[key] = value["mean"]
        else:
            found[key] = value
    return found


def shown(key: str, values: Mapping[str, Any]) -> str:
    """Return a measure in the digits that hold, "" if there is none; several numbers in a row.

    Of what is estimated on a probe two digits hold, or three where the probe's error is below 0.0005.
    """
    value = values.get(key)
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value[:10])) + (" ..." if len(value) > 10 else "")
    if isinstance(value, int):
        return f"{value:,}"
    if key == "gradient.dissimilarity.optimum.G":
        return f"{value:.2g}"
    if key == "feature.domain_accuracy" or values.get(f"{key}_error", 0.0) >= 5e-4:
        return f"{value:.2f}"
    if key.startswith("quantity."):
        return f"{value:,.1f}" if value >= 10 or (value >= 1 and value % 0.5 == 0) else f"{value:.3f}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3f}"


def _reference(key: str, values: Mapping[str, Any]) -> str:
    if key in ("concept.disagreement", "concept.within", "concept.between"):
        return shown("concept.disagreement_reference", values)
    return shown(key, _BY_CHANCE)
