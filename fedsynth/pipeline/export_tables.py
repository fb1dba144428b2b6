"""Export as tables: Parquet files, Hugging Face's layout around them, Arrow's streams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, cast

from fedsynth.engine import Engine
from fedsynth.errors import DataError
from fedsynth.formats.columns import first_types
from fedsynth.formats.features import schema_metadata
from fedsynth.formats.schema import Schema, are_whole, import_arrow
from fedsynth.formats.write import TableJob, TableResult, write_table
from fedsynth.pipeline.delivery import Delivery
from fedsynth.pipeline.export_card import Commands, MeasuredFolder, write_card
from fedsynth.pipeline.export_source import ExportFolder, all_labels, class_names, plain
from fedsynth.pipeline.run import Bar
from fedsynth.records.stamp import FileStamp
from fedsynth.stats.heterogeneity import Meter
from fedsynth.stats.tally import Tally
from fedsynth.version import __version__


@dataclass(frozen=True)
class Layout:
    """How files are laid out. ending: of tables; below: the folder that they are in; card: whether there is one."""

    ending: str
    below: str = ""
    card: bool = False


LAYOUTS = {
    "huggingface": Layout("parquet", below="data", card=True),
    "parquet": Layout("parquet"),
    "arrow": Layout("arrow"),
}


@dataclass(frozen=True)
class Tables:
    """What is written. features: whether measures that need x are taken; commands: for the card."""

    folders: Sequence[ExportFolder]
    layout: Layout
    dtype: str
    features: bool
    commands: Commands
    engine: Engine
    bar: Bar

    def write(self, delivery: Delivery) -> dict[str, FileStamp]:
        """Write all files; return their stamps, by path. Holds what `write_table` and the measures do."""
        import_arrow()
        schema = self._schema()
        (delivery.new / self.layout.below).mkdir(exist_ok=True)
        while True:
            meters = [self._meter(folder) if self.layout.card else None for folder in self.folders]
            jobs = [self._jobs(*pair, schema, delivery.new) for pair in zip(self.folders, meters, strict=True)]
            results = self._run(jobs)
            wider = [one.wider for of in results for one in of if one.wider is not None]
            if not wider:
                break
            schema = self._widened(schema, wider)
        stamps = {
            job.target.relative_to(delivery.new).as_posix(): _stamp(result)
            for of_jobs, of_results in zip(jobs, results, strict=True)
            for job, result in zip(of_jobs, of_results, strict=True)
        }
        if self.layout.card:
            measured = [_measured(*group) for group in zip(self.folders, meters, results, strict=True)]
            stamps |= write_card(delivery, schema, measured, stamps, self.commands)
        return stamps

    def _schema(self) -> Schema:
        pa, labels = import_arrow(), all_labels(self.folders)
        names = class_names(self.folders, labels)
        positions = None
        if self.layout.card and labels.texts and not labels.other:  # whose readers know classes by name
            names = sorted(labels.texts)
            positions = {name: position for position, name in enumerate(names)}
        surveys = [survey for folder in self.folders for survey in folder.surveys]
        schema = Schema(
            x=pa.null(),
            y=pa.null(),
            whole_names=all(are_whole(survey.users) for survey in surveys),
            dtype=self.dtype,
            class_names=names,
            positions=positions,
            cluster=any(folder.truth is not None and folder.truth.cluster is not None for folder in self.folders),
            hierarchy=any(survey.hierarchies is not None for survey in surveys),
        )
        return self._widened(schema, [first_types(survey, schema) for survey in surveys])

    def _widened(self, schema: Schema, needed: Sequence[tuple[Any, Any]]) -> Schema:
        for x, y in needed:
            try:
                schema = schema.wider(x, y)
            except TypeError as error:
                raise DataError(
                    f"{', '.join(str(folder.path) for folder in self.folders)}: {error}, expected samples of one "
                    "kind, which are what a column holds; convert them, or write them with pfllib"
                ) from error
        return schema

    def _meter(self, folder: ExportFolder) -> Meter:
        counts, truth = folder.num_samples, folder.truth
        return Meter(counts, truth, no_truth=folder.no_truth, features=self.features, names=folder.users)

    def _jobs(self, folder: ExportFolder, meter: Meter | None, schema: Schema, new: Path) -> list[TableJob]:
        starts = [0, *accumulate(len(survey.users) for survey in folder.surveys)]
        clusters = None if folder.truth is None or folder.truth.cluster is None else folder.truth.cluster.tolist()
        jobs = []
        for number, survey in enumerate(folder.surveys):
            users = range(starts[number], starts[number + 1])
            name = f"{folder.name}-{number:05}-of-{len(folder.surveys):05}.{self.layout.ending}"
            metadata = schema_metadata(schema.arrow(), schema.class_names, _made(folder, survey.path))
            jobs.append(
                TableJob(
                    survey=replace(survey, hierarchies=_texts(survey.hierarchies)),
                    target=new / self.layout.below / name,
                    ending=self.layout.ending,
                    schema=schema,
                    metadata=metadata,
                    clusters=None if clusters is None else clusters[users.start : users.stop],
                    meter=None if meter is None else meter.part(users),
                    first=users.start,
                )
            )
        return jobs

    def _run(self, jobs: Sequence[Sequence[TableJob]]) -> list[list[TableResult]]:
        found = []
        for folder, of_folder in zip(self.folders, jobs, strict=True):
            with self.bar(f"export {folder.name}", len(folder.users)) as progress:
                results = self.engine.map(
                    write_table, of_folder, progress=progress, users=lambda job: len(job.survey.users)
                )
                found.append(list(results))
        return found


def _measured(folder: ExportFolder, meter: Meter | None, results: Sequence[TableResult]) -> MeasuredFolder:
    assert meter is not None  # there is a card
    for result in results:
        meter.merge(cast(Tally, result.meter))
    return MeasuredFolder(folder, meter.measures(), sum(result.num_bytes for result in results))


def _stamp(result: TableResult) -> FileStamp:
    assert result.stamp is not None  # none is wider
    return result.stamp


def _texts(hierarchies: Sequence[Any] | None) -> list[str | None] | None:
    """Return hierarchies as texts: what is none becomes JSON."""
    if hierarchies is None:
        return None
    return [value if value is None or isinstance(value, str) else json.dumps(value) for value in hierarchies]


def _made(folder: ExportFolder, source: Path) -> dict[str, Any]:
    """Return what a table's metadata says of its source."""
    truth = None if folder.truth is None else {key: plain(value) for key, value in folder.truth.parameters.items()}
    return {
        "fedsynth": __version__,
        "split": folder.name,
        "source": source.name,
        "source_md5": folder.md5[source.name],
        "stages": folder.stages,
        "truth": truth,
    }
