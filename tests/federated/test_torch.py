"""Users for PyTorch."""

from __future__ import annotations

import contextlib
import gc
import itertools
import multiprocessing
import pickle
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fedsynth.errors import DataError, UsageError  # noqa: E402
from fedsynth.federated import (  # noqa: E402
    Dataset,
    DistributedContext,
    FederatedDataset,
    FederatedDatasetMixture,
    PyTorchDataDataset,
    PyTorchFederatedDataset,
    PyTorchTensorDataset,
    get_user_sampler,
    use_context,
)
from tests.federated.users import BareUsers, DictUsers, FailingUsers, Samples, TensorUsers  # noqa: E402

# From Python 3.12 on, forking a process with threads warns; DataLoader forks, and the time limit below is a thread.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")

USERS = list(range(1000))
SECONDS = 60


@pytest.fixture(autouse=True)
def time_limit() -> Iterator[None]:
    """Fail what takes too long, and what leaves processes behind."""
    import faulthandler

    faulthandler.dump_traceback_later(SECONDS, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    gc.collect()
    assert no_children_left()


def federated(dataset: Any = None, **options: Any) -> PyTorchFederatedDataset:
    sampler = get_user_sampler("minimize_reuse", USERS)
    return PyTorchFederatedDataset(dataset or TensorUsers(), sampler, seed=3, **options)


def test_tensors_are_split_and_sliced_without_copying() -> None:
    x = torch.arange(10.0).reshape(5, 2)
    train, val = PyTorchTensorDataset((x, torch.arange(5)), user_id="u").split(0.6)
    assert type(val) is PyTorchTensorDataset
    assert (val.user_id, len(train), len(val)) == ("u", 3, 2)
    assert val.raw_data[0].data_ptr() == x[3:].data_ptr()


def test_batches_of_a_dict_are_dicts() -> None:
    dataset = PyTorchTensorDataset({"x": torch.arange(5), "y": torch.arange(5.0)})
    batches = list(dataset.iter(2))
    assert [set(batch) for batch in batches] == [{"x", "y"}] * 3
    assert batches[2]["x"].tolist() == [4]
    assert [set(batch) for batch in dataset.split()[1].iter(None)] == [{"x", "y"}]


def test_tensors_with_val_indices_split_by_them() -> None:
    train, val = PyTorchTensorDataset((torch.arange(4),), val_indices=[1]).split()
    assert (train.raw_data[0].tolist(), val.raw_data[0].tolist()) == ([0, 2, 3], [1])


@pytest.mark.parametrize(("options", "batch_size", "sizes"), [({}, 3, [3, 3, 1]), ({"batch_size": 4}, None, [4, 3])])
def test_large_users_are_read_through_a_dataloader(options: Any, batch_size: int | None, sizes: list[int]) -> None:
    batches = list(PyTorchDataDataset(Samples(), **options).iter(batch_size))
    assert [len(labels) for _, labels in batches] == sizes
    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(7))


def test_large_users_cannot_be_split_and_need_a_length() -> None:
    with pytest.raises(NotImplementedError, match="can't be split; make two of them"):
        PyTorchDataDataset(Samples()).split()
    with pytest.raises(UsageError, match="TensorUsers, which has no length"):
        PyTorchDataDataset(TensorUsers())
    with pytest.raises(ValueError, match="batch_size is 0"):
        PyTorchDataDataset(Samples()).iter(0)


def test_large_users_worker_partition_takes_every_nth_sample() -> None:
    dataset = PyTorchDataDataset(Samples(), user_id="u", metadata={"m": 1}, batch_size=10)
    shares = []
    for rank in range(3):
        with use_context(DistributedContext(rank, 3)):
            part = dataset.get_worker_partition()
        assert (part.user_id, part.metadata) == ("u", {"m": 1})
        shares.append([label for _, labels in part.iter(None) for label in labels.tolist()])
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]


def expected(users: Any) -> list[Any]:
    return [(user, [tensor.tolist() for tensor in TensorUsers()[user]]) for user in users]


