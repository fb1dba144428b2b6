"""Which worker of how many this process is."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

from fedsynth.errors import UsageError


@dataclass(frozen=True)
class DistributedContext:
    """One worker among those that train together.

    rank: this worker's number in [0, world_size); local_rank, local_size: the same among the workers of its node.
    Raises UsageError for numbers that contradict each other.
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
        """Read torchrun's variables, else Open MPI's, else Slurm's, else be the one worker.

        Where the local numbers are missing, all workers are taken to be on one node. Raises UsageError for
        variables that contradict each other, are no numbers, or give only one of rank and world size.
        """
        for names in _LAUNCHERS:
            if names.rank in os.environ or names.world_size in os.environ:
                return _from_variables(os.environ, names)
        return cls()

    def distribute_range(self, n: int) -> range:
        """Return this worker's contiguous share of range(n): sizes differ by at most one, first ranks get the extra."""
        size, extra = divmod(n, self.world_size)
        start = self.rank * size + min(self.rank, extra)
        return range(start, start + size + (self.rank < extra))


@dataclass(frozen=True)
class _Variables:
    rank: str
    world_size: str
    local_rank: str
    local_size: str
    local_sizes: str = ""
    """Holds the sizes of all nodes, as in `3(x2),1`; read rather than local_size, which is a mere limit."""
    node: str = ""
    """Holds this node's number among them; the first one if missing."""


_LAUNCHERS = (
    _Variables("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    _Variables(
        "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"
    ),
    _Variables(
        "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE", "SLURM_TASKS_PER_NODE", "SLURM_NODEID"
    ),
)

_current: ContextVar[DistributedContext | None] = ContextVar("fedsynth_distributed_context", default=None)


def current_context() -> DistributedContext:
    """Return the context that datasets use: `use_context`'s, else what the environment says now."""
    return _current.get() or DistributedContext.from_env()


@contextlib.contextmanager
def use_context(context: DistributedContext) -> Iterator[DistributedContext]:
    """Make `context` the current one, in this thread, for as long as the block runs."""
    token = _current.set(context)
    try:
        yield context
    finally:
        _current.reset(token)


def _check_rank(rank_name: str, rank: int, size_name: str, size: int) -> None:
    if size < 1:
        raise UsageError(f"{size_name} is {size}, expected at least 1; check how the workers are started")
    if not 0 <= rank < size:
        raise UsageError(
            f"{rank_name} is {rank} and {size_name} {size}, expected 0 to {size - 1}; check how the workers are started"
        )


def _from_variables(environ: Mapping[str, str], names: _Variables) -> DistributedContext:
    rank, world_size = (_number(environ, name) for name in (names.rank, names.world_size))
    if rank is None or world_size is None:
        missing, present = (names.rank, names.world_size)[:: 1 if rank is None else -1]
        raise UsageError(f"{present} is set but {missing} is not, expected both; set it or unset the other")
    local_rank, local_size = _number(environ, names.local_rank), _local_size(environ, names, world_size)
    if local_size is None and local_rank not in (None, rank):
        raise UsageError(
            f"{names.rank} is {rank} and {names.local_rank} {local_rank} but {names.local_size} is not set, expected "
            "the number of workers on this node; set it"
        )
    local_size = world_size if local_size is None else local_size
    if local_rank is None:
        local_rank = rank % max(local_size, 1)
    try:
        return DistributedContext(rank, world_size, local_rank, local_size)
    except UsageError as error:
        variables = ", ".join(f"{name}={environ.get(name, 'unset')}" for name in vars(names).values() if name)
        raise UsageError(f"{variables}: {error}") from error


def _local_size(environ: Mapping[str, str], names: _Variables, world_size: int) -> int | None:
    """Return how many workers this node has, None where nothing says so."""
    local_size = _number(environ, names.local_size)
    if not names.local_sizes:
        return local_size
    if not environ.get(names.local_sizes):
        return None if local_size is None else min(local_size, world_size)
    sizes = _expanded(names.local_sizes, environ[names.local_sizes])
    node = _number(environ, names.node) or 0
    if not 0 <= node < len(sizes):
        raise UsageError(
            f"{names.node} is {node} but {names.local_sizes} {environ[names.local_sizes]!r}, expected 0 to "
            f"{len(sizes) - 1}; check how the workers are started"
        )
    return sizes[node]


def _expanded(name: str, text: str) -> list[int]:
    """Return the nodes' sizes: `3(x2),1` -> [3, 3, 1]."""
    sizes = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:\(x(\d+)\))?\s*", part)
        if not found:
            raise UsageError(f"{name} is {text!r}, expected sizes such as '3(x2),1'; check how the workers are started")
        sizes += [int(found[1])] * int(found[2] or 1)
    return sizes


def _number(environ: Mapping[str, str], name: str) -> int | None:
    text = environ.get(name)
    try:
        return None if text is None else int(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}, expected a whole number; check how the workers are started") from None
