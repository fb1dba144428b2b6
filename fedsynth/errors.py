"""What can go wrong, as a tree: catch `FedsynthError` for all of it.

    FedsynthError
        UsageError          an argument or option is wrong             exit status 2
        DataError           a file does not hold what it should        exit status 1
        StageError          a folder is in the way, or is missing      exit status 1
        BusyError           another run works in the same folder       exit status 1
        EngineError         a worker or a cluster is not there         exit status 1

Every message is one sentence that names the thing, what was found, what was expected and the way out.
"""

from __future__ import annotations


class FedsynthError(Exception):
    """Base of all errors that fedsynth raises on purpose."""


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
