"""The measures as tables for people: of one folder, or of several side by side."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from fedsynth.stats.heterogeneity import Measures

MEANINGS = {
    "quantity.min": "samples of the smallest user",
    "quantity.median": "of the median user",
    "quantity.max": "of the largest user",
    "quantity.gini": "inequality: 0 none, 1 one has all",
    "quantity.effective_users": "equally large users of that weight",
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

_BY_CHANCE = {"feature.domain_accuracy": 0.5}


def table_lines(measures: Measures) -> list[str]:
    """Return a line for each measure, and a line for each reason why others are left out.

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
        lines += [f"left out, {reason}: {names}"] if names else []
    return lines


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
    halves = key.startswith("quantity.") and value >= 1 and value % 0.5 == 0
    return f"{value:,.1f}" if abs(value) >= 100 or halves else f"{value:.3f}"


def _reference(key: str, values: Mapping[str, Any]) -> str:
    if key in ("concept.disagreement", "concept.within", "concept.between"):
        return shown("concept.disagreement_reference", values)
    return shown(key, _BY_CHANCE)
