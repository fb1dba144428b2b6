"""Each measure: by hand, by law, and against SciPy and scikit-learn where they have it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.random import default_rng

from fedsynth.stats.concepts import disagreements
from fedsynth.stats.features import FeatureMoments, to_matrix
from fedsynth.stats.heterogeneity import Meter
from fedsynth.stats.labels import LabelCounter, LabelTable, distances, label_measures
from fedsynth.stats.quantity import effective_users, gini, quantity_measures, top_share

Labels = list[list[int]]

sizes_of_users = st.lists(st.integers(0, 10_000), min_size=1, max_size=30)
labels_of_users = st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=1, max_size=8).filter(any)
features_of_users = st.lists(
    st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=6), min_size=1, max_size=6
)


def table_of(users: list[list[Any]]) -> LabelTable:
    counter = LabelCounter()
    for number, labels in enumerate(users):
        counter.add(number, labels)
    assert not counter.reason
    return counter.table()


def moments(users: list[Any]) -> dict[str, Any]:
    features = FeatureMoments()
    for x in users:
        features.add(np.array(x, float))
    return features.measures()


# quantity


def test_users_of_one_size_are_equal() -> None:
    measures = quantity_measures([7, 7, 7, 7])
    assert measures["quantity.gini"] == measures["quantity.skewness"] == measures["quantity.cv"] == 0
    assert measures["quantity.effective_users"] == 4
    assert measures["quantity.top10_share"] == 0.25


def test_quantity_by_hand() -> None:
    measures = quantity_measures([1, 1, 1, 5])
    assert measures["quantity.mean"] == 2
    assert measures["quantity.std"] == pytest.approx(3**0.5)
    assert measures["quantity.cv"] == pytest.approx(3**0.5 / 2)
    assert (measures["quantity.min"], measures["quantity.median"], measures["quantity.max"]) == (1, 1.0, 5)
    assert measures["quantity.gini"] == pytest.approx(24 / (2 * 16 * 2))  # 6 ordered pairs differ, by 4 each
    assert measures["quantity.effective_users"] == pytest.approx(64 / 28)
    assert measures["quantity.top10_share"] == 5 / 8


def test_largest_tenth_is_rounded_down_to_at_least_one() -> None:
    assert top_share([1] * 19 + [21]) == 22 / 40
    assert top_share([1] * 18 + [22]) == 22 / 40


@given(sizes_of_users)
def test_quantity_measures_keep_their_bounds_and_forget_the_order(sizes: list[int]) -> None:
    measures = quantity_measures(sizes)
    shuffled = random.Random(1).sample(sizes, len(sizes))
    assert quantity_measures(shuffled) == pytest.approx(measures)
    assert 0 <= measures["quantity.gini"] < 1
    if any(sizes):
        assert 1 <= measures["quantity.effective_users"] <= len(sizes) + 1e-9
        assert measures["quantity.top10_share"] <= 1


@given(sizes_of_users)
def test_skewness_is_scipys(sizes: list[int]) -> None:
    expected = scipy.stats.skew(sizes) if len(set(sizes)) > 1 else 0.0
    assert quantity_measures(sizes)["quantity.skewness"] == pytest.approx(expected, abs=1e-9)


@given(sizes_of_users.filter(any))
def test_gini_is_the_mean_difference(sizes: list[int]) -> None:
    differences = np.abs(np.subtract.outer(sizes, sizes)).mean()
    assert gini(sizes) == pytest.approx(differences / (2 * np.mean(sizes)))
    assert effective_users(sizes) == pytest.approx(1 / np.sum((np.array(sizes) / sum(sizes)) ** 2))


# labels


def test_users_alike_are_no_distance_apart() -> None:
    assert distances(table_of([[0, 1, 1], [1, 0, 1], [1, 1, 0]])) == pytest.approx(
        {"label.jensen_shannon": 0, "label.hellinger": 0, "label.total_variation": 0}, abs=1e-7
    )


def test_users_with_a_class_of_their_own_are_as_far_apart_as_can_be() -> None:
    measures = label_measures(table_of([[0] * 3, [1] * 3, [2] * 3, [3] * 3]), default_rng(1))
    assert measures["label.jensen_shannon"] == pytest.approx(1)
    assert measures["label.hellinger"] == pytest.approx(1)
    assert measures["label.total_variation"] == pytest.approx(3 / 4)  # each user is a quarter of what all have
    assert measures["label.classes_per_user"] == measures["label.majority_share"] == 1


def test_label_measures_by_hand() -> None:
    measures = label_measures(table_of([[0, 0, 0, 1], [1, 1]]), default_rng(1))
    assert measures["label.classes_per_user"] == 1.5
    assert measures["label.majority_share"] == (3 / 4 + 1) / 2
    within = 4 / 6 * -(3 / 4 * np.log(3 / 4) + 1 / 4 * np.log(1 / 4))
    assert measures["label.jensen_shannon"] == pytest.approx((np.log(2) - within) / np.log(2))
    assert measures["label.hellinger"] == pytest.approx((0.5 * (3 / 4 + (1 - 0.5) ** 2)) ** 0.5)
    assert measures["label.total_variation"] == pytest.approx(4 / 6 * 1 / 4 + 2 / 6 * 1 / 2)


def test_one_class_or_one_user_is_no_distance() -> None:
    for users in ([[3, 3], [3]], [[0, 1, 2]]):
        assert set(distances(table_of(users)).values()) == {0.0}


@settings(max_examples=30, deadline=None)  # 400 shuffles each
@given(labels_of_users)
def test_label_measures_keep_their_bounds_and_forget_the_order(users: Labels) -> None:
    measures = label_measures(table_of(users), default_rng(1))
    for key, value in measures.items():
        assert not key.endswith("_adjusted") or value <= 1
        assert key == "label.classes_per_user" or key.endswith("_adjusted") or 0 <= value <= 1, key
    shuffled = random.Random(2).sample(users, len(users))
    assert label_measures(table_of(shuffled), default_rng(1)) == pytest.approx(measures, abs=1e-7)


@given(labels_of_users)
def test_jensen_shannon_is_the_mutual_information_of_sklearn(users: Labels) -> None:
    owners = [number for number, labels in enumerate(users) for _ in labels]
    labels = [label for user in users for label in user]
    entropy = scipy.stats.entropy(np.bincount(labels))
    expected = sklearn.metrics.mutual_info_score(owners, labels) / entropy if entropy > 0 else 0.0
    assert distances(table_of(users))["label.jensen_shannon"] == pytest.approx(expected, abs=1e-9)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_two_users_of_one_weight_are_at_scipys_distance(first: list[int], second: list[int]) -> None:
    """SciPy's is the root of the unnormalised divergence, for two distributions of equal weight."""
    users = [first * len(second), second * len(first)]
    shares = [np.bincount(user, minlength=4) / len(user) for user in users]
    entropy = scipy.stats.entropy(sum(shares) / 2)
    divergence = scipy.spatial.distance.jensenshannon(*shares) ** 2
    expected = divergence / entropy if entropy > 0 else 0.0
    assert distances(table_of(users))["label.jensen_shannon"] == pytest.approx(expected, abs=1e-7)


