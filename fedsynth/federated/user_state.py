"""State that a user keeps from round to round, as SCAFFOLD's control variates are: in memory, or on disk."""

from __future__ import annotations

import abc
import contextlib
import hashlib
import os
import pickle
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from fedsynth.errors import DataError, FedsynthError, UsageError
from fedsynth.federated.beside_pfl import introduce, pfl_error, stands_for
from fedsynth.system import exclusive_lock

State = dict[str, Any]

_SUFFIX = ".state"
_LONGEST = 150
"""Characters of a file's name that a user's id may take; a longer one is told by its SHA-256 sum."""


class UserNotFoundError(FedsynthError, KeyError):
    """No state of this user was saved under this key. Where pfl-research is imported, it is pfl's error too.

    Examples:
        >>> import fedsynth
        >>> try:
        ...     fedsynth.InMemoryUserStateStorage().load_state("a")
        ... except fedsynth.UserNotFoundError as error:
        ...     print(error)
        no state of user 'a' was saved under the key None; save one first
    """

    __str__ = Exception.__str__  # KeyError's shows the text in quotes


@stands_for("user_state")
class AbstractUserStateStorage(abc.ABC):
    """Saves and loads what users keep from round to round, such as SCAFFOLD's control variates.

    Examples:
        >>> from fedsynth import AbstractUserStateStorage, InMemoryUserStateStorage
        >>> issubclass(InMemoryUserStateStorage, AbstractUserStateStorage)
        True
    """

    @abc.abstractmethod
    def clear_states(self) -> None:
        """Remove all states."""

    @abc.abstractmethod
    def save_state(self, state: State, user_id: Any, key: str | None = None) -> None:
        """Keep a user's state instead of the one saved before.

        Args:
            state: The state.
            user_id: The user.
            key: Tells several states of one user apart.
        """

    @abc.abstractmethod
    def load_state(self, user_id: Any, key: str | None = None) -> State:
        """Return a user's state.

        Args:
            user_id: The user.
            key: The key that it was saved under.

        Raises:
            UserNotFoundError: None was saved.
        """


@stands_for("user_state")
class InMemoryUserStateStorage(AbstractUserStateStorage):
    """States of this process's users, the objects themselves.

    With several workers, use a `CrossSiloUserSampler`, so that a user is always handled by the same one.

    Examples:
        >>> from fedsynth import InMemoryUserStateStorage
        >>> storage = InMemoryUserStateStorage()
        >>> storage.save_state({"rounds": 3}, "a")
        >>> storage.load_state("a")
        {'rounds': 3}
    """

    def __init__(self) -> None:
        introduce()
        self._states: dict[tuple[Any, str | None], State] = {}

    def clear_states(self) -> None:
        self._states.clear()

    def save_state(self, state: State, user_id: Any, key: str | None = None) -> None:
        self._states[user_id, key] = state

    def load_state(self, user_id: Any, key: str | None = None) -> State:
        try:
            return self._states[user_id, key]
        except KeyError:
            raise _not_found(user_id, key) from None


@stands_for("user_state")
class DiskUserStateStorage(AbstractUserStateStorage):
    """States in files of a folder that the workers share, each written whole or not at all.

    States are pickled: use a folder that nobody else writes to. Removing them leaves whatever else is in the folder.

    Args:
        dir_path: The folder; it is made when the first state is saved.

    Examples:
        >>> import numpy as np
        >>> from fedsynth import DiskUserStateStorage
        >>> storage = DiskUserStateStorage("states")
        >>> storage.save_state({"control": np.zeros(2)}, "a", key="scaffold")
        >>> storage.load_state("a", key="scaffold")
        {'control': array([0., 0.])}
    """

    def __init__(self, dir_path: str | Path) -> None:
        introduce()
        self._folder = Path(dir_path)

    @contextlib.contextmanager
    def acquire_lock(self, path: str | Path) -> Iterator[None]:
        """Wait until no other process holds the lock of this file, then hold it for the block."""
        lock = Path(f"{path}.lock")
        lock.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            while True:
                with contextlib.suppress(BlockingIOError):
                    stack.enter_context(exclusive_lock(lock))
                    break
                time.sleep(0.01)
            yield

    def clear_states(self) -> None:
        for pattern in (f"*{_SUFFIX}", f"*/*{_SUFFIX}"):
            for path in self._folder.glob(pattern):
                path.unlink(missing_ok=True)
        for folder in (*self._folder.glob("*/"), self._folder):
            with contextlib.suppress(OSError):  # it holds something else, or is gone
                folder.rmdir()

    def save_state(self, state: State, user_id: Any, key: str | None = None) -> None:
        path = self._path(user_id, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=path.parent, prefix=".new-", suffix=_SUFFIX)
        try:
            with os.fdopen(descriptor, "wb") as file:
                _pickle(state, file, user_id)
            Path(new).replace(path)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise

    def load_state(self, user_id: Any, key: str | None = None) -> State:
        path = self._path(user_id, key)
        try:
            with path.open("rb") as file:
                state: State = pickle.load(file)
                return state
        except FileNotFoundError:
            raise _not_found(user_id, key) from None
        except (pickle.UnpicklingError, EOFError) as error:
            raise DataError(f"{path}: is no saved state ({error}); remove it and start that user anew") from error

    def _path(self, user_id: Any, key: str | None) -> Path:
        folder = self._folder if key is None else self._folder / _file_name(key)
        return folder / f"{_file_name(user_id)}{_SUFFIX}"


def _pickle(state: State, file: IO[bytes], user_id: Any) -> None:
    try:
        pickle.dump(state, file, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError) as error:  # by Python's version and what is in it
        raise UsageError(
            f"the state of user {user_id!r} can't be pickled ({error}), expected what can; keep arrays, tensors and "
            "plain values"
        ) from error


def _file_name(name: Any) -> str:
    """Return a unique name of letters, digits, `_`, `-` and `%`; of an id that is no string it begins with the type."""
    text = quote(str(name), safe="").replace(".", "%2E").replace("~", "%7E")
    if not isinstance(name, str):
        text = f"%{type(name).__name__}-{text}"  # no string's: after its % come two hexadecimal digits
    return text if 0 < len(text) <= _LONGEST else f"%sha256-{hashlib.sha256(text.encode()).hexdigest()}"


def _not_found(user_id: Any, key: str | None) -> UserNotFoundError:
    text = f"no state of user {user_id!r} was saved under the key {key!r}; save one first"
    theirs = pfl_error("UserNotFoundError")
    if theirs is None:
        return UserNotFoundError(text)
    both: type[UserNotFoundError] = type("UserNotFoundError", (UserNotFoundError, theirs), {"__init__": _keep_text})
    return both(text)


def _keep_text(self: Exception, text: str) -> None:
    Exception.__init__(self, text)