def got(drawn: Any) -> list[Any]:
    return [(user.user_id, [tensor.tolist() for tensor in user.raw_data]) for user, _ in drawn]


@pytest.mark.parametrize("options", [{}, {"num_workers": 2, "prefetch_factor": 4}])
def test_1000_users_come_in_order_with_their_seeds(options: dict[str, Any]) -> None:
    drawn = list(federated(**options).get_cohort(1000))
    assert got(drawn) == expected(USERS)
    assert [tensor.dtype for tensor in drawn[0][0].raw_data] == [torch.float32, torch.int64, torch.bool]
    assert len(drawn[0][0]) == 1
    plain = FederatedDataset(lambda user: Dataset((np.arange(1),)), get_user_sampler("random", USERS), seed=3)
    assert [seed for _, seed in drawn] == [seed for _, seed in plain.get_cohort(1000)]


def test_next_prefetches_in_order_for_1000_users() -> None:
    assert got(itertools.islice(federated(num_workers=2), 1000)) == expected(USERS)


def test_what_next_has_prefetched_is_not_lost_to_a_cohort() -> None:
    dataset = federated(num_workers=2, prefetch_factor=8)
    drawn = got(itertools.islice(dataset, 3)) + got(dataset.get_cohort(3)) + got(itertools.islice(dataset, 3))
    assert drawn == expected(range(9))


def test_abandoned_half_way_nothing_hangs() -> None:
    dataset = federated(num_workers=2)
    cohort = iter(dataset.get_cohort(1000))
    for _ in range(500):
        next(cohort)
    del cohort
    assert got(dataset.get_cohort(2)) == expected([0, 1])
    next(dataset)
    del dataset


def test_workers_end_when_the_dataset_is_dropped() -> None:
    dataset = federated(num_workers=2)
    next(dataset)
    assert len(multiprocessing.active_children()) == 2
    del dataset
    assert no_children_left()


def test_two_cohorts_can_be_read_in_turn() -> None:
    dataset = federated(num_workers=1)
    first, second = iter(dataset.get_cohort(3)), iter(dataset.get_cohort(3))
    in_turn = [next(cohort)[0].user_id for _ in range(3) for cohort in (first, second)]
    assert in_turn == [0, 3, 1, 4, 2, 5]


def test_dict_users_and_bare_tensors() -> None:
    [(user, _)] = federated(DictUsers()).get_cohort(1)
    [batch] = user.iter(1)
    assert {name: tensor.tolist() for name, tensor in batch.items()} == {"x": [[0.0, 0.0]], "y": [0]}
    assert [tensor.tolist() for tensor in user.raw_data] == [[[0.0, 0.0]], [0]]
    assert got(federated(BareUsers()).get_cohort(2)) == [(0, [[0]]), (1, [[0, 1]])]


def test_an_error_while_loading_is_raised_and_costs_one_user() -> None:
    dataset = federated(FailingUsers())
    assert next_users(dataset, 5) == [0, 1, "ill", 3, 4]


def test_an_error_while_drawing_is_raised_and_drawing_goes_on() -> None:
    turns = iter([0, None, 2])

    def sampler() -> int:
        user = next(turns)
        if user is None:
            raise LookupError("nobody is there")
        return user

    dataset = PyTorchFederatedDataset(TensorUsers(), sampler, seed=1)
    assert next(dataset)[0].user_id == 0
    with pytest.raises(LookupError, match="nobody is there"):
        next(dataset)
    assert next(dataset)[0].user_id == 2


def next_users(dataset: PyTorchFederatedDataset, count: int) -> list[object]:
    """The ids of the next users, "ill" for one who could not be loaded."""
    seen: list[object] = []
    for _ in range(count):
        try:
            seen.append(next(dataset)[0].user_id)
        except LookupError:
            seen.append("ill")
    return seen


def no_children_left() -> bool:
    """Whether DataLoader's processes end within seconds."""
    deadline = time.monotonic() + 10
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.05)
    return multiprocessing.active_children() == []


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
def test_processes_end_after_an_error_in_next_without_the_collector() -> None:
    dataset = federated(FailingUsers(), num_workers=2)
    assert next_users(dataset, 4) == [0, 1, "ill", 3]
    del dataset
    assert no_children_left()


