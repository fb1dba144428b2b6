"""The engine's promises, with processes that run, fail and die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fedsynth.engine import INLINE, Engine, open_engine
from fedsynth.errors import EngineError, UsageError

Progress = Callable[[int], None]


def double(number: int, progress: Progress) -> int:
    progress(1)
    return 2 * number


def fail_on_two(number: int, progress: Progress) -> int:
    if number == 2:
        raise ValueError("two")
    return number


def slow_mark(path: Path, progress: Progress) -> None:
    time.sleep(0.2)
    path.touch()


def work(seconds: float, progress: Progress) -> None:
    """Go on for a while, telling of it every few milliseconds as a job that copies users does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.002)
        progress(1)


def die(seconds: float, progress: Progress) -> None:
    """Be killed in a worker process; in this one go on."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    work(seconds, progress)


def who(seconds: float, progress: Progress) -> int:
    work(seconds, progress)
    return os.getpid()


def wait_long(folder: Path, progress: Progress) -> None:
    """Write down who is at work; half a minute, user by user."""
    (folder / str(os.getpid())).touch()
    for _ in range(3000):
        time.sleep(0.01)
        progress(1)


@pytest.fixture(scope="module")
def two_processes() -> Iterator[Engine]:
    with open_engine(workers=2) as engine:
        yield engine


def bring_up(engine: Engine) -> None:
    """Have both processes at work."""
    while len(set(engine.map(who, [0.5] * 4))) < 2:
        pass


def test_results_come_in_the_order_of_the_jobs(two_processes: Engine) -> None:
    for engine in (INLINE, two_processes):
        assert list(engine.map(double, range(20))) == list(range(0, 40, 2))


def test_progress_counts_once_wherever_the_job_runs(two_processes: Engine) -> None:
    for engine in (INLINE, two_processes):
        done: list[int] = []
        list(engine.map(double, range(5), progress=done.append, users=lambda job: 1))
        assert sum(done) == 5


def test_jobs_are_taken_as_they_are_needed(two_processes: Engine) -> None:
    taken = []

    def jobs() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = two_processes.map(double, jobs())
    for _ in range(10):
        next(results)
    assert len(taken) <= 10 + 2 * 2 + 1
    results.close()  # type: ignore[attr-defined]


def test_error_of_a_job_is_raised(two_processes: Engine) -> None:
    for engine in (INLINE, two_processes):
        with pytest.raises(ValueError, match="two"):
            list(engine.map(fail_on_two, range(50)))


def test_after_an_error_nobody_is_at_work_any_more(two_processes: Engine, tmp_path: Path) -> None:
    results = two_processes.map(slow_mark, [tmp_path / str(number) for number in range(20)])
    next(results)
    results.close()  # type: ignore[attr-defined]
    left = sorted(path.name for path in tmp_path.iterdir())
    time.sleep(0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert len(left) < 20


def test_killed_worker_is_an_error() -> None:
    """At once, in the middle of this process's own job."""
    before = time.monotonic()
    with open_engine(workers=2) as engine, pytest.raises(EngineError, match="worker process died"):
        list(engine.map(die, [60] * 4))
    assert time.monotonic() - before < 30


