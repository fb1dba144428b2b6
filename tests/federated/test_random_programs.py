"""Random programs get the same users, seeds, batches and splits from this package as from pfl-research.

What differs on purpose is excluded by construction, and shown one by one in test_coming_from_pfl.py: cohorts of several
workers that are no multiple of their number, weights and mixtures with several workers, cohorts that are not read to
their end, users of a dict without a collate_fn, and the partition's draws.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedsynth import federated
from tests.federated.reference import pfl, pfl_worker

torch = pytest.importorskip("torch")

POOL = [np.arange(40) * 1.5, np.arange(40) % 4]


@dataclass(frozen=True)
class Made:
    """How a user's dataset is made of two arrays. draws: whether NumPy's global state is asked in that."""

    kind: str
    draws: bool

    def __call__(self, m: Any, size: int, name: str) -> Any:
        x = np.arange(size * 2.0).reshape(size, 2)
        x = x + np.random.randint(0, 1000) if self.draws else x
        y, described = np.arange(size), {"train_kwargs": {"name": name}}
        if self.kind == "tabular":
            return m.TabularDataset(x, y, {"of": name}, **described)
        if self.kind == "nested":
            return m.Dataset((x, [y, y * 2]), name, **described)
        if self.kind == "tensors":
            return m.PyTorchTensorDataset((torch.tensor(x), torch.tensor(y)), name, **described)
        if self.kind == "dict":
            return m.PyTorchTensorDataset({"x": torch.tensor(x), "y": torch.tensor(y)}, name, **described)
        return m.DatasetSplit(m.Dataset((x, y), name), m.Dataset((y,)))


@dataclass(frozen=True)
class Users:
    """Users with ids. num: how many; sampler, num_silos: who comes when; how: what makes them, None for from_slices."""

    num: int
    sampler: str
    num_silos: int | None
    how: Made | None
    weighted: bool

    def build(self, m: Any) -> Any:
        ids = [f"u{number}" for number in range(self.num)]
        sampler = m.get_user_sampler(self.sampler, ids, num_silos=self.num_silos)
        how = self.how
        if how is None:
            slices = {user: (np.arange(number + 1), np.ones((number + 1, 2))) for number, user in enumerate(ids)}
            return m.FederatedDataset.from_slices(slices, sampler)
        weights = {user: number % 3 for number, user in enumerate(ids)} if self.weighted else None
        return m.FederatedDataset(lambda user: how(m, 1 + int(user[1:]) % 7, user), sampler, weights)


class Loaded(torch.utils.data.Dataset[Any]):
    """Users for a DataLoader. draws: see Made."""

    def __init__(self, draws: bool) -> None:
        self._draws = draws

    def __getitem__(self, user: int) -> tuple[Any, Any]:
        offset = np.random.randint(0, 1000) if self._draws else 0
        return torch.arange(user + 1) + offset, torch.ones(user + 1, 3)


def collate(samples: list[Any]) -> dict[str, Any]:
    [(x, y)] = samples
    return {"x": x, "y": y, "user_id": f"user-{len(x)}"}


@dataclass(frozen=True)
class PyTorchUsers:
    """Users out of a DataLoader in this process. named: whether a collate_fn says who they are."""

    num: int
    sampler: str
    draws: bool
    named: bool

    def build(self, m: Any) -> Any:
        options = {"collate_fn": collate} if self.named else {}
        sampler = m.get_user_sampler(self.sampler, range(self.num))
        return m.PyTorchFederatedDataset(Loaded(self.draws), sampler, **options)


@dataclass(frozen=True)
class Pool:
    """Users out of a pool of samples. own_next: whether a subclass changes them in a `__next__` of its own."""

    sampler: str
    alpha: float
    most: int
    own_next: bool

    def build(self, m: Any) -> Any:
        class Changing(m.ArtificialFederatedDataset):  # type: ignore[misc, name-defined]
            def __next__(self) -> Any:
                user, seed = super().__next__()
                return m.Dataset(tuple(array + np.random.randint(9) for array in user.raw_data), "changed"), seed

        arguments = {"alpha": np.full(4, self.alpha), "labels": POOL[1]} if self.sampler == "dirichlet" else {}
        sampler = m.get_data_sampler(self.sampler, max_bound=40, **arguments)
        cls = Changing if self.own_next else m.ArtificialFederatedDataset
        return cls.from_slices(POOL, sampler, lambda: int(np.random.randint(1, self.most + 1)))


@dataclass(frozen=True)
class Mixture:
    """Users out of several of these."""

    weights: tuple[int, ...]
    components: tuple[Any, ...]

    def build(self, m: Any) -> Any:
        components = [component.build(m) for component in self.components]
        return m.FederatedDatasetMixture(list(self.weights[: len(components)]), components)


@dataclass(frozen=True)
class Step:
    """What a program asks for: `next`s, a cohort, ids and seeds alone, or a seed. trains: draws after each user."""

    ask: str
    count: int
    trains: bool


@dataclass(frozen=True)
class Program:
    """A dataset, steps, and what is asked of each user."""

    seed: int
    dataset: Any
    steps: tuple[Step, ...]
    batch_size: int | None
    split: tuple[Any, ...]
    rank: int
    world_size: int

    def run(self, m: Any) -> list[Any]:
        np.random.seed(self.seed)
        dataset = self.dataset.build(m)
        seen: list[Any] = []
        for step in self.steps:
            count = step.count * self.world_size if step.ask == "cohort" else step.count
            if step.ask == "seed":
                seen.append(int(dataset._get_seed()))
                continue
            pairs = dataset.get_cohort(count) if step.ask == "cohort" else itertools.islice(dataset, count)
            for user, seed in pairs:
                seen.append((int(seed), self._looked_at(user)))
                if step.trains:
                    np.random.random(len(user))
        return [*seen, np.random.random()]

    def _looked_at(self, user: Any) -> list[Any]:
        parts = [user]
        try:
            arguments = (None,) * 3 if "Split" in type(user).__name__ else self.split
            parts += user.split(*arguments)
        except (ValueError, AssertionError):
            parts.append("can't be split")
        unnamed = isinstance(self.dataset, PyTorchUsers) and not self.dataset.named
        name = None if unnamed else user.user_id  # here the id that was drawn, there nothing
        return [name, user.train_kwargs, *(part if isinstance(part, str) else self._samples(part) for part in parts)]

    def _samples(self, part: Any) -> list[Any]:
        batches = [] if "Split" in type(part).__name__ else [plain(batch) for batch in part.iter(self.batch_size)]
        return [len(part), plain(part.raw_data), batches]


def plain(value: Any) -> Any:
    """Arrays as lists with their types, whatever holds them: pfl's splits of a dict forget its keys."""
    if isinstance(value, dict):
        return [plain(entry) for entry in value.values()]
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return str(value.dtype), value.tolist()