@pytest.mark.usefixtures("no_collector")
def test_processes_end_after_an_error_in_a_cohort_without_the_collector() -> None:
    with pytest.raises(LookupError, match="user 2 is ill"):
        list(federated(FailingUsers(), num_workers=2).get_cohort(10))
    assert no_children_left()


@pytest.mark.parametrize("failing", [0, 1, 6])
def test_an_error_while_drawing_ahead_costs_no_user(failing: int) -> None:
    turns, users = itertools.count(), itertools.count()

    def sampler() -> int:
        if next(turns) == failing:
            raise LookupError("nobody is there")
        return next(users)

    dataset = PyTorchFederatedDataset(TensorUsers(), sampler, seed=1, num_workers=2)
    seen = []
    while len(seen) < 8:
        with contextlib.suppress(LookupError):
            seen.append(next(dataset)[0].user_id)
    assert seen == list(range(8))


def test_what_was_loaded_ahead_for_another_context_is_drawn_for_this_one() -> None:
    plain = FederatedDataset(lambda user: Dataset((np.arange(1),)), get_user_sampler("minimize_reuse", USERS), seed=3)
    seeds = [seed for _, seed in plain.get_cohort(6)]
    dataset = federated(num_workers=1)
    with use_context(DistributedContext(1, 3)):
        user, seed = next(dataset)
    assert (user.user_id, seed) == (1, seeds[1])
    alone = [next(dataset) for _ in range(3)]
    assert [(user.user_id, seed) for user, seed in alone] == [(number, seeds[number]) for number in (3, 4, 5)]


def test_workers_share_pytorch_users_out() -> None:
    for weights in (None, {user: user + 1 for user in USERS}):
        shares = []
        for rank in range(3):
            with use_context(DistributedContext(rank, 3)):
                dataset = federated(user_id_to_weight=weights)
                shares.append([user.user_id for size in (5, 7) for user, _ in dataset.get_cohort(size)])
        assert sorted(itertools.chain(*shares)) == list(range(12))
    with use_context(DistributedContext(1, 3)):
        assert [user.user_id for user, _ in itertools.islice(federated(), 3)] == [1, 4, 7]


def test_dataset_class_and_arguments_are_passed_on() -> None:
    dataset = federated(dataset_cls=Dataset, dataset_kwargs={"train_kwargs": {"lr": 0.1}}, batch_size=1)
    [(user, _)] = dataset.get_cohort(1)
    assert (type(user), user.train_kwargs, user.raw_data[0].shape) == (Dataset, {"lr": 0.1}, (1, 2))


def test_pytorch_users_can_be_mixed() -> None:
    mixture = FederatedDatasetMixture([1.0], [federated()])
    assert got(mixture.get_cohort(3)) == expected(range(3))


@pytest.mark.parametrize("options", [{"batch_size": 2}, {"shuffle": True}, {"sampler": [1]}, {"in_order": False}])
def test_arguments_that_would_change_the_users_are_an_error(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))}.*expected"):
        federated(**options)


