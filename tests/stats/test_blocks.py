"""Users measured many at once give what they give one by one, but for the last digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray

from fedsynth.errors import DataError
from fedsynth.stats.blocks import make_block
from fedsynth.stats.heterogeneity import Measures, Meter
from fedsynth.truth import Truth

Users = tuple[list[int], NDArray[np.float64], NDArray[np.int64]]


def users_of(seed: int, count: int, dims: int, classes: int, largest: int, scale: float = 1.0) -> Users:
    rng = default_rng(seed)
    sizes = rng.integers(0, largest + 1, count)
    offsets = np.repeat(rng.normal(size=(count, dims)), sizes, axis=0)
    x = scale * (offsets + rng.normal(size=(int(sizes.sum()), dims)))
    return sizes.tolist(), x, rng.integers(0, classes, len(x))


def truth_of(sizes: list[int], dims: int, classes: int, *, own: bool) -> Truth:
    rng, count = default_rng(1), len(sizes)
    models = rng.normal(size=(count, dims + 1, classes)) if own else None
    return Truth(
        path=Path("truth.npz"),
        user_ids=[str(user) for user in range(count)],
        num_samples=sizes,
        parameters={"prob_clusters": [0.5, 0.5]},
        cluster=rng.integers(0, 2, count),
        basis=None if own else rng.normal(size=(dims + 1, classes, 2)),
        model_info=None if own else rng.normal(size=(count, 2)),
        models=models,
    )


def measured(users: Users, truth: Truth | None, *, cuts: int, parts: int) -> Measures:
    """Through meters of parts of the users; in a number of blocks each, or one by one."""
    sizes, x, y = users
    meter = Meter(sizes, truth, no_truth="there is none")
    bounds = np.cumsum([0, *sizes])
    for part in np.array_split(np.arange(len(sizes)), parts):
        tally = meter.part(range(part[0], part[-1] + 1))
        for some in np.array_split(part, cuts or len(part)):
            if not len(some):
                continue
            rows = slice(bounds[some[0]], bounds[some[-1] + 1])
            if cuts:
                tally.add_block(range(some[0], some[-1] + 1), np.array(sizes)[some], x[rows], y[rows])
            else:
                tally.add(int(some[0]), x[rows].tolist(), y[rows].tolist())
        meter.merge(tally)
    return meter.measures()


def check_alike(one: Any, other: Any) -> None:
    """Check that measures agree in all but rounding."""
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            check_alike(one[key], other[key])
    elif isinstance(other, str):
        assert one == other
    else:
        assert one == pytest.approx(other, rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("cuts", "parts"), [(1, 1), (20, 1), (2, 4)])
@pytest.mark.parametrize("shape", [(1, 1, 40), (5, 5, 12), (3, 40, 3), (20, 2, 60)])
def test_blocks_are_measured_as_users_one_by_one(shape: tuple[int, int, int], cuts: int, parts: int, own: bool) -> None:
    dims, classes, largest = shape
    users = users_of(dims, 120, dims, classes, largest)
    truth = truth_of(users[0], dims, classes, own=own)
    expected = measured(users, truth, cuts=0, parts=1)
    found = measured(users, truth, cuts=cuts, parts=parts)
    check_alike(found.as_json(), expected.as_json())
    assert found.labels is not None
    assert expected.labels is not None
    assert found.labels.names == expected.labels.names
    assert np.array_equal(found.labels.rows(range(120)), expected.labels.rows(range(120)))
    assert found.num_features == dims


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_features_of_any_size_are_measured_alike_or_not_at_all(scale: float) -> None:
    users = users_of(2, 50, 3, 4, 9, scale)
    check_alike(measured(users, None, cuts=4, parts=1).as_json(), measured(users, None, cuts=0, parts=1).as_json())


def test_more_features_than_before_are_the_reason_why_they_are_not_compared() -> None:
    sizes, meter = [2, 1, 2], Meter([2, 1, 2], None, no_truth="there is none")
    meter.merge(meter.part(range(0)))
    tally = meter.part(range(3))
    tally.add_block(range(2), np.array(sizes[:2]), np.ones((3, 2)), np.array([0, 1, 1]))
    tally.add_block(range(2, 3), np.array(sizes[2:]), np.ones((2, 3)), np.array([0, 0]))
    meter.merge(tally)
    assert not tally.wants_x
    assert "different numbers of features" in meter.measures().left_out["feature.between_share"]


def test_blocks_and_single_users_may_be_mixed() -> None:
    sizes, x, y = users = users_of(3, 90, 4, 6, 8)
    meter, bounds = Meter(sizes, None, no_truth="there is none"), np.cumsum([0, *sizes])
    tally = meter.part(range(90))
    tally.add_block(range(40), np.array(sizes[:40]), x[: bounds[40]], y[: bounds[40]])
    for user in range(40, 90):
        rows = slice(bounds[user], bounds[user + 1])
        tally.add(user, x[rows].tolist(), y[rows].tolist())
    meter.merge(tally)
    check_alike(meter.measures().as_json(), measured(users, None, cuts=0, parts=1).as_json())


@pytest.mark.parametrize(("label", "dims", "found"), [(5, 3, "labels that are not 0 to 4"), (0, 2, "2 features where")])
def test_samples_of_other_models_name_the_first_user_who_has_them(label: int, dims: int, found: str) -> None:
    sizes = [2] * 30
    meter = Meter(sizes, truth_of(sizes, 3, 5, own=False), no_truth="")
    y = np.zeros(60, np.int64)
    y[41] = label
    with pytest.raises(DataError, match=f'user "{20 if label else 0}" has {found}'):
        meter.part(range(30)).add_block(range(30), np.array(sizes), np.ones((60, dims)), y)


def test_slices_of_a_block_are_bounded_and_hold_all_users() -> None:
    sizes = default_rng(0).integers(0, 30, 200)
    block = make_block(range(7, 207), sizes, np.ones((int(sizes.sum()), 1)), np.zeros(int(sizes.sum()), np.int64))
    found = list(block.slices(10, 3, 100))
    assert [user for part in found for user in part] == list(range(int((sizes > 0).sum())))
    for part in found:
        numbers = int((block.sizes[part.start : part.stop] * 3 + 10).sum())
        assert len(part) == 1 or numbers <= 100
