"""Where a folder's files are from, and whether that is still true: one answer for all that read data.

A file is known by its contents: by MD5 sum, which is only taken where size and time are not as recorded. A folder is

    own      exactly what a stage made, from files that have not changed since, all the way back
    other    all of it is somebody else's: no stage made such files there, or not one of all_data's is as generated
    neither  partly as a stage made it, or stale: an error, for its origin is unknown

Of other data nothing is claimed, and it works: LEAF's own files in `all_data` for example. The folders that stages make
can be made again, so there any change is an error.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedsynth.errors import DataError, StageError, named
from fedsynth.records.layout import data_files, data_names, json_files, meta_dir, settled
from fedsynth.records.manifest import FILE_NAME, Manifest, StageRecord, differences
from fedsynth.records.mark import find_private
from fedsynth.records.stamp import FileState, stamp_file

COMMITTED = "committed"
"""In a data folder's private folder: a change that is committed, but whose parts may not all have been moved yet."""
TRUTH_FILE = "truth.npz"
"""The ground truth beside the manifest."""
ASSIGNMENT_FILE = "assignment.npz"
"""The user of each row of a source that was partitioned, beside the manifest."""

WAY_OUT = f"make the stages again with {named('overwrite')}, or remove them with `fedsynth clean`"


@dataclass(frozen=True)
class Origin:
    """Where files are from. stages: those that made them, the last one first, none for other data.

    roots: MD5 sums of what the first of these stages was made from, all_data's files as far as is known.
    files: other data itself; note: what a user should know of it, mostly "".
    """

    stages: Sequence[StageRecord] = ()
    roots: Sequence[str] = ()
    files: Sequence[Path] = ()
    note: str = ""

    @property
    def generated(self) -> bool:
        """Whether the data is known to come from the generator."""
        return bool(self.stages) and not self.stages[-1].inputs

    @property
    def label_names(self) -> Sequence[str]:
        """What labels 0, 1, ... stand for, where all_data was made of data that names them; [] elsewhere."""
        names = self.stages[-1].parameters.get("label_names") if self.stages else None
        return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []

    @property
    def called(self) -> str:
        """A name for the data after its source, which fits into a file's name; "" if it was generated or is other."""
        source = self.stages[-1].parameters.get("source") if self.stages else None
        stem = Path(source).stem if isinstance(source, str) else ""
        return re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:60].strip("_")

    @property
    def new_users(self) -> bool:
        """Whether the users are no longer those of all_data: iid sampling pools the samples of all."""
        return any(stage.parameters.get("method") == "iid" for stage in self.stages)


def find_origin(data: Path, manifest: Manifest | None = None) -> Origin:
    """Return where a folder's files, or one file, are from. manifest: that of the data folder, if the caller has it.

    Costs a look at each file's size and time; MD5 sums where these are not as recorded.
    Raises StageError if the data is stale, or neither as it was made nor wholly other, or is being changed by a run
    that did not end.
    """
    single = data.is_file()
    folder = data.parent if single else data
    folder = folder if folder.name == settled(folder).name else settled(folder)
    names = [data.name] if single else data_names(folder)
    require_settled(settled(folder).parent)
    if manifest is None:
        manifest = Manifest(settled(folder).parent)
    record = manifest.made(folder.name)
    if record is None:
        return _by_content([folder / data.name] if single else json_files(folder), manifest)
    made = [output for output in record.outputs if not single or output.name == data.name]
    changed = differences(made, folder, names)
    if not changed:
        _require_standing(manifest, folder, record)
        return _trace(manifest, record, [output.md5 for output in made if output.folder == folder.name])
    files = [folder / data.name] if single else data_files(folder)
    if record.inputs or not _all_other(record, folder, files):
        raise StageError(
            f"{folder}: {changed[0]} since `{record.stage}` made it; {_way_out(record)}, or, to take it as it is, "
            f"delete {manifest.path}"
        )
    note = f"{folder}: not what `{record.stage}` made, {changed[0]}; taken as other data, without ground truth"
    return Origin(files=files, note=note)


def require_made_together(data_dir: Path, origins: Mapping[str, Origin]) -> None:
    """Raise StageError if folders of a data folder are of different splits: a sample of one may be in the other.

    origins: by the folder's name. Of data that is all somebody else's nothing is known, and nothing refused.
    """
    makers = [origin.stages[:1] for origin in origins.values()]
    if any(maker != makers[0] for maker in makers):
        raise StageError(
            f"{data_dir}: {' and '.join(origins)} are not of the same split, so that a sample may be in both; "
            f"make the stages again with {named('overwrite')}, or load each folder by itself"
        )


