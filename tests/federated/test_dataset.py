"""One user's dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsynth.errors import UsageError
from fedsynth.federated import Dataset, DatasetSplit, DistributedContext, TabularDataset, use_context

DESCRIPTION: dict[str, Any] = {
    "user_id": "u",
    "metadata": {"hierarchy": "play"},
    "train_kwargs": {"lr": 0.1},
    "eval_kwargs": {"k": 5},
}


def described(dataset: Any) -> dict[str, Any]:
    return {name: getattr(dataset, name) for name in DESCRIPTION}


def test_iter_without_a_batch_size_yields_raw_data_once() -> None:
    raw = (np.arange(5), [np.arange(10).reshape(5, 2)])
    batches = list(Dataset(raw).iter(None))
    assert len(batches) == 1
    assert batches[0] is raw


def test_batches_keep_the_nesting_and_are_views() -> None:
    a, b, c = np.arange(5), np.arange(5) * 2, np.arange(10).reshape(5, 2)
    batches = list(Dataset((a, {"b": b, "c": [c]})).iter(2))
    assert [len(batch[0]) for batch in batches] == [2, 2, 1]
    assert batches[1][1]["c"][0].tolist() == [[4, 5], [6, 7]]
    assert all(np.shares_memory(batch[1]["b"], b) for batch in batches)


@pytest.mark.parametrize("batch_size", [0, -1])
def test_batches_of_nothing_are_an_error(batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"batch_size is {batch_size}, expected at least 1"):
        Dataset((np.arange(3),)).iter(batch_size)


def test_a_dataset_without_samples_has_no_batches() -> None:
    assert list(Dataset((np.empty((0, 3)),)).iter(2)) == []


@given(
    size=st.integers(0, 30),
    fraction=st.one_of(st.none(), st.floats(0, 1)),
    min_train=st.one_of(st.none(), st.integers(0, 20)),
    min_val=st.one_of(st.none(), st.integers(0, 20)),
)
def test_split_moves_the_cut_just_far_enough(
    size: int, fraction: float | None, min_train: int | None, min_val: int | None
) -> None:
    dataset = Dataset((np.arange(size),))
    least_train, least_val = (1 if least is None else least for least in (min_train, min_val))
    if least_train + least_val > size:
        with pytest.raises(ValueError, match=rf"a dataset of {size} samples? can't be split"):
            dataset.split(fraction, min_train, min_val)
        return
    train, val = dataset.split(fraction, min_train, min_val)
    assert train.raw_data[0].tolist() + val.raw_data[0].tolist() == list(range(size))
    wanted = int(size * (0.8 if fraction is None else fraction))
    nearest = min(range(least_train, size - least_val + 1), key=lambda cut: abs(cut - wanted))
    assert len(train) == nearest


def test_split_parts_keep_class_and_description_and_are_views() -> None:
    x = np.arange(10)
    parts = TabularDataset(x, x, **DESCRIPTION).split(0.5)
    for part in parts:
        assert type(part) is TabularDataset
        assert described(part) == DESCRIPTION
        assert np.shares_memory(part.features, x)
    assert parts[1].labels.tolist() == [5, 6, 7, 8, 9]


def test_val_indices_decide_the_validation_part() -> None:
    train, val = Dataset((np.arange(5) * 10,), val_indices=[3, 0]).split(fraction=0.1)
    assert train.raw_data[0].tolist() == [10, 20, 40]
    assert val.raw_data[0].tolist() == [30, 0]


def test_val_indices_must_meet_the_minima() -> None:
    with pytest.raises(UsageError, match="leave 1 samples for the val part, expected min_val_size 2"):
        Dataset((np.arange(5),), val_indices=[3]).split(min_val_size=2)


@pytest.mark.parametrize(
    ("indices", "message"),
    [([5], "go from 5 to 5, expected 0 to 4"), ([1, 1], "name a sample twice"), ([0.5], "whole numbers")],
)
def test_wrong_val_indices_are_an_error(indices: list[Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Dataset((np.arange(5),), val_indices=indices)


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
def test_worker_partitions_add_up_to_the_dataset(world_size: int) -> None:
    dataset = TabularDataset(np.arange(5), np.arange(5), **DESCRIPTION, val_indices=[1, 4])
    samples: list[int] = []
    val: list[int] = []
    for rank in range(world_size):
        with use_context(DistributedContext(rank, world_size)):
            part = dataset.get_worker_partition()
        assert type(part) is TabularDataset
        assert described(part) == DESCRIPTION
        samples += part.features.tolist()
        val += part.split(min_train_size=0, min_val_size=0)[1].features.tolist()
    assert samples == [0, 1, 2, 3, 4]
    assert val == [1, 4]


def test_subclass_with_another_constructor_survives_splitting() -> None:
    class Named(Dataset):
        def __init__(self, name: str) -> None:
            super().__init__((np.arange(4),))
            self.name = name

    train, val = Named("n").split()
    assert (type(train), train.name, val.name, len(val)) == (Named, "n", "n", 1)


@pytest.mark.parametrize(
    ("raw_data", "message"),
    [
        ((np.arange(3), np.arange(4)), "arrays of 3 and of 4 samples"),
        ((), "holds no array"),
        ((np.arange(3), None), r"holds None \(NoneType\)"),
        (([1, 2, 3],), "holds 1"),
        ((np.float64(3),), "an array without axes"),
    ],
)
def test_raw_data_that_is_no_samples_is_an_error(raw_data: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Dataset(raw_data)


@pytest.mark.parametrize("arguments", [{"fraction": 1.1}, {"fraction": -0.1}, {"min_val_size": -1}])
def test_impossible_split_arguments_are_an_error(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(arguments))):
        Dataset((np.arange(5),)).split(**arguments)


@pytest.fixture
def split() -> DatasetSplit:
    return DatasetSplit(Dataset((np.arange(5),), **DESCRIPTION), Dataset((np.arange(2),), user_id="v"))


def test_dataset_split_answers_for_its_train_part(split: DatasetSplit) -> None:
    assert len(split) == 5
    assert split.raw_data[0].tolist() == [0, 1, 2, 3, 4]
    assert described(split) == DESCRIPTION
    train, val = split.split()
    assert (len(train), len(val)) == (5, 2)


def test_dataset_split_cannot_be_iterated_or_split_otherwise(split: DatasetSplit) -> None:
    with pytest.raises(NotImplementedError, match="call split"):
        split.iter(2)
    with pytest.raises(ValueError, match=r"fraction is 0\.5, expected None"):
        split.split(0.5)
    with pytest.raises(ValueError, match="min_val_size is 1, expected None"):
        split.split(min_val_size=1)


def test_dataset_split_partitions_both_parts(split: DatasetSplit) -> None:
    with use_context(DistributedContext(0, 2)):
        part = split.get_worker_partition()
    train, val = part.split()
    assert (len(part), len(train), len(val)) == (3, 3, 1)


@pytest.mark.parametrize("batch_size", [2.0, "2"])
def test_batch_sizes_are_whole_numbers(batch_size: Any) -> None:
    with pytest.raises(ValueError, match=r"batch_size is .*, expected a whole number"):
        Dataset((np.arange(3),)).iter(batch_size)
