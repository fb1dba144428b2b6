"""What can go wrong, as a tree: catch `FedsynthError` for all of it.

    FedsynthError
        UsageError          an argument or option is wrong             exit status 2
        DataError           a file does not hold what it should        exit status 1
        StageError          a folder is in the way, or is missing      exit status 1
        BusyError           another run works in the same folder       exit status 1
        EngineError         a worker or a cluster is not there         exit status 1

Every message is one sentence that names the thing, what was found, what was expected and the way out. What a caller
can set it names by `named("min_samples")`: in Python that reads `min_samples`, at the command line `-k`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_NAMED = re.compile("\u27e6(\\w+)\u27e7")


def named(parameter: str) -> str:
    """Return a parameter's name as it stands in an error's message, for whatever shows it to put in its own words."""
    return f"\u27e6{parameter}\u27e7"


def install_extra(requirement: str, extra: str) -> str:
    """Return how to install what only an extra has, from a clone and elsewhere: fedsynth is on no package index."""
    return f"run `pip install '.[{extra}]'` where fedsynth was cloned, or `pip install '{requirement}'` anywhere"


class FedsynthError(Exception):
    """Base of all errors that fedsynth raises on purpose.

    words: what to call the parameters that the message names; those that are not in it keep their names.
    """

    words: Mapping[str, str] = MappingProxyType({"overwrite": "overwrite=True"})

    def __str__(self) -> str:
        return _NAMED.sub(lambda match: self.words.get(match[1], match[1]), super().__str__())


class UsageError(FedsynthError, ValueError):
    """An argument or option has a value that makes no sense."""


class DataError(FedsynthError, ValueError):
    """A file's contents are not what its format, or its own head, says."""


class StageError(FedsynthError):
    """A stage cannot run: its folder is in the way, or its input is missing, stale or empty."""


class BusyError(FedsynthError):
    """Another process holds the data folder."""


class EngineError(FedsynthError):
    """Local processes or a cluster cannot do the work: not installed, not reachable, or a worker has died."""
