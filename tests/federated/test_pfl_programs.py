"""Programs written for pfl.data: each runs with pfl-research's module and with this one, and gets the same."""

from __future__ import annotations

import gc
import importlib
import inspect
import itertools
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth import federated
from fedsynth.errors import UsageError
from fedsynth.federated import DistributedContext, current_context
from tests.federated.reference import pfl, pfl_worker

torch = pytest.importorskip("torch")

from tests.federated.users import NamedUsers, Samples, TensorUsers  # noqa: E402

# From Python 3.12 on, forking a process with threads warns; DataLoader forks.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")

USERS = list(range(12))
SLICES = {user: (np.arange(user + 1), np.arange(user + 1) % 2) for user in USERS}
Program = Callable[[Any], Any]


def plain(value: Any) -> Any:
    """Arrays and tensors as lists, so that results compare."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return value.tolist() if hasattr(value, "tolist") else value


def drawn(pairs: Any) -> list[Any]:
    return [(plain(user.raw_data), int(seed)) for user, seed in pairs]


def both(program: Program) -> tuple[Any, Any]:
    """What a program returns with this module and with pfl's, under one NumPy seed."""
    results = []
    for module in (federated, pfl()):
        np.random.seed(7)
        results.append(program(module))
    return results[0], results[1]


def same(program: Program) -> Any:
    mine, theirs = both(program)
    assert mine == theirs
    return mine


def pytorch_users(m: Any, dataset: Any = None, **options: Any) -> Any:
    return m.PyTorchFederatedDataset(dataset or TensorUsers(), m.get_user_sampler("minimize_reuse", USERS), **options)


MODULES = ("dataset", "federated_dataset", "partition", "pytorch", "sampling", "user_state")


@pytest.mark.parametrize("module", MODULES)
def test_every_name_is_there_and_takes_its_arguments_in_pfls_order(module: str) -> None:
    pfl()
    theirs, mine = (importlib.import_module(f"{package}.{module}") for package in ("pfl.data", "fedsynth.federated"))
    for name, value in vars(theirs).items():
        if name.startswith("_") or getattr(value, "__module__", "") != theirs.__name__:
            continue
        for function, own in functions(value, getattr(mine, name)):
            arguments, own_arguments = (list(inspect.signature(each).parameters.values()) for each in (function, own))
            names = [argument.name for argument in arguments if argument.kind is argument.POSITIONAL_OR_KEYWORD]
            assert names == [argument.name for argument in own_arguments][: len(names)], f"{name}.{function.__name__}"


def functions(theirs: Any, mine: Any) -> Iterator[tuple[Any, Any]]:
    """A function, or a class's public methods and constructor, of both."""
    if inspect.isfunction(theirs):
        yield theirs, mine
    elif inspect.isclass(theirs):
        for name, method in inspect.getmembers(theirs, callable):
            if name == "__init__" or not name.startswith("_"):
                yield method, getattr(mine, name)


def test_workers_are_those_of_pfls_own_start() -> None:
    def cohorts(m: Any) -> Any:
        dataset = m.FederatedDataset.from_slices(SLICES, m.get_user_sampler("random", USERS))
        return [drawn(dataset.get_cohort(size)) for size in (4, 2, 6)], drawn(itertools.islice(dataset, 3))

    shares = []
    for rank in range(2):
        with pfl_worker(rank, 2):
            assert current_context() == DistributedContext(rank, 2, 0, 1)
            shares.append(same(cohorts))
    assert [len(cohort) for share in shares for cohort in share[0]] == [2, 1, 3] * 2
    seeds = [{seed for cohort in cohorts for _, seed in cohort} for cohorts, _ in shares]
    assert not seeds[0] & seeds[1]


@pytest.mark.parametrize("options", [{}, {"batch_size": 1}])
def test_a_collate_fn_gets_the_one_user_in_a_list(options: dict[str, Any]) -> None:
    def program(m: Any) -> Any:
        seen = []

        def collate(samples: Any) -> Any:
            seen.append(len(samples))
            return [torch.stack([sample[0] * 2 for sample in samples])]

        return drawn(pytorch_users(m, collate_fn=collate, **options).get_cohort(3)), seen

    assert same(program)[1] == [1, 1, 1]


