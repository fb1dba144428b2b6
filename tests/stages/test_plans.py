"""Plans: what goes where, from counts alone."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.leaf.plan import Counts, FilePlan, Masked, Ordered, Pooled, Whole
from fedsynth.stages.remove_users import remove_users
from fedsynth.stages.sample import sample_iid, sample_niid
from fedsynth.stages.split import SHAKESPEARE_GAP, split_by_sample, split_by_user, split_in_order, train_size


def names(plan: FilePlan, source: Counts) -> list[str]:
    return list(plan.names(source))


def counts(*sizes: int, first: int = 0) -> Counts:
    users = [f"u{number}" for number in range(first, first + len(sizes))]
    return Counts(users, list(sizes), [f"h of {user}" for user in users], range(len(sizes)))


sizes = st.lists(st.integers(0, 30), min_size=1, max_size=12)


@settings(derandomize=True)
@given(sizes, st.floats(0.01, 1), st.integers(0, 1000))
def test_niid_takes_the_fraction_and_cuts_one_user_at_most(sizes: list[int], fraction: float, seed: int) -> None:
    source = counts(*sizes)
    plan = sample_niid([source], fraction=fraction, rng=Random(seed)).files[0]["sampled_data"]
    assert sum(plan.num_samples) == int(fraction * sum(sizes))
    assert len(set(names(plan, source))) == len(plan.picks)
    cut = [pick for pick in plan.picks if isinstance(pick, Ordered)]
    assert len(cut) <= 1
    assert cut == [pick for pick in list(plan.picks)[-1:] if isinstance(pick, Ordered)]
    assert plan.hierarchies(source) == [f"h of {user}" for user in names(plan, source)]


def test_cut_user_gives_the_first_samples_shuffled() -> None:
    plan = sample_niid([counts(100)], fraction=0.5, rng=Random(1)).files[0]["sampled_data"]
    (pick,) = plan.picks
    assert isinstance(pick, Ordered)
    assert sorted(pick.samples) == list(range(50))
    assert list(pick.samples) != list(range(50))


@settings(derandomize=True)
@given(sizes, st.floats(0.01, 1), st.floats(0.01, 3), st.integers(0, 1000))
def test_iid_deals_each_sample_once_in_equal_groups(sizes: list[int], fraction: float, users: float, seed: int) -> None:
    source = counts(*sizes)
    plan = sample_iid([source], fraction=fraction, user_fraction=users, rng=Random(seed)).files[0]["sampled_data"]
    dealt = [sample for pick in plan.picks if isinstance(pick, Pooled) for sample in pick.samples]
    assert len(dealt) == len(set(dealt)) == int(fraction * sum(sizes))
    assert set(dealt) <= set(range(sum(sizes)))
    assert len(names(plan, source)) == max(1, round(users * len(sizes)))
    assert max(plan.num_samples) - min(plan.num_samples) <= 1
    assert list(plan.num_samples) == sorted(plan.num_samples)
    assert plan.hierarchies(source) is None


def test_iid_names_run_on_over_files() -> None:
    files = [counts(5, 5, 5, 5), counts(5, 5, first=4)]
    plans = sample_iid(files, fraction=1, user_fraction=0.5, rng=Random(0)).files
    assert [names(plan["sampled_data"], file) for plan, file in zip(plans, files, strict=True)] == [["0", "1"], ["2"]]


def test_remove_keeps_users_at_the_limit_in_order() -> None:
    source = counts(5, 4, 9, 5)
    plan = remove_users([source], min_samples=5).files[0]["rem_user_data"]
    assert (names(plan, source), list(plan.num_samples)) == (["u0", "u2", "u3"], [5, 9, 5])
    assert plan.hierarchies(source) == ["h of u0", "h of u2", "h of u3"]
    assert list(plan.picks) == [Whole(0), Whole(2), Whole(3)]


@settings(derandomize=True)
@given(sizes, st.floats(0.05, 0.95), st.integers(0, 1000))
def test_split_by_sample_puts_each_sample_on_one_side(sizes: list[int], fraction: float, seed: int) -> None:
    source = counts(*sizes)
    plan = split_by_sample([source], fraction=fraction, rng=Random(seed))
    train, test = plan.files[0]["train"], plan.files[0]["test"]
    assert names(train, source) == names(test, source) == [f"u{user}" for user, size in enumerate(sizes) if size >= 2]
    assert list(plan.left_out) == [f"u{user}" for user, size in enumerate(sizes) if size < 2]
    for one, other in zip(train.picks, test.picks, strict=True):
        assert isinstance(one, Masked)
        assert isinstance(other, Masked)
        assert all(a + b == 1 for a, b in zip(one.mask, other.mask, strict=True))
        assert sum(one.mask) == train_size(len(one.mask), fraction)


@pytest.mark.parametrize(
    ("size", "fraction", "train"), [(2, 0.9, 1), (2, 0.1, 1), (3, 0.1, 1), (3, 0.9, 2), (10, 0.9, 9)]
)
def test_train_has_at_least_one_sample(size: int, fraction: float, train: int) -> None:
    assert train_size(size, fraction) == train


def test_users_with_one_sample_draw_nothing() -> None:
    def train(*sizes: int) -> list[object]:
        return list(split_by_sample([counts(*sizes)], fraction=0.5, rng=Random(3)).files[0]["train"].picks)

    masks = [[pick.mask for pick in train(*sizes) if isinstance(pick, Masked)] for sizes in ((8, 8), (1, 8, 0, 8, 1))]
    assert masks[0] == masks[1]


def test_shakespeare_leaves_a_gap_between_train_and_test() -> None:
    plan = split_in_order([counts(100, 400)], fraction=0.8)
    (train,), (test,) = plan.files[0]["train"].picks, plan.files[0]["test"].picks
    assert isinstance(train, Masked)
    assert isinstance(test, Masked)
    assert train.mask == b"\1" * 320 + b"\0" * 80
    assert test.mask == b"\0" * (320 + SHAKESPEARE_GAP) + b"\1"
    assert plan.left_out == ["u0"]


@settings(derandomize=True)
@given(st.lists(sizes, min_size=1, max_size=3), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_split_by_user_deals_the_users_of_all_files(files: list[list[int]], fraction: float, seed: int) -> None:
    sources = [counts(*sizes, first=100 * number) for number, sizes in enumerate(files)]
    plans = split_by_user(sources, fraction=fraction, rng=Random(seed)).files
    total = sum(len(sizes) for sizes in files)
    assert sum(len(plan["train"].picks) for plan in plans) == int(fraction * total)
    files_and_plans = list(zip(sources, plans, strict=True))
    sides = Counter(user for source, plan in files_and_plans for side in plan.values() for user in names(side, source))
    assert sides == Counter(user for source in sources for user in source.users)
    for source, plan in files_and_plans:
        train = names(plan["train"], source)
        assert train == [user for user in source.users if user in set(train)]


def test_plan_that_changes_nothing_is_known_as_a_copy() -> None:
    source = counts(5, 6)
    assert FilePlan.of_whole_users(source, [0, 1]).copies(source)
    assert not FilePlan.of_whole_users(source, [1, 0]).copies(source)
    assert not FilePlan.of_whole_users(source, [0]).copies(source)
