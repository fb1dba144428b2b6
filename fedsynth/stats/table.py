"""The measures as a short table for people."""

from __future__ import annotations

from itertools import groupby

from fedsynth.stats.heterogeneity import Measures

_ROWS = {
    "quantity.min": "samples of the smallest user",
    "quantity.median": "of the median user",
    "quantity.max": "of the largest user",
    "quantity.gini": "inequality of sizes: 0 none, 1 one has all",
    "quantity.effective_users": "equally large users that weigh the same",
    "quantity.top10_share": "samples held by the largest tenth",
    "label.classes_per_user": "classes that a user has",
    "label.majority_share": "share of a user's largest class",
    "label.jensen_shannon": "how far labels tell users apart",
    "label.hellinger": "distance between two users' labels",
    "label.total_variation": "distance from all users' labels",
    "feature.between_share": "variance of features between users",
    "concept.disagreement": "two users' true models disagree",
    "concept.within": "in one cluster",
    "concept.between": "across clusters",
    "concept.oracle_accuracy": "accuracy of the users' true models",
    "clusters.sizes": "users in each cluster",
}
"""What LEAF's lines say already is not said again."""


def table_lines(measures: Measures) -> list[str]:
    """Return a line for each measure, what chance alone would give where that is known, and a line per reason."""
    lines = [f"{'heterogeneity':<25} {'value':>9} {'chance':>9}"]
    for key, meaning in _ROWS.items():
        if key in measures.values:
            chance = _number(measures.values.get(f"{key}_chance", ""))
            lines.append(f"{key:<25} {_number(measures.values[key]):>9} {chance:>9}  {meaning}")
    for reason, keys in groupby(measures.left_out, measures.left_out.__getitem__):
        names = ", ".join(key for key in keys if key in _ROWS)
        lines.append(f"left out, {reason}: {names}")
    return lines


def _number(value: object) -> str:
    """Write a number in few digits; of several the mean, or all in a row."""
    if isinstance(value, dict):
        return _number(value["mean"])
    if isinstance(value, list):
        return " ".join(map(str, value[:10])) + (" ..." if len(value) > 10 else "")
    if isinstance(value, float):
        return f"{value:,.1f}" if value >= 100 or (value >= 1 and value % 0.5 == 0) else f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