@given(labels_of_users)
def test_hellinger_and_total_variation_are_those_of_all_pairs(users: Labels) -> None:
    shares = [np.bincount(user, minlength=5) / len(user) for user in users if user]
    squares = [
        0.5 * np.sum((np.sqrt(one) - np.sqrt(other)) ** 2)
        for number, one in enumerate(shares)
        for other in shares[:number]
    ]
    found = distances(table_of(users))
    assert found["label.hellinger"] == pytest.approx(np.sqrt(np.mean(squares)) if squares else 0.0, abs=1e-6)
    pooled = np.bincount([label for user in users for label in user], minlength=5)
    pooled = pooled / pooled.sum()
    weights = [len(user) / sum(map(len, users)) for user in users if user]
    apart = [weight * np.abs(own - pooled).sum() / 2 for weight, own in zip(weights, shares, strict=True)]
    assert found["label.total_variation"] == pytest.approx(sum(apart), abs=1e-12)


@pytest.mark.parametrize(
    ("labels", "names"),
    [([3, 1, 3], [1, 3]), (["b", "a"], ["a", "b"]), ([True, False], [False, True]), ([2.0, 1.0], [1.0, 2.0])],
)
def test_what_can_be_a_class(labels: list[Any], names: list[Any]) -> None:
    assert table_of([labels]).names == names