samplers = st.sampled_from(["random", "minimize_reuse"])
made = st.builds(Made, st.sampled_from(["tabular", "nested", "tensors", "dict", "split"]), st.booleans())


def users(world_size: int) -> Any:
    silos = st.none() | st.integers(world_size, 4)
    weighted = st.booleans() if world_size == 1 else st.just(False)
    return st.builds(Users, st.integers(4, 15), samplers, silos, st.none() | made, weighted)


pools = st.builds(
    Pool,
    st.sampled_from(["random", "minimize_reuse", "dirichlet"]),
    st.sampled_from([0.1, 1.0, 30.0]),
    st.integers(1, 9),
    st.booleans(),
)
loaded = st.builds(PyTorchUsers, st.integers(1, 9), samplers, st.booleans(), st.booleans())
steps = st.builds(Step, st.sampled_from(["next", "cohort", "cohort", "seed"]), st.integers(0, 5), st.booleans())


def datasets(world_size: int) -> Any:
    simple = users(world_size) | pools | loaded
    if world_size > 1:
        return simple
    weights = st.tuples(*[st.integers(1, 5)] * 3)
    components = st.lists(users(1) | pools, min_size=1, max_size=3).map(tuple)
    mixtures = st.builds(Mixture, weights, components)
    nested = st.builds(Mixture, weights, st.lists(mixtures | pools, min_size=1, max_size=2).map(tuple))
    return simple | mixtures | nested


@st.composite
def programs(draw: Any, world_size: int) -> Program:
    minima = st.none() | st.integers(0, 3)
    return Program(
        seed=draw(st.integers(0, 2**32 - 1)),
        dataset=draw(datasets(world_size)),
        steps=draw(st.lists(steps, min_size=1, max_size=4).map(tuple)),
        batch_size=draw(st.none() | st.integers(1, 6)),
        split=draw(st.tuples(st.none() | st.sampled_from([0.0, 0.3, 0.8, 1.0]), minima, minima)),
        rank=draw(st.integers(0, world_size - 1)),
        world_size=world_size,
    )


many = settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))


@many
@given(programs(1))
def test_one_worker_gets_what_pfl_gives_it(program: Program) -> None:
    assert program.run(federated) == program.run(pfl())


@many
@given(programs(2))
def test_each_of_two_workers_gets_what_pfl_gives_it(program: Program) -> None:
    with pfl_worker(program.rank, program.world_size):
        assert program.run(federated) == program.run(pfl())