@pytest.mark.parametrize("wrapped", [False, True])
def test_silos_stay_on_their_worker_whatever_the_cohort(wrapped: bool) -> None:
    def silos_seen(m: Any) -> Any:
        silos = {"a": [0, 1], "b": [2, 3], "c": [4, 5], "d": [6, 7]}
        sampler = m.CrossSiloUserSampler("random", silo_to_user_ids=silos)
        dataset = m.FederatedDataset.from_slices(SLICES, (lambda: sampler()) if wrapped else sampler)
        users = [len(user) - 1 for size in (5, 1, 3, 4) for user, _ in dataset.get_cohort(size)]
        return {silo for user in users for silo, ids in silos.items() if user in ids}

    for rank, expected in ((0, {"a", "c"}), (1, {"b", "d"})):
        with pfl_worker(rank, 2):
            assert same(silos_seen) == expected


def test_silos_stay_on_their_worker_with_weights_too() -> None:
    """pfl sorts a cohort in a process that hangs on current Pythons, so it isn't asked here."""
    for rank in range(2):
        with pfl_worker(rank, 2):
            sampler = federated.CrossSiloUserSampler("minimize_reuse", silo_to_user_ids={0: [0, 9], 1: [1, 8]})
            make = federated.FederatedDataset.from_slices(SLICES, sampler).make_dataset_fn
            dataset = federated.FederatedDataset(make, sampler, {user: user for user in USERS})
            users = [user.user_id for size in (5, 1, 3) for user, _ in dataset.get_cohort(size)]
        assert set(users) == [{0, 9}, {1, 8}][rank]
        assert users[:2] == [[9, 0], [8, 1]][rank], "heaviest first"


def test_silos_assigned_before_the_workers_started_are_an_error() -> None:
    sampler = federated.CrossSiloUserSampler("random", user_ids=USERS, num_silos=2)
    dataset = federated.FederatedDataset.from_slices(SLICES, sampler)
    with (
        pfl_worker(0, 2),
        pytest.raises(UsageError, match="assigned its silos to 1 worker, expected 2, as there are now"),
    ):
        dataset.get_cohort(2)


def doubling(base: Any) -> Any:
    class Doubling(base):  # type: ignore[misc]
        def __next__(self) -> Any:
            user, seed = super().__next__()
            user._raw_data = tuple(array * 2 for array in user.raw_data)
            return user, seed

    return Doubling


def test_a_subclasses_own_next_makes_the_cohorts() -> None:
    def program(m: Any) -> Any:
        pool = doubling(m.ArtificialFederatedDataset).from_slices([np.arange(9)], lambda n: range(n), lambda: 3)
        users = doubling(m.FederatedDataset).from_slices(SLICES, m.get_user_sampler("random", USERS))
        mixture = m.FederatedDatasetMixture([1, 1], [pool, users])
        twice = doubling(m.FederatedDatasetMixture)([1, 1], [pool, users])
        cohorts = [drawn(dataset.get_cohort(6)) for dataset in (pool, users, mixture, twice)]
        return cohorts, drawn(itertools.islice(mixture, 3)), drawn(itertools.islice(users, 2))

    assert same(program)[0][0][0][0] == [[0, 2, 4]]


@pytest.mark.parametrize("world_size", [2, 3])
def test_workers_of_such_a_subclass_stay_in_step(world_size: int) -> None:
    seeds: list[list[int]] = []
    for rank in range(world_size):
        np.random.seed(7)
        with pfl_worker(rank, world_size):
            pool = doubling(federated.ArtificialFederatedDataset).from_slices([np.arange(9)], range, lambda: 3)
            next(iter(pool.get_cohort(9)))  # begun, not read to its end
            seeds.append([seed for size in (5, 1, 4) for _, seed in pool.get_cohort(size)])
    assert len({seed for share in seeds for seed in share}) == sum(map(len, seeds)) == 10


def test_mixtures_draw_as_pfl_does_while_users_and_training_draw_too() -> None:
    def program(m: Any) -> Any:
        def make(user: int) -> Any:
            return m.Dataset((np.random.permutation(user + 2),), user_id=str(user))

        users = m.FederatedDataset(make, m.get_user_sampler("random", USERS))
        pool = m.ArtificialFederatedDataset.from_slices(
            [np.arange(30)], m.get_data_sampler("random", 30), lambda: int(np.random.randint(1, 9))
        )
        mixture = m.FederatedDatasetMixture([1, 2], [users, pool])
        seen = []
        for size in (4, 1, 6):
            for pair in mixture.get_cohort(size):
                seen += drawn([pair])
                np.random.random(len(pair[0]))  # training
        return seen, drawn(itertools.islice(mixture, 4)), np.random.random()

    same(program)