def test_labels_of_any_length_are_classes() -> None:
    """Thousands of digits, which Python does not print, and texts that are no valid UTF-8."""
    long, text = 10**5_000, "x" * 100_000
    table = table_of([[long, text, long + 1], ["\ud800", long]])
    assert table.names == [long, long + 1, "x" * 100_000, "\ud800"]
    assert table.totals.tolist() == [2, 1, 1, 1]


@pytest.mark.parametrize("labels", [[0.5], [[1]], [{"a": 1}], [None]])
def test_what_is_no_class(labels: list[Any]) -> None:
    counter = LabelCounter()
    counter.add(0, [1, 2])
    counter.add(1, labels)
    counter.add(2, [1])
    assert "no classes" in counter.reason


# features


def test_features_by_hand() -> None:
    share = moments([[[0, 5], [2, 5]], [[4, 5], [6, 5]]])["feature.between_share"]
    assert share == {"mean": pytest.approx((4 / 5 + 0) / 2), "max": pytest.approx(4 / 5)}


def test_users_alike_and_users_of_one_point() -> None:
    assert moments([[[1], [3]], [[3], [1]]])["feature.between_share"]["max"] == 0
    assert moments([[[1], [1]], [[3]]])["feature.between_share"]["mean"] == 1


@given(features_of_users)
def test_between_share_keeps_its_bounds_and_forgets_the_order(users: list[Any]) -> None:
    share = moments(users)["feature.between_share"]
    assert 0 <= share["mean"] <= share["max"] <= 1 + 1e-12
    again = moments(random.Random(5).sample(users, len(users)))["feature.between_share"]
    assert again == {key: pytest.approx(value, abs=1e-6) for key, value in share.items()}


@given(features_of_users)
def test_between_share_is_that_of_two_passes(users: list[Any]) -> None:
    everything = np.concatenate([np.array(user, float) for user in users])
    total = ((everything - everything.mean(axis=0)) ** 2).sum(axis=0)
    between = sum(len(user) * (np.mean(user, axis=0) - everything.mean(axis=0)) ** 2 for user in users)
    if (total > 1e-6).all():
        assert moments(users)["feature.between_share"]["mean"] == pytest.approx(np.mean(between / total), abs=1e-6)


def test_between_share_is_the_one_of_an_analysis_of_variance() -> None:
    """F = (between / (K - 1)) / (within / (n - K))."""
    rng = default_rng(6)
    users = [rng.normal(mean, 1, (20, 1)) for mean in range(4)]
    share = moments(users)["feature.between_share"]["mean"]
    expected = scipy.stats.f_oneway(*(user[:, 0] for user in users)).statistic
    assert share / 3 / ((1 - share) / 76) == pytest.approx(expected)


def test_a_large_common_offset_does_not_drown_the_variance() -> None:
    offset = 1e9
    share = moments([[[offset], [offset + 2]], [[offset + 4], [offset + 6]]])["feature.between_share"]
    assert share["mean"] == pytest.approx(4 / 5)


def test_features_that_overflow_are_left_out() -> None:
    features = FeatureMoments()
    for x in ([[1e300]], [[-1e300]]):
        features.add(np.array(x))
    assert features.measures() == {}
    assert "too large" in features.reason


@pytest.mark.parametrize(
    ("x", "shape"),
    [
        ([[1.0, 2], [3, 4]], (2, 2)),
        ([[1, 2.5], [3, 4]], (2, 2)),
        ([1, 2, 3], (3, 1)),
        ([0.5], (1, 1)),
        ([[[1, 2], [3, 4]]], (1, 4)),
        ([True, False], (2, 1)),
    ],
)
def test_numbers_of_one_shape_are_features(x: list[Any], shape: tuple[int, int]) -> None:
    matrix = to_matrix(x)
    assert matrix is not None
    assert matrix.shape == shape
    assert matrix.ravel().tolist() == np.array(x, float).ravel().tolist()


