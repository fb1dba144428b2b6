"""Write one LEAF file as one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fedsynth.engine import Progress, check_shared, no_progress
from fedsynth.errors import DataError
from fedsynth.formats.columns import LabelError, UserRows, WiderError, user_batches
from fedsynth.formats.schema import Schema
from fedsynth.formats.survey import Survey
from fedsynth.formats.tables import TABLES, Sink, TableFile
from fedsynth.leaf.values import read_values
from fedsynth.records.stamp import FileStamp


class Measuring(Protocol):
    """What measures users on the way."""

    def add(self, user: int, x: Sequence[Any], y: Sequence[Any]) -> None:
        """Take the user at this position."""


@dataclass(frozen=True)
class TableJob:
    """One file. ending: which kind of table; metadata: of the schema; first: the position of its first user.

    clusters: [users] of the survey, or None; meter: empty, for just these users, None if nothing is to be measured.
    """

    survey: Survey
    target: Path
    ending: str
    schema: Schema
    metadata: Mapping[bytes, bytes]
    clusters: Sequence[int] | None = None
    meter: Measuring | None = None
    first: int = 0


@dataclass(frozen=True)
class TableResult:
    """A table that was written. num_bytes: in memory; meter: with all users.

    wider: types of x and y that some user needs, with whom the file was left unfinished.
    """

    stamp: FileStamp | None = None
    num_bytes: int = 0
    meter: Measuring | None = None
    wider: tuple[Any, Any] | None = None


@dataclass
class _Known:
    """What is known of users by name."""

    job: TableJob
    position: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        self.position = {user: position for position, user in enumerate(self.job.survey.users)}

    def rows(self, user: str, x: Sequence[Any], y: Sequence[Any]) -> UserRows:
        """Return a user's rows."""
        at, hierarchies = self.position[user], self.job.survey.hierarchies
        cluster = None if self.job.clusters is None else self.job.clusters[at]
        return UserRows(user, x, y, cluster, None if hierarchies is None else hierarchies[at])


def write_table(job: TableJob, progress: Progress = no_progress) -> TableResult:
    """Write a file and return its stamp. Holds one user's text and values, and what the kind of table holds.

    Users without samples have no rows. Raises DataError, naming file and user, for samples that no column holds, and
    for a file that is damaged or not the one that was surveyed.
    """
    check_shared([job.survey.path, job.target.parent])
    job.target.unlink(missing_ok=True)
    sink = Sink(job.target)
    try:
        schema = job.schema.arrow(job.metadata)
        size = _write_users(job, TABLES[job.ending](sink, schema), schema, progress)
        return TableResult(sink.finish(), size, job.meter)
    except WiderError as error:
        return TableResult(wider=(error.x, error.y))
    finally:
        sink.abandon()


def _write_users(job: TableJob, table: TableFile, schema: Any, progress: Progress) -> int:
    known, size = _Known(job), 0
    for user, x, y in read_values(job.survey.path, lambda: True, progress):
        if user not in known.position:
            raise DataError(f"{job.survey.path}: changed while it was read; run the same command again")
        if len(y):
            try:
                size += table.add(user_batches(known.rows(user, x, y), job.schema, schema))
            except TypeError as error:
                raise _mixed(job.survey.path, user, error) from error
            except ValueError as error:
                raise DataError(f'{job.survey.path}: user "{user}" has {error}') from error
        if job.meter is not None:
            job.meter.add(job.first + known.position[user], x, y)
    table.close()
    return size


def _mixed(path: Path, user: str, error: TypeError) -> DataError:
    way_out = "convert them" if isinstance(error, LabelError) else "convert them, or write them with pfllib"
    return DataError(
        f'{path}: user "{user}" has {error}, expected samples of one kind, numbers, texts or lists of one of them, '
        f"which are what a column holds; {way_out}"
    )
