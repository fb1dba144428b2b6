"""What users keep from round to round, on disk above all; test_pfl_programs.py puts the same to pfl's."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedsynth.errors import DataError, FedsynthError, UsageError
from fedsynth.federated import DiskUserStateStorage, InMemoryUserStateStorage, UserNotFoundError
from fedsynth.federated.user_state import _file_name


@pytest.mark.parametrize("user", ["../u", "a/b", ".", "..", "", "\n", "ü" * 200, "x" * 5000, 7, ("a", 1), "con.state"])
def test_any_user_has_a_file_in_the_folder(tmp_path: Path, user: Any) -> None:
    storage = DiskUserStateStorage(tmp_path / "states")
    storage.save_state({"n": 1}, user)
    storage.save_state({"n": 2}, user, "../key")
    assert (storage.load_state(user), storage.load_state(user, "../key")) == ({"n": 1}, {"n": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["states"]
    assert len(list((tmp_path / "states").rglob("*.state"))) == 2


names = st.one_of(st.text(max_size=5), st.integers(), st.tuples(st.text(max_size=2), st.integers(0, 2)))


@given(names, names)
def test_no_two_users_share_a_file(first: Any, second: Any) -> None:
    assert (_file_name(first) == _file_name(second)) == (first == second)


def test_a_user_without_a_state_is_an_error_of_both_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = InMemoryUserStateStorage()
    with pytest.raises(UserNotFoundError, match="no state of user 'u' was saved under the key 'k'; save one first"):
        storage.load_state("u", "k")
    monkeypatch.delitem(sys.modules, "pfl.exception", raising=False)
    with pytest.raises(FedsynthError, match=r"^no state of user 'u'"):
        storage.load_state("u")


def test_clearing_leaves_what_is_not_a_state(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    storage = DiskUserStateStorage(tmp_path)
    storage.save_state({"n": 1}, "u")
    storage.save_state({"n": 1}, "u", "key")
    storage.clear_states()
    assert [path.name for path in tmp_path.rglob("*")] == ["notes.txt"]
    with pytest.raises(UserNotFoundError):
        storage.load_state("u")


def test_a_state_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    storage = DiskUserStateStorage(tmp_path)
    storage.save_state({"n": 1}, "u")
    with pytest.raises(UsageError, match="the state of user 'u' can't be pickled"):
        storage.save_state({"n": lambda: 0}, "u")
    assert storage.load_state("u") == {"n": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_link_in_a_states_path_is_repathd_not_followed(tmp_path: Path) -> None:
    storage = DiskUserStateStorage(tmp_path / "states")
    storage.save_state({"n": 1}, "u")
    target = tmp_path / "target"
    target.write_text("mine")
    [path] = (tmp_path / "states").iterdir()
    path.unlink()
    path.symlink_to(target)
    storage.save_state({"n": 2}, "u")
    assert (target.read_text(), storage.load_state("u")) == ("mine", {"n": 2})


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x05"])
def test_a_damaged_state_is_an_error(tmp_path: Path, content: bytes) -> None:
    storage = DiskUserStateStorage(tmp_path)
    storage.save_state({"n": 1}, "u")
    [path] = tmp_path.iterdir()
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"u\.state: is no saved state .*; remove it"):
        storage.load_state("u")


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    storage = DiskUserStateStorage(tmp_path)
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with storage.acquire_lock(tmp_path / "u"):
            inside.set()
            leave.wait(10)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(10)
    threading.Timer(0.05, leave.set).start()
    with storage.acquire_lock(os.fspath(tmp_path / "u")):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