@pytest.mark.parametrize(
    "x", [["a"], [[1.0], [1.0, 2.0]], [[1.0], 2.0], [[1.0, "a"]], [None], [{}], [[1.0, None]], [[]], [10**400]]
)
def test_anything_else_is_not(x: list[Any]) -> None:
    assert to_matrix(x) is None


# concepts


def test_models_alike_never_disagree() -> None:
    values, left_out = disagreements(np.zeros((4, 10), int), np.array([0, 0, 1, 1]))
    keys = ("concept.disagreement", "concept.within", "concept.between")
    assert values == dict.fromkeys([*keys, *(f"{key}_error" for key in keys)], 0)
    assert left_out == {}


def test_disagreement_by_hand() -> None:
    classes = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [2, 2, 2, 2]])
    values, _ = disagreements(classes, np.array([0, 0, 1]))
    assert values["concept.within"] == pytest.approx(1 / 4)
    assert values["concept.between"] == pytest.approx(1)
    assert values["concept.disagreement"] == pytest.approx((1 / 4 + 1 + 1) / 3)


def test_what_has_no_pairs_is_left_out() -> None:
    one_user = disagreements(np.zeros((1, 3), int), np.array([0]))
    assert one_user[0] == {}
    assert set(one_user[1].values()) == {"there are no two users to compare"}
    assert set(disagreements(np.zeros((2, 3), int), np.array([0, 0]))[1]) == {"concept.between"}
    assert set(disagreements(np.zeros((2, 3), int), np.array([0, 1]))[1]) == {"concept.within"}
    assert set(disagreements(np.zeros((2, 3), int), None)[1]) == {"concept.within", "concept.between"}


@given(st.integers(2, 7), st.integers(1, 9), st.integers(0, 10_000))
def test_disagreement_is_the_mean_over_pairs(users: int, samples: int, seed: int) -> None:
    rng = default_rng(seed)
    classes, clusters = rng.integers(0, 3, (users, samples)), rng.integers(0, 2, users)
    pairs = [(one, other) for one in range(users) for other in range(one)]
    differ = {pair: float(np.mean(classes[pair[0]] != classes[pair[1]])) for pair in pairs}
    inside = [differ[pair] for pair in pairs if clusters[pair[0]] == clusters[pair[1]]]
    across = [differ[pair] for pair in pairs if clusters[pair[0]] != clusters[pair[1]]]
    values, left_out = disagreements(classes, clusters)
    assert values["concept.disagreement"] == pytest.approx(np.mean(list(differ.values())), abs=1e-12)
    for key, expected in (("concept.within", inside), ("concept.between", across)):
        assert (key in left_out) == (not expected)
        if expected:
            assert values[key] == pytest.approx(np.mean(expected), abs=1e-12)
            assert 0 <= values[key] <= 1
    order = rng.permutation(users)
    assert disagreements(classes[order], clusters[order])[0] == pytest.approx(values)


# all together


def test_what_does_not_apply_says_why() -> None:
    meter = Meter([2, 1], None, no_truth="there is none")
    meter.add(0, ["a b", "c"], [[1], [2]])
    meter.add(1, ["d"], [[3]])
    measures = meter.measures()
    assert measures.left_out["label.hellinger"] == "labels are lists or objects, no classes"
    assert measures.left_out["feature.between_share"] == "features are not numbers of one shape"
    assert measures.left_out["concept.within"] == "there is none"
    assert not {"label.hellinger", "feature.between_share", "clusters.sizes"} & measures.values.keys()
    assert measures.values["quantity.mean"] == 1.5
    assert not meter.wants_x


def test_users_without_any_sample_are_no_reason_to_fail() -> None:
    meter = Meter([0, 0], None, no_truth="there is none")
    meter.add(0, [], [])
    meter.add(1, [], [])
    assert meter.measures().left_out["label.hellinger"] == "there are no samples"


def test_part_of_a_measure_may_be_left_out() -> None:
    meter = Meter([2, 2], None, no_truth="there is none")
    for user in range(2):
        meter.add(user, [[1.0, user], [2.0, 0.5]], [0, 1])
    measures = meter.measures()
    assert set(measures.values["gradient.dissimilarity"]) == {"zero"}
    assert measures.left_out["gradient.dissimilarity.optimum"] == "no user has three samples"
    assert "gradient.dissimilarity" not in measures.left_out