def is_changing(data_dir: Path) -> bool:
    """Whether a run's results are committed but not yet all moved into the data folder."""
    private = find_private(data_dir)
    return private is not None and (private / COMMITTED).is_dir()


def require_settled(data_dir: Path) -> None:
    """Raise StageError while a run's results are being moved into the data folder: only part of them may be there."""
    if is_changing(data_dir):
        raise StageError(
            f"{data_dir}: a run's results are just being moved into it; if no run is at work any more, "
            "`fedsynth stats` finishes that"
        )


@contextlib.contextmanager
def unchanged(files: Sequence[Path]) -> Iterator[None]:
    """Check that nothing changed in the block: neither the data files of one folder nor what is on record of them.

    Raises DataError at the end, also instead of an error that the change may have caused.
    """
    metas = {meta_dir(settled(file.parent).parent) for file in files[:1]}
    watched = [*files, *(meta / name for meta in metas for name in (FILE_NAME, TRUTH_FILE))]
    before = [_state(path) for path in watched]
    try:
        yield
    except Exception:
        _require_same(watched, before)
        raise
    _require_same(watched, before)


def _require_same(watched: Sequence[Path], before: Sequence[FileState | None]) -> None:
    for path, state in zip(watched, before, strict=True):
        if _state(path) != state:
            raise DataError(f"{path}: changed while it was read; run the same command again")


def _state(path: Path) -> FileState | None:
    try:
        return FileState.of(path.stat())
    except OSError:
        return None


def _all_other(record: StageRecord, folder: Path, files: Sequence[Path]) -> bool:
    """Whether there are files, and none of them is one that the stage made, whatever it is called."""
    sizes = {output.size for output in record.outputs}
    sums = {output.md5 for output in record.outputs}
    made = {output.name: output for output in record.outputs if output.folder == folder.name}
    for file in files:
        if file.name in made and made[file.name].fits(file):
            return False
        if file.stat().st_size in sizes and stamp_file(file).md5 in sums:
            return False
    return bool(files)


def _by_content(files: Sequence[Path], manifest: Manifest) -> Origin:
    """Trace files that stand where no stage made any, such as copies: by their sums, if one stage made them all."""
    if not all(manifest.knows_size(file.stat().st_size) for file in files):
        return Origin(files=files)
    sums = [manifest.md5(file) for file in files]
    makers = [maker for maker in map(manifest.maker, sums) if maker is not None]
    if len(makers) < len(sums) or any(maker is not makers[0] for maker in makers):
        return Origin(files=files)
    return _trace(manifest, makers[0], sums)


def _trace(manifest: Manifest, record: StageRecord, sums: Sequence[str]) -> Origin:
    """Follow the records from files of a stage back to what it was made from."""
    stages, roots = [record], sums
    while inputs := stages[-1].inputs:
        roots = [file.md5 for file in inputs]
        earlier = manifest.made(inputs[0].folder)
        if earlier is None or not _same_content(earlier, stages[-1], inputs[0].folder):
            break
        stages.append(earlier)
    return Origin(stages, roots)


def _require_standing(manifest: Manifest, folder: Path, record: StageRecord) -> None:
    """Compare what a stage read with the files as they are now, then the same for the stage that made those, and so on.

    A folder or source that is gone is no contradiction: people delete what they don't need any more.
    """
    for source in record.sources:
        if change := source.change():
            raise StageError(f"{folder}: stale, {change} since it was made from it; {_way_out(record)}")
    for name in dict.fromkeys(file.folder for file in record.inputs):
        read_folder = folder.parent / name
        present = data_names(read_folder)
        changed = differences(record.inputs, read_folder, present) if present else []
        if changed:
            raise StageError(f"{folder}: stale, {changed[0]} since it was made from it; {_way_out(record)}")
        earlier = manifest.made(name)
        if earlier is not None and _same_content(earlier, record, name):
            _require_standing(manifest, folder, earlier)


def _same_content(earlier: StageRecord, record: StageRecord, folder: str) -> bool:
    made = sorted(file.md5 for file in earlier.outputs if file.folder == folder)
    return made == sorted(file.md5 for file in record.inputs if file.folder == folder)


def _way_out(record: StageRecord) -> str:
    return WAY_OUT if record.inputs else f"{record.stage} it again with {named('overwrite')}"