def test_worker_leaves_its_job_and_those_queued_on_ctrl_c(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        while len(found := list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        for path in found:
            os.kill(int(path.name), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    before = time.monotonic()
    with pytest.raises(KeyboardInterrupt), open_engine(workers=2) as engine:
        list(engine.map(wait_long, [tmp_path] * 6))
    thread.join()
    assert time.monotonic() - before < 20
    assert capfd.readouterr().err == ""


def test_inline_runs_in_this_thread() -> None:
    def here(job: int, progress: Progress) -> int:
        return threading.get_ident()

    assert set(INLINE.map(here, range(3))) == {threading.get_ident()}


@pytest.mark.parametrize(("workers", "scheduler"), [(0, None), (-1, None), (10**9, None), (2, "tcp://127.0.0.1:1")])
def test_senseless_requests_are_refused(workers: int, scheduler: str | None) -> None:
    with pytest.raises(UsageError, match="workers is"), open_engine(workers, scheduler):
        pass


def fail_to_import(job: int, progress: Progress) -> None:
    """In this process all goes well."""
    if multiprocessing.parent_process() is not None:
        raise ImportError("libfoo.so: failed to map segment from shared object")
    work(0.5, progress)


def give_what_cannot_be_sent(job: int, progress: Progress) -> object:
    work(0.5, progress)
    return threading.Lock()


def test_single_job_runs_in_this_process_and_tells_its_progress() -> None:
    with open_engine(workers=4) as engine:
        done: list[int] = []
        assert list(engine.map(who, iter([0]))) == [os.getpid()]
        assert list(engine.map(double, [1], progress=done.append)) == [2]
    assert done == [1]


@pytest.mark.parametrize("jobs", [2, 3])
def test_no_more_processes_than_jobs(jobs: int) -> None:
    """This one is one of them, and works as long as the others need to start."""
    before = set(multiprocessing.active_children())
    with open_engine(workers=24) as engine:
        found = list(engine.map(who, [5] * jobs))
        assert len(set(multiprocessing.active_children()) - before) == jobs - 1
        assert len(set(found)) == jobs
        assert os.getpid() in found
    assert set(multiprocessing.active_children()) <= before


def test_nothing_is_started_for_what_is_short() -> None:
    before = multiprocessing.active_children()
    with open_engine(workers=2) as engine:
        assert list(engine.map(double, range(100))) == list(range(0, 200, 2))
        assert multiprocessing.active_children() == before


def test_work_of_many_short_calls_starts_processes_in_the_end() -> None:
    with open_engine(workers=2) as engine:
        found = {process for _ in range(40) for process in engine.map(who, [0.05] * 4)}
    assert len(found) == 2


def test_nothing_is_started_for_nothing() -> None:
    before = multiprocessing.active_children()
    with open_engine(workers=2) as engine:
        assert list(engine.map(double, [])) == []
        assert multiprocessing.active_children() == before


def test_errors_of_any_kind_come_through(two_processes: Engine) -> None:
    bring_up(two_processes)
    with pytest.raises(ImportError, match="failed to map"):
        list(two_processes.map(fail_to_import, range(3)))
    bring_up(two_processes)
    with pytest.raises(TypeError, match="pickle"):
        list(two_processes.map(give_what_cannot_be_sent, range(3)))
    assert list(two_processes.map(double, range(3))) == [0, 2, 4]


def test_processes_that_cannot_be_started_are_one_error() -> None:
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 8, before[1]))
    try:
        with pytest.raises(EngineError, match="use fewer workers"), open_engine(workers=40) as engine:
            list(engine.map(work, [5] * 40))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_dead_worker_is_not_used_again() -> None:
    with open_engine(workers=2) as engine:
        with pytest.raises(EngineError):
            list(engine.map(die, [60] * 4))
        assert list(engine.map(double, range(4))) == [0, 2, 4, 6]


def test_a_job_that_was_begun_runs_in_an_idle_process(two_processes: Engine) -> None:
    bring_up(two_processes)
    result = two_processes.begin(who, 0.05)
    assert result() in {child.pid for child in multiprocessing.active_children()}
    assert list(two_processes.map(double, [1, 2])) == [2, 4]


def test_a_job_that_was_begun_where_no_process_is_runs_here_when_asked_for(tmp_path: Path) -> None:
    with open_engine(workers=2) as engine:
        for one in (INLINE, engine):
            result = one.begin(slow_mark, tmp_path / f"{one.workers}")
            assert not (tmp_path / f"{one.workers}").exists()
            result()
            assert (tmp_path / f"{one.workers}").exists()


def test_what_was_begun_raises_when_it_is_asked_for(two_processes: Engine) -> None:
    bring_up(two_processes)
    for engine in (INLINE, two_processes):
        result = engine.begin(fail_on_two, 2)
        with pytest.raises(ValueError, match="two"):
            result()


def test_a_process_killed_at_what_was_begun_is_one_sentence() -> None:
    with open_engine(workers=2) as engine:
        bring_up(engine)
        result = engine.begin(die, 0.1)
        with pytest.raises(EngineError, match="a worker process died"):
            result()


def others(before: list[Any]) -> int:
    """Return how many processes there are that were not there before."""
    return len({*multiprocessing.active_children()} - {*before})


def test_what_was_begun_ends_with_the_engine() -> None:
    before = multiprocessing.active_children()
    with open_engine(workers=2) as engine:
        bring_up(engine)
        engine.begin(work, 60.0)
        began = time.monotonic()
    assert time.monotonic() - began < 4
    assert not others(before)


@pytest.mark.parametrize(("jobs", "processes"), [(0, 0), (1, 0), (2, 1), (9, 1)])
def test_processes_are_started_before_the_jobs_that_they_are_for(jobs: int, processes: int) -> None:
    before = multiprocessing.active_children()
    with open_engine(workers=2) as engine:
        engine.prepare(double, jobs)
        assert others(before) == processes
        assert list(engine.map(double, range(jobs))) == [2 * job for job in range(jobs)]
    assert not others(before)
