"""Which worker of how many this process is.

Asked are, in this order, pfl-research where it is imported, torch.distributed where it is initialized, and the
environment: srun's variables, torchrun's, Open MPI's and pfl-research's. The first that answers decides; another that
says otherwise is an error, because workers that disagree train on the same users twice, or leave some out.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from fedsynth.errors import UsageError
from fedsynth.federated.beside_pfl import pfl_workers
from fedsynth.federated.launchers import Claim, read_claims, unlaunched_tasks

_OWN_WAY = "or say which worker this is with use_context(DistributedContext(rank, world_size))"


@dataclass(frozen=True)
class DistributedContext:
    """One worker among those that train together.

    Args:
        rank: This worker's number in [0, world_size).
        world_size: The number of workers.
        local_rank: This worker's number among those of its node.
        local_size: The number of workers of this node.

    Raises:
        UsageError: The numbers contradict each other.

    Examples:
        >>> from fedsynth import DistributedContext
        >>> [list(DistributedContext(rank, 2).distribute_range(5)) for rank in range(2)]
        [[0, 1, 2], [3, 4]]
    """

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0
    local_size: int = 1

    def __post_init__(self) -> None:
        _check_rank("rank", self.rank, "world_size", self.world_size)
        _check_rank("local_rank", self.local_rank, "local_size", self.local_size)
        if self.local_size > self.world_size:
            raise UsageError(
                f"local_size is {self.local_size} but world_size {self.world_size}, expected no more workers on a node "
                "than in all; check how the workers are started"
            )
        if self.local_size == self.world_size and self.local_rank != self.rank:
            raise UsageError(
                f"rank is {self.rank} but local_rank {self.local_rank}, expected the same on a single node of "
                f"{self.world_size} workers; check how the workers are started"
            )

    @classmethod
    def from_env(cls) -> DistributedContext:
        """Read srun's variables, torchrun's, Open MPI's, pfl-research's; without any, be the one worker.

        Where the local numbers are missing, all workers are taken to be on one node. Warns where it had to assume
        something: several tasks of Slurm without srun, RANK and WORLD_SIZE without torchrun.

        Raises:
            UsageError: Variables contradict each other, are no numbers, or give only one of rank and world size.
        """
        return _agreed(list(read_claims(os.environ)))

    def distribute_range(self, n: int) -> range:
        """Return this worker's contiguous share of range(n): sizes differ by at most one, the first ranks have more."""
        size, extra = divmod(n, self.world_size)
        start = self.rank * size + min(self.rank, extra)
        return range(start, start + size + (self.rank < extra))


_current: ContextVar[DistributedContext | None] = ContextVar("fedsynth_distributed_context", default=None)


def current_context() -> DistributedContext:
    """Return the context that datasets use.

    That is `use_context`'s, else what pfl-research, torch.distributed or the environment say now; warns as
    `DistributedContext.from_env` does.

    Raises:
        UsageError: Two of them disagree, and where `DistributedContext.from_env` raises it.

    Examples:
        >>> from fedsynth import current_context
        >>> current_context()
        DistributedContext(rank=0, world_size=1, local_rank=0, local_size=1)
    """
    return _current.get() or _agreed([*_libraries(), *read_claims(os.environ)])


@contextlib.contextmanager
def use_context(context: DistributedContext) -> Iterator[DistributedContext]:
    """Make `context` the current one, in this thread, for as long as the block runs; nothing else is asked then.

    Args:
        context: Which worker this is.

    Examples:
        >>> from fedsynth import DistributedContext, current_context, use_context
        >>> with use_context(DistributedContext(rank=1, world_size=2)):
        ...     current_context().rank
        1
    """
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def _libraries() -> Iterator[Claim]:
    """Yield what pfl-research and torch.distributed say, as far as they are imported and started."""
    workers = pfl_workers()
    if workers is not None:
        several = workers.world_size > 1  # its local numbers, where it is alone, are the environment's
        local = (workers.local_rank, workers.local_size) if several else (0, 1)
        yield Claim("pfl", workers.global_rank, workers.world_size, local)
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        yield Claim("torch.distributed", distributed.get_rank(), distributed.get_world_size(), None)


def _agreed(claims: Sequence[Claim]) -> DistributedContext:
    claims = [claim for claim in claims if not any(_started(claim, other) for other in claims)]
    for other in claims[1:]:
        if (other.rank, other.world_size) != (claims[0].rank, claims[0].world_size):
            raise UsageError(
                f"{claims[0]}, but {other}; expected the same of both; start the workers in one way, unset what isn't "
                f"meant, {_OWN_WAY}"
            )
    if not claims:
        _warn_of_tasks()
        return DistributedContext()
    first = claims[0]
    if first.world_size > 1 and not any(claim.launched for claim in claims):
        _warn(f"{first}, is assumed, although neither torchrun nor torch.distributed says so; start with torchrun")
    return _context(first, claims)


def _started(outer: Claim, inner: Claim) -> bool:
    """Whether one launcher started the other, once or once a node, and so only says which node this is."""
    if not outer.starts_launchers or inner.world_size <= outer.world_size:
        return False
    return outer.world_size in (1, inner.world_size // inner.local[1] if inner.local else 0)


def _context(first: Claim, claims: Sequence[Claim]) -> DistributedContext:
    local = next((claim.local for claim in claims if claim.local), (first.rank, first.world_size))
    try:
        return DistributedContext(first.rank, first.world_size, *local)
    except UsageError as error:
        raise UsageError(f"{first.source}: {error}") from error


def _warn_of_tasks() -> None:
    tasks = unlaunched_tasks(os.environ)
    if tasks:
        _warn(f"{tasks}, but srun did not start this process; it is assumed to be the only worker; start it with srun")


def _warn(text: str) -> None:
    warnings.warn(f"{text}, {_OWN_WAY}", UserWarning, stacklevel=4)


def _check_rank(rank_name: str, rank: int, size_name: str, size: int) -> None:
    if size < 1:
        raise UsageError(f"{size_name} is {size}, expected at least 1; check how the workers are started")
    if not 0 <= rank < size:
        raise UsageError(
            f"{rank_name} is {rank} and {size_name} {size}, expected 0 to {size - 1}; check how the workers are started"
        )
