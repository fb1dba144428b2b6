"""Samples sorted by user through passing files: exactly, whatever the sizes of batches and buckets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedsynth.engine import no_progress
from fedsynth.errors import DataError
from fedsynth.pipeline import spill
from fedsynth.pipeline.spill import PartJob, Spill, SpilledUsers, write_part


def put_aside(folder: Path, users: np.ndarray, num_users: int, batch: int, texts: bool) -> Spill:
    """Sample number n is the row [n, -n], or the text of it, and has label n."""
    folder.mkdir()
    found = Spill(folder, np.bincount(users, minlength=num_users), [num_users // 2, num_users], np.dtype(np.int64))
    for start in range(0, len(users), batch):
        numbers = np.arange(start, min(start + batch, len(users)))
        rows = np.stack([numbers, -numbers], axis=1).astype(float)
        x = [json.dumps(row.tolist()).encode() for row in rows] if texts else rows
        found.add(users[numbers].astype(np.int32), numbers, x)
    return found


def samples_of(spilled: SpilledUsers) -> list[dict[str, list[object]]]:
    return [json.loads(b"".join(text)) for _, text in spilled.texts()]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(0, 7), min_size=1, max_size=80),
    st.integers(1, 40),
    st.sampled_from([1, 100, 1 << 20]),
    st.booleans(),
)
def test_every_sample_comes_back_once_in_its_order(
    tmp_path_factory: pytest.TempPathFactory, users: list[int], batch: int, room: int, texts: bool
) -> None:
    before, spill._BUCKET_BYTES = spill._BUCKET_BYTES, room
    try:
        found = put_aside(tmp_path_factory.mktemp("spill") / "s", np.array(users), 8, batch, texts)
    finally:
        spill._BUCKET_BYTES = before
    assert [user for bucket in found.buckets for user in bucket.users] == list(range(8))
    assert 4 in [bucket.users.stop for bucket in found.buckets], "a file ends there"
    everybody = samples_of(found.of_users(range(4))) + samples_of(found.of_users(range(4, 8)))
    for user, entry in enumerate(everybody):
        expected = [number for number, other in enumerate(users) if other == user]
        assert entry == {"x": [[number, -number] for number in expected], "y": expected}


def test_work_that_is_done_again_gives_the_same(tmp_path: Path) -> None:
    users = np.arange(60) % 4
    found = put_aside(tmp_path / "s", users, 4, 7, False).of_users(range(4))
    job = PartJob(tmp_path / "part.json", ["a", "b", "c", "d"], [15] * 4, found)
    write_part(job, no_progress)
    first = job.path.read_bytes()
    write_part(job, no_progress)
    assert job.path.read_bytes() == first
    found.delete()
    with pytest.raises(DataError, match="its samples are gone"):
        write_part(job, no_progress)
    assert list((tmp_path / "s").iterdir()) == []