def test_a_sampler_of_samples_cannot_be_shared_out() -> None:
    """Its indices are of all samples, and would be taken for the share's."""
    batches = same(lambda m: [plain(batch) for batch in m.PyTorchDataDataset(Samples(), sampler=[2, 3, 1]).iter(2)])
    assert [labels for _, labels in batches] == [[2, 3], [1]]
    for m, error in ((federated, UsageError), (pfl(), AssertionError)):
        with pytest.raises(error, match="sampler"):
            m.PyTorchDataDataset(Samples(), sampler=[2, 1]).get_worker_partition()
    with pytest.raises(UsageError, match="with a batch_sampler can't be shared out: its indices are of all 7 samples"):
        federated.PyTorchDataDataset(Samples(), batch_sampler=[[2], [1]]).get_worker_partition()


def test_labels_in_a_column_are_labels() -> None:
    """Both take them; the draws are another deliberate difference, so only what is the same of any partition is."""

    def program(m: Any) -> Any:
        labels = (np.arange(40) % 4)[:, None]
        users = m.partition_by_dirichlet_class_distribution(labels, 0.5, lambda: 8)
        return [len(user) for user in users], sorted(int(index) for user in users for index in user)

    assert same(program) == ([8] * 5, list(range(40)))
    column, flat = (np.arange(40) % 4)[:, None], np.arange(40) % 4
    partitions = []
    for labels in (column, flat):
        np.random.seed(3)
        partitions.append(federated.partition_by_dirichlet_class_distribution(labels, 0.5, lambda: 8))
    assert partitions[0] == partitions[1]


def test_a_collator_says_who_the_user_is() -> None:
    def program(m: Any) -> Any:
        dataset = pytorch_users(m, NamedUsers(), collate_fn=lambda samples: samples[0])
        [(user, _)] = dataset.get_cohort(1)
        return user.user_id, plain(user.raw_data), [plain(batch) for batch in user.iter(1)]

    assert same(program) == ("name-0", [[0], [[0.0]]], [{"x": [0], "y": [[0.0]]}])


def test_make_user_dataset_fn_makes_the_users() -> None:
    def program(m: Any) -> Any:
        def make(loaded: Any) -> Any:
            return m.Dataset((loaded["x"][0].numpy(),), user_id=loaded["user_id"][0], metadata={"made": True})

        dataset = pytorch_users(m, NamedUsers(), make_user_dataset_fn=make)
        return [(user.user_id, user.metadata, plain(user.raw_data)) for user, _ in dataset.get_cohort(3)]

    assert same(program)[1] == ("name-1", {"made": True}, [[0, 1]])


def test_tensors_are_on_pfls_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dict's are where they were: pfl leaves them to the model."""

    def program(m: Any) -> Any:
        [(user, _)] = pytorch_users(m).get_cohort(1)
        [(named, _)] = pytorch_users(m, NamedUsers(), collate_fn=lambda samples: samples[0]).get_cohort(1)
        return [str(t.device) for t in user.raw_data], [str(t.device) for t in named.raw_data]

    assert same(program) == (["cpu"] * 3, ["cpu"] * 2)
    monkeypatch.setenv("PFL_PYTORCH_DEVICE", "meta")
    assert same(program) == (["meta"] * 3, ["cpu"] * 2)


def test_processes_start_once_for_all_cohorts() -> None:
    def processes() -> frozenset[int | None]:
        return frozenset(process.pid for process in multiprocessing.active_children())

    def program(m: Any) -> Any:
        before = processes()
        dataset = pytorch_users(m, num_workers=2)
        seen = []
        for size in (3, 5, 1, 4):
            seen.append(([plain(user.raw_data) for user, _ in dataset.get_cohort(size)], processes() - before))
        del dataset
        stop_loading()
        return [users for users, _ in seen], len({workers for _, workers in seen}), len(seen[0][1])

    assert same(program)[1:] == (1, 2)


def stop_loading() -> None:
    """End the processes of DataLoaders that are still there: the collector would take seconds for it."""
    for thing in gc.get_objects():
        if type(thing).__name__ == "_MultiProcessingDataLoaderIter":
            thing._shutdown_workers()


