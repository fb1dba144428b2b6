"""Which user is next: samplers of user ids.

All draw from NumPy's global state, which the federated datasets seed for each draw; the draws are pfl-research's.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fedsynth.errors import UsageError
from fedsynth.federated.arguments import AssertedError, unknown_name, whole_number
from fedsynth.federated.distributed import current_context
from fedsynth.federated.draws import Pin, note_pin

UserSampler = Callable[[], Any]


class RandomUserSampler:
    """Draws ids uniformly, with replacement.

    Args:
        user_ids: The users, at least one.

    Raises:
        UsageError: There are no users.
    """

    def __init__(self, user_ids: Iterable[Any]) -> None:
        self._user_ids = _not_empty(user_ids)

    def __call__(self) -> Any:
        """Return the next user's id."""
        return self._user_ids[np.random.randint(len(self._user_ids))]


class MinimizeReuseUserSampler:
    """Cycles through the ids in order, so that each comes again as late as can be.

    Args:
        user_ids: The users, at least one.

    Raises:
        UsageError: There are no users.

    Examples:
        >>> from fedsynth import MinimizeReuseUserSampler
        >>> sampler = MinimizeReuseUserSampler(["a", "b", "c"])
        >>> [sampler() for _ in range(5)]
        ['a', 'b', 'c', 'a', 'b']
    """

    def __init__(self, user_ids: Iterable[Any]) -> None:
        self._user_ids = _not_empty(user_ids)
        self._next = 0

    def __call__(self) -> Any:
        """Return the next user's id."""
        user_id = self._user_ids[self._next]
        self._next = (self._next + 1) % len(self._user_ids)
        return user_id


class _InTurn:
    """Draws from one sampler after another, over and over."""

    def __init__(self, samplers: Sequence[UserSampler]) -> None:
        self._next_sampler = MinimizeReuseUserSampler(samplers)

    def __call__(self) -> Any:
        sampler = self._next_sampler()
        return sampler()


class CrossSiloUserSampler:
    """Draws users silo by silo, so that in each round every silo contributes.

    Silos go to nodes round robin, each node's silos to its workers round robin, wrapping so that every worker has one.
    Successive calls go through the workers in rank order, each worker through its own silos in turn, and the federated
    datasets give a silo's users to its own worker alone.

    Args:
        sampling_type: How a silo draws its user, 'random' or 'minimize_reuse'.
        user_ids: The users, where silo_to_user_ids is absent: user i is in silo i % num_silos.
        silo_to_user_ids: The users of each silo, in disjoint lists.
        num_silos: The number of silos for user_ids; None for one a worker.

    Raises:
        UsageError: A silo is empty, a user in two silos, there are fewer silos than nodes, or nodes differ in their
            numbers of workers.

    Examples:
        >>> from fedsynth import CrossSiloUserSampler
        >>> silos = {"north": ["a", "b"], "south": ["c"]}
        >>> sampler = CrossSiloUserSampler("minimize_reuse", silo_to_user_ids=silos)
        >>> [sampler() for _ in range(4)]
        ['a', 'c', 'b', 'c']
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
        assigned = self.assign_silo_to_process(len(samplers), num_nodes, context.local_size)
        self._workers = [_InTurn([samplers[silo] for silo in assigned[worker]]) for worker in range(context.world_size)]
        self._next_worker = MinimizeReuseUserSampler(range(context.world_size))

    def __call__(self) -> Any:
        """Return the next user's id, of the next worker's next silo."""
        worker = self._next_worker()
        user_id = self._workers[worker]()
        note_pin(Pin(worker, len(self._workers)))
        return user_id

    @staticmethod
    def assign_silo_to_process(num_silos: int, num_nodes: int, num_local_processes: int) -> dict[int, list[int]]:
        """Assign silos to workers.

        Args:
            num_silos: The number of silos.
            num_nodes: The number of nodes.
            num_local_processes: The number of workers of each node.

        Returns:
            For each worker, node * num_local_processes + local rank, the numbers of its silos.

        Raises:
            UsageError: There are fewer silos than nodes.
        """
        if num_silos < num_nodes:
            raise AssertedError(f"{num_silos} silos for {num_nodes} nodes, expected at least one silo for each node")
        assigned: dict[int, list[int]] = {}
        for node in range(num_nodes):
            silos = range(num_silos)[node::num_nodes]
            for local in range(num_local_processes):
                own = silos[local::num_local_processes] or [silos[local % len(silos)]]
                assigned[node * num_local_processes + local] = list(own)
        return assigned


def get_user_sampler(
    sample_type: str,
    user_ids: Sequence[Any],
    silo_to_user_ids: Mapping[Hashable, Sequence[Any]] | None = None,
    num_silos: int | None = None,
) -> UserSampler:
    """Return a sampler of user ids by its name.

    Args:
        sample_type: 'random' or 'minimize_reuse'.
        user_ids: The users.
        silo_to_user_ids: The users of each silo, for a `CrossSiloUserSampler` of this type.
        num_silos: The number of silos to spread user_ids over, for the same.

    Returns:
        A function that returns a user's id at each call.

    Raises:
        UsageError: The name is unknown, or there are no users.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import get_user_sampler
        >>> np.random.seed(1)
        >>> sampler = get_user_sampler("random", ["a", "b", "c"])
        >>> [sampler() for _ in range(4)]
        ['b', 'a', 'a', 'b']
    """
    if sample_type not in _USER_SAMPLERS:
        raise unknown_name("user sampler", sample_type, _USER_SAMPLERS)
    if silo_to_user_ids is not None or num_silos is not None:
        return CrossSiloUserSampler(sample_type, user_ids, silo_to_user_ids, num_silos)
    return _USER_SAMPLERS[sample_type](user_ids)


_USER_SAMPLERS: dict[str, Callable[[Sequence[Any]], UserSampler]] = {
    "random": RandomUserSampler,
    "minimize_reuse": MinimizeReuseUserSampler,
}


def _not_empty(user_ids: Iterable[Any]) -> list[Any]:
    listed = list(user_ids)
    if not listed:
        raise UsageError("user_ids are empty, expected at least one")
    return listed


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