def test_iterable_datasets_are_an_error() -> None:
    class Stream(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            return iter([])

    with pytest.raises(UsageError, match="IterableDataset"):
        federated(Stream())


@pytest.mark.parametrize(
    "options", [{"numworkers": 2}, {"prefetch_factor": 2}, {"drop_last": True}, {"num_workers": -1}]
)
def test_arguments_that_no_dataloader_takes_are_an_error_at_once(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected arguments that a torch DataLoader"):
        federated(**options)


def processes() -> set[int | None]:
    return {process.pid for process in multiprocessing.active_children()}


def test_processes_serve_every_cohort_however_the_one_before_ended() -> None:
    dataset = federated(num_workers=2)
    list(dataset.get_cohort(5))
    first = processes()
    for size in (1, 0, 7):
        list(dataset.get_cohort(size))
    half_read = iter(dataset.get_cohort(100))
    next(half_read)
    del half_read
    assert got(dataset.get_cohort(4)) == expected(range(113, 117))
    assert got(itertools.islice(dataset, 2)) == expected([117, 118])
    assert got(dataset.get_cohort(2)) == expected([119, 120])
    assert processes() == first
    assert len(first) == 2


def test_processes_start_anew_for_each_cohort_where_they_are_not_to_stay() -> None:
    dataset = federated(num_workers=1, persistent_workers=False)
    assert got(dataset.get_cohort(2)) == expected([0, 1])
    assert no_children_left()
    assert got(dataset.get_cohort(2)) == expected([2, 3])
    assert no_children_left()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_killed_process_is_an_error_and_the_next_cohort_has_others() -> None:
    dataset = federated(num_workers=1, timeout=1)
    list(dataset.get_cohort(2))
    [process] = multiprocessing.active_children()
    process.kill()
    process.join()
    with pytest.raises(RuntimeError, match=r"exited unexpectedly|is killed by signal"):
        list(dataset.get_cohort(2))
    assert got(dataset.get_cohort(2)) == expected([4, 5])


@pytest.mark.parametrize("num_workers", [0, 2])
def test_pytorch_users_pickle_in_the_middle(num_workers: int) -> None:
    dataset = federated(num_workers=num_workers)
    list(dataset.get_cohort(3))
    next(dataset)
    copy = pickle.loads(pickle.dumps(dataset))
    for one in (copy, dataset):
        assert got(one.get_cohort(2)) == expected([4, 5])


def test_an_error_drawn_ahead_is_raised_in_its_turn_even_for_a_cohort() -> None:
    turns = iter([0, 1, None, 3, 4, 5, 6, 7])

    def sampler() -> int:
        user = next(turns)
        if user is None:
            raise LookupError("nobody is there")
        return user

    dataset = PyTorchFederatedDataset(TensorUsers(), sampler, seed=1, num_workers=1, prefetch_factor=3)
    assert next(dataset)[0].user_id == 0
    with pytest.raises(LookupError, match="nobody is there"):
        dataset.get_cohort(3)
    assert [user.user_id for user, _ in dataset.get_cohort(2)] == [3, 4]


def test_a_collate_fn_without_batches_gets_the_user_itself() -> None:
    def collate(sample: Any) -> Any:
        return [tensor * 2 for tensor in sample[:2]]

    dataset = federated(batch_size=None, collate_fn=collate)
    assert [user.raw_data[1].tolist() for user, _ in dataset.get_cohort(2)] == [[0], [2, 4]]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda samples: [samples[0][0]], r"a tensor of shape \[2, 2\], expected a first axis of 1 for the one user"),
        (lambda samples: "text", r"collate_fn made 'text', expected a first axis of 1"),
    ],
)
def test_what_a_collate_fn_makes_has_an_axis_for_the_user(made: Any, message: str) -> None:
    dataset = PyTorchFederatedDataset(TensorUsers(), lambda: 1, collate_fn=made, seed=1)
    with pytest.raises(DataError, match=message):
        next(dataset)


def test_mixed_users_go_through_the_collate_fn_too() -> None:
    dataset = federated(collate_fn=lambda samples: {"x": samples[0][0] + 1, "user_id": "me"})
    mixture = FederatedDatasetMixture([1.0], [dataset], seed=1)
    [(user, _)] = mixture.get_cohort(1)
    assert (user.user_id, [set(batch) for batch in user.iter(None)]) == ("me", [{"x"}])


def test_ids_alone_come_before_what_was_loaded_ahead() -> None:
    dataset = federated(num_workers=1)
    assert next(dataset)[0].user_id == 0
    assert [user for user, _ in itertools.islice(dataset.sampler, 2)] == [1, 2]
    assert got(itertools.islice(dataset, 2)) == expected([3, 4])


def test_an_error_while_making_a_user_says_where() -> None:
    def make(loaded: Any) -> Any:
        raise LookupError("no such user")

    dataset = federated(make_user_dataset_fn=make, num_workers=1)
    with pytest.raises(LookupError, match="no such user") as caught:
        list(dataset.get_cohort(2))
    assert caught.traceback[-1].name == "make"
