"""Who is next, and which samples: samplers of user ids and of sample indices.

All draw from NumPy's global state, which the federated datasets seed for each draw; the draws are pfl-research's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import AssertedError, whole_number
from fedsynth.federated.distributed import current_context
from fedsynth.federated.draws import Pin, note_pin

UserSampler = Callable[[], Any]
DataSampler = Callable[[int], Sequence[int] | NDArray[np.int64]]

_EVEN = 1e100
"""An alpha beyond it is scaled down to it: its proportions don't vary any more, and their sum would overflow."""


class RandomUserSampler:
    """Draws ids uniformly, with replacement."""

    def __init__(self, user_ids: Iterable[Any]) -> None:
        self._user_ids = _some(user_ids, "user_ids")

    def __call__(self) -> Any:
        return self._user_ids[np.random.randint(len(self._user_ids))]


class MinimizeReuseUserSampler:
    """Cycles through the ids in order, so that each comes again as late as can be."""

    def __init__(self, user_ids: Iterable[Any]) -> None:
        self._user_ids = _some(user_ids, "user_ids")
        self._next = 0

    def __call__(self) -> Any:
        user_id = self._user_ids[self._next]
        self._next = (self._next + 1) % len(self._user_ids)
        return user_id


class RandomDataSampler:
    """Draws indices in [0, max_bound) uniformly, with replacement."""

    def __init__(self, max_bound: int) -> None:
        self._max_bound = _at_least_1(max_bound)

    def __call__(self, n: int) -> NDArray[np.int64]:
        """Return [n] indices."""
        return np.random.randint(0, self._max_bound, size=n)


class MinimizeReuseDataSampler:
    """Returns the next indices of an endless cycle through [0, max_bound)."""

    def __init__(self, max_bound: int) -> None:
        self._max_bound = _at_least_1(max_bound)
        self._next = 0

    def __call__(self, n: int) -> list[int]:
        """Return the next n indices."""
        indices = [number % self._max_bound for number in range(self._next, self._next + n)]
        self._next = (self._next + n) % self._max_bound
        return indices


class DirichletDataSampler:
    """Draws class proportions from Dirichlet(alpha), then samples of those classes with replacement.

    alpha: [classes], positive, or one number for all; labels: [samples], the classes are its sorted unique values.
    """

    def __init__(self, alpha: Sequence[float] | NDArray[np.floating] | float, labels: NDArray[Any]) -> None:
        labels = np.asarray(labels)
        classes = _classes(labels)
        if len(classes) == 0:
            raise UsageError("labels are empty, expected at least one")
        self._alpha = _numbers("alpha", alpha)
        if self._alpha.ndim == 0:
            self._alpha = np.full(len(classes), self._alpha)
        if self._alpha.shape != (len(classes),):
            raise AssertedError(
                f"alpha has shape {self._alpha.shape}, expected one number for each of {len(classes)} classes in labels"
            )
        if not (np.isfinite(self._alpha).all() and (self._alpha > 0).all()):
            raise UsageError(f"alpha is {self._alpha.tolist()}, expected positive numbers")
        if self._alpha.max() > _EVEN:
            self._alpha *= _EVEN / self._alpha.max()
        self._samples = [np.flatnonzero(labels == label) for label in classes]

    def __call__(self, n: int) -> list[int]:
        """Return n indices, by class. NumPy's functions get the arguments that pfl-research gives them."""
        counts = np.random.multinomial(n, pvals=self._proportions())
        drawn = [np.random.choice(samples, size=count) for samples, count in zip(self._samples, counts, strict=True)]
        indices: list[int] = np.concatenate(drawn).tolist()
        return indices

    def _proportions(self) -> NDArray[np.float64]:
        proportions = np.random.dirichlet(alpha=self._alpha)
        if np.isfinite(proportions).all():
            return proportions
        # All gamma variables underflowed: a tiny alpha leaves one class, drawn by its share of alpha.
        chosen = np.random.choice(len(self._alpha), p=self._alpha / self._alpha.sum())
        proportions[:] = np.arange(len(proportions)) == chosen
        return proportions


class _InTurn:
    """Draws from one sampler after another, over and over."""

    def __init__(self, samplers: Sequence[UserSampler]) -> None:
        self._next_sampler = MinimizeReuseUserSampler(samplers)

    def __call__(self) -> Any:
        sampler = self._next_sampler()
        return sampler()


