"""Plans: what goes where, from counts alone."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.leaf.plan import NAMED, Counts, FilePlan, Masked, Ordered, Pooled, StagePlan, Whole
from fedsynth.stages.remove_users import remove_users
from fedsynth.stages.sample import sample_iid, sample_niid
from fedsynth.stages.split import (
    SHAKESPEARE_GAP,
    ordered_sizes,
    sample_sizes,
    split_by_sample,
    split_by_user,
    split_in_order,
    train_size,
)


def files_of(plan: StagePlan) -> list[dict[str, FilePlan]]:
    return list(plan.files)


def left_out(plan: StagePlan, *sources: Counts) -> list[str]:
    assert plan.num_left_out >= len(plan.left_out) == min(plan.num_left_out, NAMED)
    return [sources[file].users[user] for file, user in plan.left_out]


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
    plan = files_of(sample_niid([source], fraction=fraction, rng=Random(seed)))[0]["sampled_data"]
    assert sum(plan.num_samples) == int(fraction * sum(sizes))
    assert len(set(names(plan, source))) == len(plan.picks)
    cut = [pick for pick in plan.picks if isinstance(pick, Ordered)]
    assert len(cut) <= 1
    assert cut == [pick for pick in list(plan.picks)[-1:] if isinstance(pick, Ordered)]
    assert plan.hierarchies(source) == [f"h of {user}" for user in names(plan, source)]


def test_cut_user_gives_the_first_samples_shuffled() -> None:
    plan = files_of(sample_niid([counts(100)], fraction=0.5, rng=Random(1)))[0]["sampled_data"]
    (pick,) = plan.picks
    assert isinstance(pick, Ordered)
    assert sorted(pick.samples) == list(range(50))
    assert list(pick.samples) != list(range(50))


@settings(derandomize=True)
@given(sizes, st.floats(0.01, 1), st.floats(0.01, 3), st.integers(0, 1000))
def test_iid_deals_each_sample_once_in_equal_groups(sizes: list[int], fraction: float, users: float, seed: int) -> None:
    source = counts(*sizes)
    plan = files_of(sample_iid([source], fraction=fraction, user_fraction=users, rng=Random(seed)))[0]["sampled_data"]
    assigned = [sample for pick in plan.picks if isinstance(pick, Pooled) for sample in pick.samples]
    assert len(assigned) == len(set(assigned)) == int(fraction * sum(sizes))
    assert set(assigned) <= set(range(sum(sizes)))
    assert len(names(plan, source)) == max(1, round(users * len(sizes)))
    assert max(plan.num_samples) - min(plan.num_samples) <= 1
    assert list(plan.num_samples) == sorted(plan.num_samples)
    assert plan.hierarchies(source) is None


def test_iid_names_run_on_over_files() -> None:
    files = [counts(5, 5, 5, 5), counts(5, 5, first=4)]
    plans = files_of(sample_iid(files, fraction=1, user_fraction=0.5, rng=Random(0)))
    assert [names(plan["sampled_data"], file) for plan, file in zip(plans, files, strict=True)] == [["0", "1"], ["2"]]


def test_remove_keeps_users_at_the_limit_in_order() -> None:
    source = counts(5, 4, 9, 5)
    plan = files_of(remove_users([source], min_samples=5))[0]["rem_user_data"]
    assert (names(plan, source), list(plan.num_samples)) == (["u0", "u2", "u3"], [5, 9, 5])
    assert plan.hierarchies(source) == ["h of u0", "h of u2", "h of u3"]
    assert list(plan.picks) == [Whole(0), Whole(2), Whole(3)]


@settings(derandomize=True)
@given(sizes, st.floats(0.05, 0.95), st.integers(0, 1000))
def test_split_by_sample_puts_each_sample_on_one_side(sizes: list[int], fraction: float, seed: int) -> None:
    source = counts(*sizes)
    plan = split_by_sample([source], fraction=fraction, rng=Random(seed))
    (files,) = plan.files
    train, test = files["train"], files["test"]
    assert names(train, source) == names(test, source) == [f"u{user}" for user, size in enumerate(sizes) if size >= 2]
    assert left_out(plan, source) == [f"u{user}" for user, size in enumerate(sizes) if size < 2][:NAMED]
    assert plan.num_left_out == sum(size < 2 for size in sizes)
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
        return list(files_of(split_by_sample([counts(*sizes)], fraction=0.5, rng=Random(3)))[0]["train"].picks)

    masks = [[pick.mask for pick in train(*sizes) if isinstance(pick, Masked)] for sizes in ((8, 8), (1, 8, 0, 8, 1))]
    assert masks[0] == masks[1]


def test_shakespeare_leaves_a_gap_between_train_and_test() -> None:
    plan = split_in_order([counts(100, 400)], fraction=0.8, rng=Random(1))
    (files,) = plan.files
    (train,), (test,) = files["train"].picks, files["test"].picks
    assert isinstance(train, Masked)
    assert isinstance(test, Masked)
    assert train.mask == b"\1" * 320 + b"\0" * 80
    assert test.mask == b"\0" * (320 + SHAKESPEARE_GAP) + b"\1"
    assert (plan.left_out, plan.num_left_out) == ([(0, 0)], 1)


@settings(derandomize=True)
@given(st.lists(sizes, min_size=1, max_size=3), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_split_by_user_deals_the_users_of_all_files(files: list[list[int]], fraction: float, seed: int) -> None:
    sources = [counts(*sizes, first=100 * number) for number, sizes in enumerate(files)]
    plans = files_of(split_by_user(sources, fraction=fraction, rng=Random(seed)))
    total = sum(len(sizes) for sizes in files)
    assert sum(len(plan["train"].picks) for plan in plans) == int(fraction * total)
    files_and_plans = list(zip(sources, plans, strict=True))
    sides = Counter(user for source, plan in files_and_plans for side in plan.values() for user in names(side, source))
    assert sides == Counter(user for source in sources for user in source.users)
    for source, plan in files_and_plans:
        train = names(plan["train"], source)
        assert train == [user for user in source.users if user in set(train)]


@st.composite
def fractions(draw: st.DrawFn) -> tuple[float, float]:
    """Of train and of val, less than 1 together."""
    train = draw(st.integers(1, 98))
    return train / 100, draw(st.integers(1, 99 - train)) / 100


def masks(plan: FilePlan, source: Counts) -> dict[str, bytes]:
    found = {}
    for user, size, pick in zip(names(plan, source), plan.num_samples, plan.picks, strict=True):
        assert isinstance(pick, Masked)
        assert pick.mask.count(1) == size > 0
        found[user] = pick.mask
    return found


@settings(derandomize=True)
@given(sizes, fractions(), st.integers(0, 1000))
def test_each_sample_is_on_one_of_three_sides(sizes: list[int], parts: tuple[float, float], seed: int) -> None:
    source = counts(*sizes)
    plan = split_by_sample([source], fraction=parts[0], val_fraction=parts[1], rng=Random(seed))
    (files,) = plan.files
    train, val, test = (masks(files[side], source) for side in ("train", "val", "test"))
    assert list(train) == list(test) == [f"u{user}" for user, size in enumerate(sizes) if size >= 2]
    assert list(val) == [f"u{user}" for user, size in enumerate(sizes) if size >= 3]
    assert left_out(plan, source) == [f"u{user}" for user, size in enumerate(sizes) if size < 2][:NAMED]
    assert plan.num_left_out == sum(size < 2 for size in sizes)
    for user in train:
        taken = zip(train[user], val.get(user, bytes(len(train[user]))), test[user], strict=True)
        assert all(sum(sides) == 1 for sides in taken)
    for side in files.values():
        assert side.hierarchies(source) == [f"h of {user}" for user in names(side, source)]


@settings(derandomize=True)
@given(st.integers(2, 500), fractions())
def test_three_sides_have_their_fractions_and_none_is_empty(size: int, parts: tuple[float, float]) -> None:
    found = sample_sizes(size, *parts)
    assert found is not None
    assert sum(found) == size
    assert min(found.train, found.test) >= 1
    assert (found.val >= 1) == (size >= 3)
    if size * min(*parts, 1 - sum(parts)) >= 2:
        assert found.val == int(parts[1] * size)
        assert found.train == train_size(size, parts[0])


@pytest.mark.parametrize(
    ("size", "parts", "expected"),
    [
        (1, (0.8, 0.1), None),
        (2, (0.8, 0.1), (1, 0, 1)),
        (3, (0.8, 0.1), (1, 1, 1)),
        (5, (0.8, 0.1), (3, 1, 1)),
        (9, (0.8, 0.1), (7, 1, 1)),
        (10, (0.8, 0.1), (8, 1, 1)),
        (19, (0.8, 0.1), (15, 1, 3)),
        (100, (0.8, 0.1), (80, 10, 10)),
        (3, (0.1, 0.8), (1, 1, 1)),
        (4, (0.05, 0.9), (1, 2, 1)),
    ],
)
def test_small_users_are_split_as_documented(size: int, parts: tuple[float, float], expected: Any) -> None:
    assert sample_sizes(size, *parts) == expected


@settings(derandomize=True)
@given(st.lists(sizes, min_size=1, max_size=3), st.floats(0.01, 0.99), fractions(), st.integers(0, 1000))
def test_new_users_are_whole_and_nobody_elses(
    files: list[list[int]], new_users: float, parts: tuple[float, float], seed: int
) -> None:
    sources = [counts(*sizes, first=100 * number) for number, sizes in enumerate(files)]
    plan = split_by_sample(sources, fraction=parts[0], val_fraction=parts[1], new_users=new_users, rng=Random(seed))
    kept = [[user for user, size in enumerate(source.num_samples) if size >= 2] for source in sources]
    plans = files_of(plan)
    assert sum(len(sides["new_users"].picks) for sides in plans) == int(new_users * sum(map(len, kept)))
    for source, users, sides in zip(sources, kept, plans, strict=True):
        new, train, test, val = (names(sides[side], source) for side in ("new_users", "train", "test", "val"))
        able = [source.users[user] for user in users]
        assert new == [name for name in able if name not in train]
        assert train == test == [name for name in able if name not in new]
        assert set(val) <= set(train)
        assert list(sides["new_users"].picks) == [Whole(source.users.index(name)) for name in new]
        assert list(sides["new_users"].num_samples) == [source.num_samples[source.users.index(name)] for name in new]


def test_new_users_are_others_with_another_seed() -> None:
    source = counts(*[9] * 40)
    plans = [split_by_sample([source], fraction=0.5, new_users=0.25, rng=Random(seed)) for seed in (1, 1, 2)]
    one, again, other = [names(files_of(plan)[0]["new_users"], source) for plan in plans]
    assert one == again != other


@settings(derandomize=True)
@given(st.lists(sizes, min_size=1, max_size=3), fractions(), st.integers(0, 1000))
def test_users_go_to_three_sides(files: list[list[int]], parts: tuple[float, float], seed: int) -> None:
    sources = [counts(*sizes, first=100 * number) for number, sizes in enumerate(files)]
    plans = files_of(split_by_user(sources, fraction=parts[0], val_fraction=parts[1], rng=Random(seed)))
    total = sum(map(len, files))
    for name, part in zip(("train", "val"), parts, strict=True):
        assert sum(len(plan[name].picks) for plan in plans) == int(part * total)
    for source, plan in zip(sources, plans, strict=True):
        place = {user: number for number, user in enumerate(source.users)}
        assert sorted(place[user] for side in plan.values() for user in names(side, source)) == list(
            range(len(source.users))
        )
        for side in plan.values():
            assert list(side.picks) == [Whole(place[user]) for user in names(side, source)]
            assert names(side, source) == sorted(names(side, source), key=place.__getitem__)


@settings(derandomize=True)
@given(st.integers(0, 600), fractions())
def test_ordered_sides_keep_leafs_train_and_users_and_gaps_between_all(size: int, parts: tuple[float, float]) -> None:
    two, three = ordered_sizes(size, parts[0]), ordered_sizes(size, *parts)
    assert (two is None) == (three is None)
    if two is None or three is None:
        return
    assert three.train == two.train
    gaps = 2 if three.val else 1
    assert sum(three) + gaps * SHAKESPEARE_GAP == size
    assert three.test >= 1
    assert (three.val >= 1) == (two.test - SHAKESPEARE_GAP >= 2)


def test_shakespeare_leaves_a_gap_on_either_side_of_val() -> None:
    source = counts(600, 397)
    plan = split_in_order([source], fraction=0.6, val_fraction=0.1, rng=Random(1))
    files = {side: masks(file, source) for side, file in files_of(plan)[0].items()}
    gap = b"\0" * SHAKESPEARE_GAP
    assert files["train"]["u0"] == b"\1" * 360 + b"\0" * 240
    assert files["val"]["u0"] == b"\0" * 360 + gap + b"\1" * 20 + gap + b"\0" * 62
    assert files["test"]["u0"] == b"\0" * 360 + gap + b"\0" * 20 + gap + b"\1" * 62
    assert list(files["val"]) == ["u0"]
    assert files["test"]["u1"] == b"\0" * 238 + gap + b"\1" * 80


def test_plan_that_changes_nothing_is_known_as_a_copy() -> None:
    source = counts(5, 6)
    assert FilePlan.of_whole_users(source, [0, 1]).copies(source)
    assert not FilePlan.of_whole_users(source, [1, 0]).copies(source)
    assert not FilePlan.of_whole_users(source, [0]).copies(source)
