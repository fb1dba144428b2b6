"""The truth put together from parts is the truth that one process writes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from fedsynth.errors import DataError
from fedsynth.records.stamp import FileStamp
from fedsynth.truth import TruthGatherer, TruthWriter, load_truth
from tests.commands import appeared, contents, fedsynth, leftovers, start

STAMP = FileStamp(3, 5, "0" * 32)


def rows_of(users: int, *, models: bool) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    own: list[dict[str, object]] = [{"models": rng.normal(size=(4, 3))} if models else {} for _ in range(users)]
    return [{"cluster": int(rng.integers(2)), "model_info": rng.normal(size=2), **row} for row in own]


def write_one_by_one(path: Path, rows: list[dict[str, object]], users: list[str], sizes: list[int]) -> bytes:
    with TruthWriter(path, len(rows)) as writer:
        for row in rows:
            writer.add(row)
        finish(writer, users, sizes)
    return path.read_bytes()


def finish(writer: TruthWriter, users: list[str], sizes: list[int]) -> None:
    shared = {"Q": np.ones((4, 3, 2)), "centers": np.ones((2, 2))}
    writer.finish(users, sizes, {"model": "leaf", "seed": 1, "prob_clusters": [0.5, 0.5]}, shared, data=[STAMP])


@pytest.mark.parametrize("models", [False, True])
@pytest.mark.parametrize("shards", [[10], [3, 7], [1, 1, 8], [4, 5, 1]])
def test_parts_give_the_bytes_of_one_writer(shards: list[int], models: bool, tmp_path: Path) -> None:
    rows, users, sizes = rows_of(10, models=models), [str(user) for user in range(10)], list(range(10))
    expected = write_one_by_one(tmp_path / "one.npz", rows, users, sizes)
    parts, first = [], 0
    for shard, size in enumerate(shards):
        with TruthGatherer(tmp_path / f"models {shard}") as gatherer:
            for start in range(first, first + size, 2):
                some = rows[start : min(start + 2, first + size)]
                gatherer.extend({name: np.array([row[name] for row in some]) for name in some[0]})
            parts.append(gatherer.finish())
        first += size
    with TruthWriter(tmp_path / "parts.npz", 10) as writer:
        for part in parts:
            part.move_to(writer)
        finish(writer, users, sizes)
    assert (tmp_path / "parts.npz").read_bytes() == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.npz", "parts.npz"]


def test_part_of_a_dead_worker_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "models").write_bytes(b"half of something")
    with TruthGatherer(tmp_path / "models") as gatherer:
        gatherer.extend({"models": np.ones((2, 4, 3))})
        part = gatherer.finish()
    assert (tmp_path / "models").read_bytes() == np.ones((2, 4, 3)).tobytes()
    assert part.shape == (2, 4, 3)


def test_part_that_another_worker_wrote_meanwhile_is_an_error(tmp_path: Path) -> None:
    with TruthGatherer(tmp_path / "models") as gatherer:
        gatherer.extend({"models": np.ones((2, 4, 3))})
        part = gatherer.finish()
    (tmp_path / "models").write_bytes(np.ones((1, 4, 3)).tobytes())
    with TruthWriter(tmp_path / "truth.npz", 2) as writer, pytest.raises(DataError, match="changed since"):
        part.move_to(writer)


def test_users_of_any_names_and_number_are_written_as_numpy_does(tmp_path: Path) -> None:
    users = [f"ü{number}\u2028" if number % 7 == 0 else str(number) for number in range(20_000)]
    sizes = list(range(20_000))
    write_one_by_one(tmp_path / "truth.npz", [{"cluster": 0, "model_info": [1.0, 2.0]}] * 20_000, users, sizes)
    with np.load(tmp_path / "truth.npz") as file:
        assert file["user_ids"].dtype == np.array(users).dtype
        assert file["user_ids"].tolist() == users
        assert file["num_samples"].tolist() == sizes
    assert load_truth(tmp_path / "truth.npz").user_ids.tolist() == users


def test_parts_of_a_run_that_was_killed_vanish_with_it(tmp_path: Path) -> None:
    """Users of Synthetic(alpha, beta) have models of their own, which workers write beside the draft's folders."""
    command = ("generate", "-model", "fedprox", "-num-tasks", 400, "-num-shards", 8, "-num-dim", 20)
    command = (*command, "-stream", "independent", "-workers", 2)
    for _ in range(3):
        process = start(tmp_path, *command, start_new_session=True)
        while not appeared(tmp_path, "data/.fedsynth/making/*/passing/*") and process.poll() is None:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        assert contents(tmp_path) == {}
    fedsynth(tmp_path, *command)
    assert leftovers(tmp_path) == []
    assert len(load_truth(tmp_path / "meta/truth.npz").user_ids) == 400
