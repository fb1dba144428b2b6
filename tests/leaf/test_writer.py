"""What is written is `json.dump`'s text, its hash and its offsets; a failing disk is an error, never a hang."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path

import pytest

from fedsynth.leaf.hashed_file import HashedFile
from fedsynth.leaf.reader import read_index
from fedsynth.leaf.writer import LeafWriter
from fedsynth.records.stamp import BLOCK, stamp_file


@pytest.mark.parametrize("hierarchies", [None, ["p", "q"]])
def test_writer_writes_json_dumps_text(tmp_path: Path, hierarchies: list[str] | None) -> None:
    path = tmp_path / "a.json"
    users = {'a"': {"x": [1], "y": [2]}, "é": {"x": [], "y": []}}
    with LeafWriter(path, list(users), [1, 0], hierarchies) as writer:
        for user in users.values():
            writer.write_user(json.dumps(user).encode())
        stamp, index = writer.finish()
    head = {"users": list(users), "hierarchies": hierarchies, "num_samples": [1, 0], "user_data": users}
    expected = json.dumps({key: value for key, value in head.items() if value is not None})
    assert path.read_text() == expected
    assert (stamp.size, stamp.md5) == (len(expected), hashlib.md5(expected.encode()).hexdigest())
    assert stamp == stamp_file(path)
    again = read_index(path)
    assert (list(index.offsets), list(index.sizes)) == (list(again.offsets), list(again.sizes))


@pytest.mark.parametrize("hash_apart", [False, True])
def test_pieces_larger_than_a_block(hash_apart: bool, tmp_path: Path) -> None:
    data = bytes(range(256)) * (3 * BLOCK // 256 + 1)
    file = HashedFile(tmp_path / "a", hash_apart=hash_apart)
    for piece in (data, b"x", data[:100]):
        file.write(piece)
    assert file.close()[0].md5 == hashlib.md5(data + b"x" + data[:100]).hexdigest()
    assert (tmp_path / "a").read_bytes() == data + b"x" + data[:100]


@pytest.mark.parametrize("hash_apart", [False, True])
def test_abandoned_file_leaves_no_thread(hash_apart: bool, tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(KeyError), LeafWriter(tmp_path / "a.json", ["a"], [1], hash_apart=hash_apart) as writer:
        writer.write_user(b"x" * 100 * BLOCK)
        raise KeyError
    assert threading.active_count() == before


def test_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("precious")
    with pytest.raises(FileExistsError):
        LeafWriter(tmp_path / "a.json", [], [])
    assert (tmp_path / "a.json").read_text() == "precious"


def test_numbers_of_any_length_in_hierarchies_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    long = "7" * 5_000
    text = f'{{"users": ["a", "b"], "hierarchies": [[{long}, {{"k": -{long}}}], 1e999], "num_samples": [0, 0], '
    text += '"user_data": {"a": {"x": [], "y": []}, "b": {"x": [], "y": []}}}'
    path.write_text(text)
    index = read_index(path)
    with LeafWriter(tmp_path / "b.json", index.counts.users, [0, 0], index.counts.hierarchies) as writer:
        for _ in range(2):
            writer.write_user(b'{"x": [], "y": []}')
        writer.finish()
    assert (tmp_path / "b.json").read_text() == text
