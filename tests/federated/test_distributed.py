"""Which worker this is."""

from __future__ import annotations

import sys
import threading
from types import SimpleNamespace

import pytest

from fedsynth.errors import UsageError
from fedsynth.federated import DistributedContext, current_context, use_context

BARE = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
TORCHRUN = {**BARE, "TORCHELASTIC_RUN_ID": "none"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
SLURM = {
    "SLURM_PROCID": "5",
    "SLURM_NTASKS": "6",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_LOCALID": "2",
    "SLURM_NTASKS_PER_NODE": "3",
}
PFL = {"PFL_WORKER_RANK": "1", "PFL_WORKER_ADDRESSES": "host-a:8081,host-b:8081,host-c:8081"}


def slurm(rank: str, world_size: str, local_rank: str, sizes: str, node: str = "0") -> dict[str, str]:
    """What srun sets."""
    return {
        "SLURM_PROCID": rank,
        "SLURM_NTASKS": world_size,
        "SLURM_STEP_NUM_TASKS": world_size,
        "SLURM_LOCALID": local_rank,
        "SLURM_TASKS_PER_NODE": sizes,
        "SLURM_NODEID": node,
    }


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    slurm = ("SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE", "SLURM_NODEID")
    for name in (*TORCHRUN, *OPEN_MPI, *SLURM, *PFL, *slurm):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "pfl.internal.ops.selector", raising=False)  # other tests import pfl


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
            {**slurm("5", "6", "2", "3(x2)"), "SLURM_NODEID": "1"},
            DistributedContext(5, 6, 2, 3),
        ),
        (
            {**slurm("1", "2", "1", "4"), "SLURM_STEP_TASKS_PER_NODE": "2", "SLURM_NTASKS": "4"},
            DistributedContext(1, 2, 1, 2),
        ),
        (slurm("2", "3", "1", "1,2", "1"), DistributedContext(2, 3, 1, 2)),
        (slurm("0", "3", "0", "1,2", "0"), DistributedContext(0, 3, 0, 1)),
        (slurm("6", "7", "0", "2(x3),1", "3"), DistributedContext(6, 7, 0, 1)),
        ({**slurm("1", "2", "1", "2"), "SLURM_NTASKS_PER_NODE": "4"}, DistributedContext(1, 2, 1, 2)),
        (
            {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2", "SLURM_LOCALID": "1", "SLURM_NTASKS_PER_NODE": "4"},
            DistributedContext(1, 2, 1, 2),
        ),
        ({"RANK": "1", "WORLD_SIZE": "3", "TORCHELASTIC_RUN_ID": "none"}, DistributedContext(1, 3, 1, 3)),
        (PFL, DistributedContext(1, 3, 0, 1)),
    ],
)
def test_each_launchers_variables_are_read(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: DistributedContext
) -> None:
    set_all(monkeypatch, environment)
    assert current_context() == expected


def test_launchers_that_say_the_same_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, OPEN_MPI, slurm("1", "2", "1", "2"), {"RANK": "1", "WORLD_SIZE": "2"})
    assert current_context() == DistributedContext(1, 2, 1, 2)


@pytest.mark.parametrize("other", [OPEN_MPI, SLURM, PFL])
def test_launchers_that_disagree_are_an_error(monkeypatch: pytest.MonkeyPatch, other: dict[str, str]) -> None:
    set_all(
        monkeypatch, {**TORCHRUN, "RANK": "0", "WORLD_SIZE": "7", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}, other
    )
    with pytest.raises(UsageError, match=r"worker \d of \d, but .*: worker \d of \d; expected the same of both"):
        current_context()
    with pytest.raises(UsageError, match=r"RANK=0, WORLD_SIZE=7.*: worker 0 of 7"):
        DistributedContext.from_env()


@pytest.mark.parametrize("sizes", [("0", "1", "0", "1", "0"), ("1", "2", "0", "1(x2)", "1")])
def test_torchrun_started_by_srun_once_a_node_decides(monkeypatch: pytest.MonkeyPatch, sizes: tuple[str, ...]) -> None:
    set_all(monkeypatch, TORCHRUN, slurm(*sizes))
    assert current_context() == DistributedContext(3, 4, 1, 2)


def test_variables_without_a_launcher_are_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, BARE)
    with pytest.warns(UserWarning, match=r"RANK=3, WORLD_SIZE=4.*worker 3 of 4, is assumed.*use_context"):
        assert current_context() == DistributedContext(3, 4, 1, 2)


def test_one_worker_needs_no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"RANK": "0", "WORLD_SIZE": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"})
    assert current_context() == DistributedContext()


def test_a_slurm_job_without_srun_is_one_worker_and_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"SLURM_PROCID": "0", "SLURM_NTASKS": "4"})
    with pytest.warns(UserWarning, match="SLURM_NTASKS=4, but srun did not start this process.*the only worker"):
        assert current_context() == DistributedContext()


def test_use_context_asks_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, TORCHRUN, OPEN_MPI)
    with use_context(DistributedContext(1, 3)):
        assert current_context() == DistributedContext(1, 3)


def pfl_says(monkeypatch: pytest.MonkeyPatch, rank: int, world_size: int, local_rank: int, local_size: int) -> None:
    """What pfl-research's modules hold where it is imported and its framework chosen."""
    workers = SimpleNamespace(global_rank=rank, world_size=world_size, local_rank=local_rank, local_size=local_size)
    selector = SimpleNamespace(get_framework_module=lambda: SimpleNamespace(distributed=workers))
    monkeypatch.setitem(sys.modules, "pfl.internal.ops.selector", selector)  # type: ignore[arg-type]


def test_pfl_decides_where_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    pfl_says(monkeypatch, 1, 3, 0, 1)
    assert current_context() == DistributedContext(1, 3, 0, 1)
    set_all(monkeypatch, PFL)
    assert current_context() == DistributedContext(1, 3, 0, 1)


@pytest.mark.parametrize("environment", [PFL, SLURM, OPEN_MPI, BARE])
def test_workers_that_pfl_knows_nothing_of_are_an_error(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """Each of them would train the whole cohort, or train a share that nobody sums up."""
    pfl_says(monkeypatch, 0, 1, 1, 2)
    assert current_context() == DistributedContext()
    set_all(monkeypatch, environment)
    with pytest.raises(UsageError, match=r"pfl: worker 0 of 1, but .*expected the same of both"):
        current_context()


def test_pfl_without_a_framework_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_chosen() -> None:
        raise AssertionError

    selector = SimpleNamespace(get_framework_module=none_chosen)
    monkeypatch.setitem(sys.modules, "pfl.internal.ops.selector", selector)  # type: ignore[arg-type]
    set_all(monkeypatch, PFL)
    assert current_context() == DistributedContext(1, 3, 0, 1)


@pytest.mark.parametrize("name", PFL)
def test_half_of_pfls_variables_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, PFL[name])
    with pytest.raises(UsageError, match="one of PFL_WORKER_RANK and PFL_WORKER_ADDRESSES is set"):
        current_context()


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
