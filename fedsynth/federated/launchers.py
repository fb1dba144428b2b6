"""What the environment says about this process's rank among the workers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from fedsynth.errors import UsageError


@dataclass(frozen=True)
class Claim:
    """What one source says. source: its name for messages; local: local_rank and local_size, None if it doesn't say.

    launched: whether what started this process said so; variables alone may be left from anything else.
    starts_launchers: whether it may have started another launcher, one on each node, which started this process.
    """

    source: str
    rank: int
    world_size: int
    local: tuple[int, int] | None
    launched: bool = True
    starts_launchers: bool = False

    def __str__(self) -> str:
        return f"{self.source}: worker {self.rank} of {self.world_size}"


def read_claims(environ: Mapping[str, str]) -> Iterator[Claim]:
    """Yield what srun's variables say, torchrun's, Open MPI's and pfl-research's, of those that are set.

    Raises UsageError for variables that are no numbers, or give only one of rank and world size.
    """
    if environ.get("SLURM_STEP_NUM_TASKS"):  # a step is what srun starts; a job's script alone has no such variable
        yield _read(environ, _SRUN, starts_launchers=True)
    if "RANK" in environ or "WORLD_SIZE" in environ:
        yield _read(environ, _TORCHRUN, launched="TORCHELASTIC_RUN_ID" in environ)
    if "OMPI_COMM_WORLD_RANK" in environ or "OMPI_COMM_WORLD_SIZE" in environ:
        yield _read(environ, _OPEN_MPI)
    if "PFL_WORKER_RANK" in environ or "PFL_WORKER_ADDRESSES" in environ:
        yield _read_pfl(environ)


def unlaunched_tasks(environ: Mapping[str, str]) -> str:
    """Return `SLURM_NTASKS=4` in a job of several tasks of which this process is none, else nothing."""
    tasks = environ.get("SLURM_NTASKS")
    return "" if tasks in (None, "", "1") or environ.get("SLURM_STEP_NUM_TASKS") else f"SLURM_NTASKS={tasks}"


@dataclass(frozen=True)
class _Variables:
    rank: str
    world_size: str
    local_rank: str
    local_size: str
    local_sizes: tuple[str, ...] = ()
    """Hold the sizes of all nodes, as in `3(x2),1`; read rather than local_size, which is a mere limit."""
    node: str = ""
    """Holds this node's number among them; the first one if missing."""

    def shown(self, environ: Mapping[str, str]) -> str:
        names = (self.rank, self.world_size, self.local_rank, self.local_size, *self.local_sizes, self.node)
        return ", ".join(f"{name}={environ[name]}" for name in names if name in environ)


_TORCHRUN = _Variables("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_OPEN_MPI = _Variables(
    "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"
)
_SRUN = _Variables(
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_LOCALID",
    "SLURM_NTASKS_PER_NODE",
    ("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE"),
    "SLURM_NODEID",
)


def _read(
    environ: Mapping[str, str], names: _Variables, *, launched: bool = True, starts_launchers: bool = False
) -> Claim:
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
    return Claim(names.shown(environ), rank, world_size, (local_rank, local_size), launched, starts_launchers)


def _read_pfl(environ: Mapping[str, str]) -> Claim:
    """Read pfl-research's own start: each worker is a node of its own there."""
    rank, addresses = _number(environ, "PFL_WORKER_RANK"), environ.get("PFL_WORKER_ADDRESSES", "")
    if rank is None or not addresses:
        raise UsageError(
            "one of PFL_WORKER_RANK and PFL_WORKER_ADDRESSES is set but the other is not, expected both; set or unset "
            "them together"
        )
    world_size = len(addresses.split(","))
    return Claim(f"PFL_WORKER_RANK={rank}, PFL_WORKER_ADDRESSES={addresses}", rank, world_size, (0, 1))


def _local_size(environ: Mapping[str, str], names: _Variables, world_size: int) -> int | None:
    """Return how many workers this node has, None where nothing says so."""
    local_size = _number(environ, names.local_size)
    if not names.local_sizes:
        return local_size
    name = next((name for name in names.local_sizes if environ.get(name)), None)
    if name is None:
        return None if local_size is None else min(local_size, world_size)
    sizes = _expanded(name, environ[name])
    node = _number(environ, names.node) or 0
    if not 0 <= node < len(sizes):
        raise UsageError(
            f"{names.node} is {node} but {name} {environ[name]!r}, expected 0 to {len(sizes) - 1}; check how the "
            "workers are started"
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