def test_pfl_takes_these_classes_for_its_own() -> None:
    """FederatedGBDT, for one, asserts that its data are pfl's TabularDatasets."""
    names = ("AbstractDataset", "Dataset", "TabularDataset", "DatasetSplit", "FederatedDatasetBase", "FederatedDataset")
    names += ("ArtificialFederatedDataset", "FederatedDatasetMixture", "PyTorchTensorDataset", "PyTorchDataDataset")
    names += ("PyTorchFederatedDataset", "AbstractUserStateStorage", "InMemoryUserStateStorage", "DiskUserStateStorage")
    pfl()
    x = np.arange(3)
    user = federated.TabularDataset(x, x)
    assert isinstance(user, pfl().TabularDataset)
    assert not isinstance(federated.DatasetSplit(user, user), pfl().Dataset)
    for name in names:
        assert issubclass(getattr(federated, name), getattr(pfl(), name)), name


def test_from_slices_makes_the_subclass() -> None:
    def program(m: Any) -> Any:
        class Mine(m.FederatedDataset):  # type: ignore[misc, name-defined]
            def __init__(self, make_dataset_fn: Any, user_sampler: Any) -> None:
                super().__init__(make_dataset_fn, user_sampler)

        class MyPool(m.ArtificialFederatedDataset):  # type: ignore[misc, name-defined]
            def __init__(self, make_dataset_fn: Any, data_sampler: Any, sample_dataset_len: Any) -> None:
                super().__init__(make_dataset_fn, data_sampler, sample_dataset_len)

        labels = np.arange(30) % 2
        made = [
            Mine.from_slices(SLICES, lambda: 3),
            MyPool.from_slices([np.arange(9)], range, lambda: 2),
            Mine.from_slices_with_dirichlet_class_distribution((labels,), labels, 1.0, lambda: 3),
        ]
        return [type(dataset).__name__ for dataset in made], [drawn(dataset.get_cohort(2)) for dataset in made[:2]]

    assert same(program)[0] == ["Mine", "MyPool", "FederatedDataset"]


def test_a_dataset_class_may_take_no_user_id() -> None:
    def program(m: Any) -> Any:
        class Bare(m.Dataset):  # type: ignore[misc, name-defined]
            def __init__(self, raw_data: Any, train_kwargs: Any = None) -> None:
                super().__init__(raw_data, train_kwargs=train_kwargs)

        dataset = pytorch_users(m, dataset_cls=Bare, dataset_kwargs={"train_kwargs": {"lr": 1}})
        return [(type(user).__name__, user.train_kwargs, plain(user.raw_data)) for user, _ in dataset.get_cohort(2)]

    assert same(program)[0][:2] == ("Bare", {"lr": 1})


def test_a_dict_of_tensors_has_a_tuple_as_raw_data() -> None:
    def program(m: Any) -> Any:
        user = m.PyTorchTensorDataset({"a": torch.arange(4), "b": torch.ones(4)})
        return [plain(user.raw_data), type(user.raw_data), len(user), plain(list(user.iter(3)))]

    assert same(program)[1:3] == [tuple, 4]


def test_arguments_are_in_pfls_order() -> None:
    x = np.arange(4)

    def program(m: Any) -> Any:
        described = [
            m.TabularDataset(x, x, {"m": 1}, None, {"t": 2}, {"e": 3}),
            m.Dataset((x,), "u", {"m": 1}, {"t": 2}, {"e": 3}, None),
            m.PyTorchTensorDataset((torch.arange(4),), "u", {"m": 1}, None, {"t": 2}, {"e": 3}),
            m.PyTorchDataDataset(Samples(), "u", {"m": 1}, {"t": 2}, {"e": 3}),
        ]
        return [(user.user_id, user.metadata, user.train_kwargs, user.eval_kwargs) for user in described]

    assert same(program)[0] == (None, {"m": 1}, {"t": 2}, {"e": 3})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: m.Dataset((np.arange(3),), {"m": 1}), r"user_id is \{'m': 1\}, expected a string"),
        (lambda m: m.PyTorchTensorDataset((torch.arange(3),), {"m": 1}), "user_id is"),
        (lambda m: m.PyTorchDataDataset(Samples(), {"m": 1}), "user_id is"),
        (lambda m: m.TabularDataset(np.arange(3), np.arange(3), "u"), "metadata is 'u', expected a dict or None"),
        (lambda m: m.TabularDataset(np.arange(3), np.arange(3), None, None, [1]), r"train_kwargs is \[1\], expected"),
        (lambda m: m.Dataset((np.arange(3),), "u", None, [1]), r"train_kwargs is \[1\], expected a dict"),
        (lambda m: m.PyTorchTensorDataset((torch.arange(3),), "u", None, {"lr": 1}), "val_indices are object"),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(make: Program, message: str) -> None:
    make(pfl())  # takes it without a word
    with pytest.raises(UsageError, match=message):
        make(federated)