class CrossSiloUserSampler:
    """Draws users silo by silo, so that in each round every silo contributes.

    sampling_type: how a silo draws its user, 'random' or 'minimize_reuse'; silo_to_user_ids: the silos' users, in
    disjoint lists. Without it, user i of `user_ids` lives in silo i % n, n = num_silos or the number of workers.

    Silos are dealt to nodes round robin, each node's silos to its workers round robin, wrapping so that every worker
    has one. Successive calls go through the workers in rank order, each worker through its own silos in turn, and the
    federated datasets give a silo's users to its own worker alone. Raises UsageError for an empty silo, a user in two
    silos, fewer silos than nodes or nodes of different sizes.
    """

    def __init__(
        self,
        sampling_type: str = "random",
        user_ids: Sequence[Any] | None = None,
        silo_to_user_ids: Mapping[Hashable, Sequence[Any]] | None = None,
        num_silos: int | None = None,
    ) -> None:
        context = current_context()
        silos = _silos(user_ids, silo_to_user_ids, context.world_size if num_silos is None else num_silos)
        num_nodes, rest = divmod(context.world_size, context.local_size)
        if rest:
            raise AssertedError(
                f"{context.world_size} workers with {context.local_size} on this node, expected as many on every node"
            )
        samplers = [get_user_sampler(sampling_type, users) for users in silos.values()]
        dealt = self.assign_silo_to_process(len(samplers), num_nodes, context.local_size)
        self._workers = [_InTurn([samplers[silo] for silo in dealt[worker]]) for worker in range(context.world_size)]
        self._next_worker = MinimizeReuseUserSampler(range(context.world_size))

    def __call__(self) -> Any:
        worker = self._next_worker()
        user_id = self._workers[worker]()
        note_pin(Pin(worker, len(self._workers)))
        return user_id

    @staticmethod
    def assign_silo_to_process(num_silos: int, num_nodes: int, num_local_processes: int) -> dict[int, list[int]]:
        """Return for each worker the numbers of its silos; worker = node * num_local_processes + local rank."""
        if num_silos < num_nodes:
            raise AssertedError(f"{num_silos} silos for {num_nodes} nodes, expected at least one silo for each node")
        dealt: dict[int, list[int]] = {}
        for node in range(num_nodes):
            silos = range(num_silos)[node::num_nodes]
            for local in range(num_local_processes):
                own = silos[local::num_local_processes] or [silos[local % len(silos)]]
                dealt[node * num_local_processes + local] = list(own)
        return dealt


def get_user_sampler(
    sample_type: str,
    user_ids: Sequence[Any],
    silo_to_user_ids: Mapping[Hashable, Sequence[Any]] | None = None,
    num_silos: int | None = None,
) -> UserSampler:
    """Return a sampler of user ids: 'random' or 'minimize_reuse'; over silos where these are given.

    Raises UsageError for another name or no users.
    """
    if sample_type not in _USER_SAMPLERS:
        raise _unknown("user sampler", sample_type, _USER_SAMPLERS)
    if silo_to_user_ids is not None or num_silos is not None:
        return CrossSiloUserSampler(sample_type, user_ids, silo_to_user_ids, num_silos)
    return _USER_SAMPLERS[sample_type](user_ids)


def get_data_sampler(
    sample_type: str,
    max_bound: int | None = None,
    alpha: Sequence[float] | NDArray[np.floating] | float | None = None,
    labels: NDArray[Any] | None = None,
) -> DataSampler:
    """Return a sampler of sample indices: 'random' or 'minimize_reuse' (both need max_bound), or 'dirichlet'.

    'dirichlet' needs alpha and labels. Raises UsageError for another name or a missing argument.
    """
    if sample_type not in _DATA_SAMPLERS:
        raise _unknown("data sampler", sample_type, _DATA_SAMPLERS)
    make, needed = _DATA_SAMPLERS[sample_type]
    given = {"max_bound": max_bound, "alpha": alpha, "labels": labels}
    for name in needed:
        if given[name] is None:
            raise UsageError(f"the {sample_type!r} data sampler got no {name}, expected one; pass {name}=")
    return make(*(given[name] for name in needed))


_USER_SAMPLERS: dict[str, Callable[[Sequence[Any]], UserSampler]] = {
    "random": RandomUserSampler,
    "minimize_reuse": MinimizeReuseUserSampler,
}
_DATA_SAMPLERS: dict[str, tuple[Callable[..., DataSampler], tuple[str, ...]]] = {
    "random": (RandomDataSampler, ("max_bound",)),
    "minimize_reuse": (MinimizeReuseDataSampler, ("max_bound",)),
    "dirichlet": (DirichletDataSampler, ("alpha", "labels")),
}


def _unknown(what: str, name: str, known: Mapping[str, object]) -> UsageError:
    return UsageError(f"unknown {what} {name!r}, expected one of {', '.join(map(repr, known))}")


def _some(values: Iterable[Any], name: str) -> list[Any]:
    listed = list(values)
    if not listed:
        raise UsageError(f"{name} are empty, expected at least one")
    return listed


def _classes(labels: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.unique(labels)
    except TypeError as error:
        raise UsageError(f"labels can't be sorted ({error}), expected values of one kind") from error


def _numbers(name: str, value: Any) -> NDArray[np.float64]:
    try:
        return np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is {value!r:.80}, expected numbers") from None


def _at_least_1(max_bound: int) -> int:
    if whole_number("max_bound", max_bound) < 1:
        raise UsageError(f"max_bound is {max_bound}, expected at least 1: the number of samples to draw from")
    return max_bound


def _silos(
    user_ids: Sequence[Any] | None, given: Mapping[Hashable, Sequence[Any]] | None, num_silos: int
) -> Mapping[Hashable, Sequence[Any]]:
    if given is None:
        if user_ids is None:
            raise AssertedError("got neither user_ids nor silo_to_user_ids, expected one of the two")
        if whole_number("num_silos", num_silos) < 1:
            raise UsageError(f"num_silos is {num_silos}, expected at least 1, or None for one a worker")
        user_ids = list(user_ids)
        given = {silo: user_ids[silo::num_silos] for silo in range(num_silos)}
    seen: dict[Any, Hashable] = {}
    for silo, users in given.items():
        if len(users) == 0:
            raise UsageError(f"silo {silo!r} has no users, expected at least one in each of {len(given)} silos")
        for user in users:
            if seen.setdefault(user, silo) != silo:
                raise UsageError(f"user {user!r} is in silos {seen[user]!r} and {silo!r}, expected each user in one")
    if not given:
        raise UsageError("silo_to_user_ids is empty, expected at least one silo")
    return given
