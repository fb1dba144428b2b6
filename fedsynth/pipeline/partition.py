"""The other step that makes all_data: somebody's own samples, assigned to users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedsynth.engine import INLINE, Engine
from fedsynth.errors import StageError, UsageError, named
from fedsynth.partitioners.assign import assign, assign_naturally
from fedsynth.pipeline.checks import outputs_changed
from fedsynth.pipeline.partition_files import Partition, write_assignment, write_data
from fedsynth.pipeline.partition_levels import Reached, solve_levels, with_levels
from fedsynth.pipeline.run import Bar, StageResult, no_bar
from fedsynth.pipeline.wish import Wish, read_columns
from fedsynth.pipeline.workspace import Workspace, open_workspace
from fedsynth.records.layout import ALL_DATA, FOLDERS, in_use
from fedsynth.records.manifest import FileRecord, SourceRecord, StageRecord
from fedsynth.records.origin import ASSIGNMENT_FILE
from fedsynth.records.stamp import FileStamp, stamp_file
from fedsynth.sources.open import open_source
from fedsynth.sources.source import Source, standing_still
from fedsynth.version import __version__

Tell = Callable[[str], None]
"""Called with what is being done."""

_STAGE = "partition"


@dataclass(frozen=True)
class PartitionResult:
    """What became of a partition. stage: as of other stages, None where only the assignment was written.

    reached: the levels that were asked for; users, samples: how many there are; path: of the assignment.
    """

    stage: StageResult | None
    reached: Sequence[Reached]
    users: int
    samples: int
    path: Path


def _ignore(text: str) -> None:
    """Ignore what is being done."""


def partition_source(
    data_dir: Path,
    wish: Wish,
    *,
    overwrite: bool = False,
    engine: Engine = INLINE,
    bar: Bar = no_bar,
    tell: Tell = _ignore,
) -> PartitionResult:
    """Assign the samples of a source to users: all_data, `meta/truth.npz` and `meta/assignment.npz`, all or none.

    Data that is there already is kept if it was made of the same source with the same parameters. Reads the source
    twice: labels, then samples, which go to temporary files in the data folder, as large as they are as numbers.
    Memory: labels and their order, up to 70 bytes a sample while they are assigned, then some batches of 8 MB and the
    samples of some users, about 30 MB or the largest user. tell: told what is being done. Raises StageError if other
    data is there and not to be overwritten, BusyError if another run is at work, DataError for a source that is
    damaged or changes meanwhile, UsageError for a wish that it can't fulfil.
    """
    if not wish.assignment_only:
        _refuse_own(data_dir, wish.source)
    data_dir.mkdir(parents=True, exist_ok=True)
    with open_workspace(data_dir) as workspace:
        path = workspace.meta_dir / ASSIGNMENT_FILE
        if wish.assignment_only and workspace.manifest.stages.get(_STAGE) is not None:
            raise StageError(
                f"{path}: has the user of each row in {data_dir / ALL_DATA}; for another assignment name another "
                f"folder with {named('data_dir')}"
            )
        if in_use(data_dir / ALL_DATA) and not overwrite and not wish.assignment_only:
            record = _require_same(workspace, wish)
            counts = record.after[ALL_DATA]
            return PartitionResult(StageResult(record, kept=True), [], counts["users"], counts["samples"], path)
        return _make(workspace, wish, engine, bar, tell)


def _refuse_own(data_dir: Path, source: Path) -> None:
    """Refuse a source that the new data, or the next stages, would replace: it would be stale as soon as it is made."""
    for name in FOLDERS:
        if (data_dir / name).resolve() in (source.resolve(), *source.resolve().parents):
            raise UsageError(
                f"{source}: is in the folder that the result goes to; copy it elsewhere, or name another folder with "
                f"{named('data_dir')}"
            )


def _make(workspace: Workspace, wish: Wish, engine: Engine, bar: Bar, tell: Tell) -> PartitionResult:
    source = open_source(wish.source)
    with workspace.draft([] if wish.assignment_only else [ALL_DATA]) as draft:
        with standing_still(source.files):
            partition = _assign_samples(source, wish, bar, tell)
            tell("computing the source's checksums")
            sums = [SourceRecord.of(file, stamp_file(file)) for file in source.files]
            write_assignment(draft.meta_file(ASSIGNMENT_FILE), partition, sums)
            files = {} if wish.assignment_only else write_data(draft, source, partition, engine, bar)
        record = None if wish.assignment_only else _record(workspace, partition, files, sums)
        if record is not None:
            draft.add_record(record)
        workspace.commit(draft)
    stage = None if record is None else StageResult(record, kept=False, notes=workspace.notes())
    counts = len(partition.found.users), len(partition.found.user_of)
    return PartitionResult(stage, partition.reached, *counts, workspace.meta_dir / ASSIGNMENT_FILE)


def _assign_samples(source: Source, wish: Wish, bar: Bar, tell: Tell) -> Partition:
    with bar("read labels", 0) as progress:
        columns = read_columns(source, wish, progress)
    reached: Sequence[Reached] = []
    if wish.targets:
        tell("looking for the levels that are asked for")
        reached = solve_levels(columns.by, columns.classes, wish.request, wish.targets)
    request = with_levels(wish.request, reached)
    tell("assigning samples to users")
    classes = columns.classes or columns.by
    if columns.names is not None:
        found = assign_naturally(columns.names, classes, request)
    else:
        found = assign(columns.by, classes, request)
    if not 1 <= wish.num_shards <= len(found.users):
        raise UsageError(
            f"{named('num_shards')} is {wish.num_shards}, expected 1 to the number of users, {len(found.users)}"
        )
    return Partition(replace(wish, request=request), columns, found, reached)


def _record(
    workspace: Workspace, partition: Partition, files: Mapping[str, FileStamp], sources: Sequence[SourceRecord]
) -> StageRecord:
    folder = workspace.data_dir / ALL_DATA
    return StageRecord(
        stage=_STAGE,
        fedsynth=__version__,
        parameters=partition.recorded,
        seed=partition.wish.request.seed,
        inputs=[],
        outputs=[FileRecord.of(folder / name, stamp) for name, stamp in files.items()],
        before=None,
        after={ALL_DATA: {"users": len(partition.found.users), "samples": len(partition.found.user_of)}},
        sources=sources,
    )


def _require_same(workspace: Workspace, wish: Wish) -> StageRecord:
    """Return the record of the data that is there. Raises StageError unless it is what would be made now."""
    folder = workspace.data_dir / ALL_DATA
    way_out = f"add {named('overwrite')} to replace it, or name another folder with {named('data_dir')}"
    record = workspace.manifest.stages.get(_STAGE)
    if record is None:
        raise StageError(f"{folder}: exists, and was not partitioned from {wish.source}; {way_out}")
    asked = wish.recorded
    there = {key: value for key, value in record.parameters.items() if key in (*asked, *_ASKED)}
    there = {key: value for key, value in there.items() if key in asked or key not in wish.knobs}
    different = sorted(key for key in asked.keys() | there.keys() if there.get(key) != asked.get(key))
    if different:
        found, wanted = (
            ", ".join(f"{named(key)} {values.get(key, 'not given')}" for key in different) for values in (there, asked)
        )
        raise StageError(f"{folder}: exists, made with {found}, but {wanted} was asked for; {way_out}")
    changed = outputs_changed(workspace, record, ALL_DATA)
    changed += [change for source in record.sources if (change := source.change())]
    if changed:
        raise StageError(f"{folder}: {changed[0]} since it was partitioned; {way_out}")
    return record


_ASKED = ("label", "by", "user", "bins", "x", "users", "alpha", "sigma", "sizes", "classes", "shards", "targets")
"""Parameters that a wish may leave out."""