@pytest.mark.parametrize(
    "act",
    [
        lambda m: m.DatasetSplit(m.Dataset(SLICES[3]), m.Dataset(SLICES[3])).split(fraction=0.5),
        lambda m: m.DatasetSplit(m.Dataset(SLICES[3]), m.Dataset(SLICES[3])).split(min_val_size=1),
        lambda m: m.FederatedDatasetMixture([0.5, 0.5], [m.FederatedDataset.from_slices(SLICES, lambda: 3)]),
        lambda m: m.PyTorchDataDataset(Samples(), sampler=[2, 1]).get_worker_partition(),
        lambda m: pytorch_users(m, batch_size=2),
        lambda m: m.DirichletDataSampler(np.ones(3), np.arange(2)),
        lambda m: m.CrossSiloUserSampler("random"),
        lambda m: m.CrossSiloUserSampler.assign_silo_to_process(2, 3, 1),
    ],
)
def test_what_pfl_finds_by_an_assertion_can_be_caught_as_one(act: Program) -> None:
    with pytest.raises(AssertionError):
        act(pfl())
    with pytest.raises(AssertionError) as caught:
        act(federated)
    assert isinstance(caught.value, UsageError)


def test_the_dirichlet_sampler_asks_numpy_as_pfl_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program may put functions of its own in NumPy's, as pfl's own tests do."""

    def program(m: Any) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(np.random, "dirichlet", lambda *, alpha: alpha / alpha.sum())
            patched.setattr(np.random, "multinomial", lambda n, *, pvals: (n * pvals).astype(int))
            patched.setattr(np.random, "choice", lambda a, *, size, replace=True: a[:size])
            return plain(m.DirichletDataSampler(np.array([1.0, 3.0]), np.arange(40) % 2)(8))

    assert same(program) == [0, 2, 1, 3, 5, 7, 9, 11]


def test_seeds_and_ids_can_be_drawn_alone() -> None:
    def program(m: Any) -> Any:
        users = m.FederatedDataset.from_slices(SLICES, m.get_user_sampler("random", USERS))
        pool = m.ArtificialFederatedDataset.from_slices([np.arange(9)], m.get_data_sampler("random", 9), lambda: 2)
        ids = [(user, int(seed)) for user, seed in itertools.islice(users.sampler, 3)]
        indices = [(plain(samples), int(seed)) for samples, seed in itertools.islice(pool.sampler, 2)]
        return ids, indices, int(users._get_seed()), drawn(users.get_cohort(2)), drawn(itertools.islice(pool, 2))

    same(program)


@pytest.fixture(params=["memory", "disk"])
def storages(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Any], Any]:
    folders: Iterator[Path] = (tmp_path / f"states{number}" for number in itertools.count())
    if request.param == "memory":
        return lambda m: m.InMemoryUserStateStorage()
    return lambda m: m.DiskUserStateStorage(str(next(folders)))


def test_user_states_are_kept_by_user_and_key(storages: Callable[[Any], Any]) -> None:
    pfl()
    from pfl.exception import UserNotFoundError

    def program(m: Any) -> Any:
        storage = storages(m)
        found = []

        def load(*names: Any) -> None:
            try:
                found.append(plain(storage.load_state(*names)))
            except UserNotFoundError:
                found.append("nobody")

        load("u")
        storage.save_state({"w": torch.arange(3), "n": 1}, "u")
        storage.save_state({"w": torch.ones(2)}, "u", "other")
        storage.save_state({"n": 2}, "v")
        storage.save_state({"n": 3}, "v")
        for names in (("u",), ("u", "other"), ("v",), ("v", "other"), ("u", None)):
            load(*names)
        storage.clear_states()
        load("u")
        storage.save_state({"n": 4}, "u")
        load("u")
        return found

    assert same(program)[:4] == ["nobody", {"w": [0, 1, 2], "n": 1}, {"w": [1.0, 1.0]}, {"n": 3}]
