"""The dataset card of an export, and the pictures beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fedsynth.formats.card import Card, Split
from fedsynth.formats.schema import Schema
from fedsynth.pipeline.delivery import Delivery
from fedsynth.pipeline.export_source import ExportFolder
from fedsynth.pipeline.stats import Description, named_measures
from fedsynth.records.layout import settled
from fedsynth.records.manifest import StageRecord
from fedsynth.records.stamp import FileStamp, stamp_file
from fedsynth.stats.heterogeneity import Measures
from fedsynth.stats.summary import summarize
from fedsynth.stats.table import table_lines
from fedsynth.system import write_text
from fedsynth.version import __version__

CARD = "README.md"
_PICTURES = ("hist", "labels", "models")

Commands = Callable[[Sequence[StageRecord]], Sequence[str]]
"""Gives the command lines of stages, the last stage first."""


@dataclass(frozen=True)
class MeasuredFolder:
    """A folder that was written. num_bytes: its tables in memory."""

    folder: ExportFolder
    measures: Measures
    num_bytes: int


def write_card(
    delivery: Delivery,
    schema: Schema,
    measured: Sequence[MeasuredFolder],
    tables: Mapping[str, FileStamp],
    commands: Commands,
) -> dict[str, FileStamp]:
    """Draw the pictures, which `stats` draws too, and write the card; return their stamps, by name."""
    folders = [one.folder for one in measured]
    title = _title(folders[0])
    splits, made = [], []
    for one in measured:
        pictures = _draw(delivery, one, title)
        made += pictures
        splits.append(_split(one, tables, pictures))
    longest = max((folder.origin.stages for folder in folders), key=len)
    card = Card(title, schema.arrow(), schema.class_names, splits, __version__, commands(longest))
    write_text(delivery.new / CARD, card.text())
    return {name: stamp_file(delivery.new / name) for name in (CARD, *made)}


def _title(folder: ExportFolder) -> str:
    if folder.origin.called:
        return folder.origin.called
    return "synthetic" if folder.origin.generated else settled(folder.path).parent.name or folder.name


def _draw(delivery: Delivery, measured: MeasuredFolder, title: str) -> list[str]:
    """Draw a folder's pictures; return their names, without LEAF's plain one."""
    from fedsynth.stats.figures import save_pictures  # Pillow, which tables alone do without

    folder = measured.folder
    origin = folder.origin
    described = Description(
        summarize(folder.num_samples), measured.measures, origin.note, origin.label_names, origin.called
    )
    label = f"{title}_{folder.name}"
    save_pictures(delivery.scratch, label, described.summary, named_measures(described))
    names = [f"{label}_{kind}.png" for kind in _PICTURES if (delivery.scratch / f"{label}_{kind}.png").is_file()]
    for name in names:
        (delivery.scratch / name).rename(delivery.new / name)
    return names


def _split(measured: MeasuredFolder, tables: Mapping[str, FileStamp], pictures: Sequence[str]) -> Split:
    folder = measured.folder
    sizes = [stamp.size for path, stamp in tables.items() if path.rpartition("/")[2].startswith(f"{folder.name}-")]
    return Split(
        name=folder.name,
        users=sum(map(bool, folder.num_samples)),
        samples=sum(folder.num_samples),
        num_bytes=measured.num_bytes,
        file_bytes=sum(sizes),
        stages=folder.stages,
        table=table_lines(measured.measures),
        pictures=pictures,
        note="" if folder.origin.stages else "It is not known where this data is from.",
    )
