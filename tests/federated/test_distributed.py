"""Which worker this is."""

from __future__ import annotations

import threading

import pytest

from fedsynth.errors import UsageError
from fedsynth.federated import DistributedContext, current_context, use_context

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
SLURM = {"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_LOCALID": "2", "SLURM_NTASKS_PER_NODE": "3"}


def slurm(rank: str, world_size: str, local_rank: str, sizes: str, node: str = "0") -> dict[str, str]:
    """What srun sets."""
    return {
        "SLURM_PROCID": rank,
        "SLURM_NTASKS": world_size,
        "SLURM_LOCALID": local_rank,
        "SLURM_TASKS_PER_NODE": sizes,
        "SLURM_NODEID": node,
    }


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {**TORCHRUN, **OPEN_MPI, **SLURM, "SLURM_TASKS_PER_NODE": "", "SLURM_NODEID": ""}:
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch: pytest.MonkeyPatch, *environments: dict[str, str]) -> None:
    for environment in environments:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)


def test_without_a_launcher_there_is_one_worker() -> None:
    assert DistributedContext.from_env() == DistributedContext(0, 1, 0, 1)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (TORCHRUN, DistributedContext(3, 4, 1, 2)),
        (OPEN_MPI, DistributedContext(1, 2, 1, 2)),
        (SLURM, DistributedContext(5, 6, 2, 3)),
        (
            {"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_LOCALID": "2", "SLURM_TASKS_PER_NODE": "3(x2)"},
            DistributedContext(5, 6, 2, 3),
        ),
        (slurm("2", "3", "1", "1,2", "1"), DistributedContext(2, 3, 1, 2)),
        (slurm("0", "3", "0", "1,2", "0"), DistributedContext(0, 3, 0, 1)),
        (slurm("6", "7", "0", "2(x3),1", "3"), DistributedContext(6, 7, 0, 1)),
        ({**slurm("1", "2", "1", "2"), "SLURM_NTASKS_PER_NODE": "4"}, DistributedContext(1, 2, 1, 2)),
        (
            {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "4"},
            DistributedContext(1, 2, 1, 2),
        ),
        ({"RANK": "1", "WORLD_SIZE": "3"}, DistributedContext(1, 3, 1, 3)),
    ],
)
def test_each_launchers_variables_are_read(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: DistributedContext
) -> None:
    set_all(monkeypatch, environment)
    assert current_context() == expected


def test_torchrun_comes_before_open_mpi_before_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, SLURM, OPEN_MPI)
    assert DistributedContext.from_env().world_size == 2
    set_all(monkeypatch, TORCHRUN)
    assert DistributedContext.from_env().world_size == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"RANK": "4"}, "rank is 4 and world_size 4"),
        ({"RANK": "-1"}, "rank is -1"),
        ({"RANK": "one"}, "RANK is 'one', expected a whole number"),
        ({"WORLD_SIZE": "0"}, "world_size is 0"),
        ({"LOCAL_RANK": "2"}, "local_rank is 2 and local_size 2"),
        ({"LOCAL_WORLD_SIZE": "5"}, "local_size is 5 but world_size 4"),
        ({"LOCAL_WORLD_SIZE": "4"}, "rank is 3 but local_rank 1"),
    ],
)
def test_contradictory_variables_are_an_error(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str
) -> None:
    set_all(monkeypatch, TORCHRUN, change)
    with pytest.raises(UsageError, match=message):
        DistributedContext.from_env()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}, "LOCAL_RANK 1 but LOCAL_WORLD_SIZE is not set"),
        (slurm("0", "2", "0", "two"), "SLURM_TASKS_PER_NODE is 'two', expected sizes"),
        (slurm("0", "2", "0", "1,1", "2"), "SLURM_NODEID is 2 but SLURM_TASKS_PER_NODE '1,1', expected 0 to 1"),
    ],
)
def test_the_missing_or_wrong_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], message: str
) -> None:
    set_all(monkeypatch, environment)
    with pytest.raises(UsageError, match=message):
        DistributedContext.from_env()


def test_half_of_a_launchers_variables_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="WORLD_SIZE is set but RANK is not"):
        DistributedContext.from_env()


@pytest.mark.parametrize("world_size", [1, 2, 3, 5, 11])
def test_ranges_are_contiguous_and_first_ranks_get_more(world_size: int) -> None:
    shares = [DistributedContext(rank, world_size).distribute_range(7) for rank in range(world_size)]
    assert [index for share in shares for index in share] == list(range(7))
    sizes = [len(share) for share in shares]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes) - min(sizes) <= 1


def test_use_context_replaces_the_context_and_restores_it() -> None:
    outer, inner = DistributedContext(1, 3), DistributedContext(2, 3)
    with use_context(outer):
        with pytest.raises(KeyError), use_context(inner):
            assert current_context() == inner
            raise KeyError
        assert current_context() == outer
    assert current_context() == DistributedContext()


def test_threads_have_contexts_of_their_own() -> None:
    seen = []
    with use_context(DistributedContext(1, 3)):
        thread = threading.Thread(target=lambda: seen.append(current_context()))
        thread.start()
        thread.join()
    assert seen == [DistributedContext()]
