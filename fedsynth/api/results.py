"""What functions of the API return: what was done, as values that read well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedsynth.pipeline.run import StageResult
from fedsynth.pipeline.solve import Level
from fedsynth.words import counted


@dataclass(frozen=True)
class Folder:
    """A folder that was made, or kept because it already is what would be made. path: as for `data_dir`.

    users, samples: how many are in its files.
    """

    path: Path
    users: int
    samples: int
    files: Sequence[Path] = field(repr=False)

    def __fspath__(self) -> str:
        """Stand for its path: `LeafDataset(done.folders["train"])`."""
        return str(self.path)

    @property
    def counts(self) -> str:
        """In words, how much is where."""
        return f"{self.path}: {counted(self.users, 'user')}, {counted(self.samples, 'sample')}"


@dataclass(frozen=True, repr=False)
class StageDone:
    """One stage of preprocessing. folders: by name, what it made; seed: None where it draws nothing.

    kept: an earlier run had made the same. parameters: as the manifest has them; dropped: how many users were too small
    to be split; notes: what else is worth knowing.
    """

    name: str
    folders: Mapping[str, Folder]
    seed: int | None
    kept: bool
    parameters: Mapping[str, Any]
    dropped: int
    notes: Sequence[str]

    @classmethod
    def of(cls, data_dir: Path, result: StageResult) -> StageDone:
        """Return what became of a stage in a data folder."""
        record = result.record
        return cls(
            name=record.stage,
            folders={name: _folder(data_dir, name, result) for name in record.after},
            seed=record.seed,
            kept=result.kept,
            parameters=dict(record.parameters),
            dropped=record.left_out.count,
            notes=tuple(result.notes),
        )

    @property
    def counts(self) -> str:
        """In words, how much went where."""
        made = "; ".join(folder.counts for folder in self.folders.values())
        return f"{self.name}: {made}{_seeded(self.seed)}{', kept' if self.kept else ''}"

    def __repr__(self) -> str:
        return f"<StageDone {self.counts}>"


@dataclass(frozen=True, repr=False)
class Preprocessed:
    """What `fedsynth.preprocess` did: stage by stage, in their order. checksums: the file of MD5 sums, None without."""

    stages: Sequence[StageDone]
    checksums: Path | None

    @property
    def folders(self) -> dict[str, Folder]:
        """All folders that the stages made, by name: `done.folders["train"].users`."""
        return {name: folder for stage in self.stages for name, folder in stage.folders.items()}

    @property
    def seeds(self) -> dict[str, int]:
        """The seeds of the stages that draw, by name."""
        return {stage.name: stage.seed for stage in self.stages if stage.seed is not None}

    def __repr__(self) -> str:
        return "\n".join(["<Preprocessed", *(f"  {stage.counts}" for stage in self.stages)]) + ">"


@dataclass(frozen=True, repr=False)
class Generated(Folder):
    """What `fedsynth.generate` made. seed: of all draws; kept: an earlier run had made the same.

    parameters: of the process, all of them, those that were solved too; levels: those that were asked for, in that
    order; command: the command that makes the same; truth: the file of the ground truth; notes: what else is worth
    knowing.
    """

    seed: int
    kept: bool
    parameters: Mapping[str, Any]
    levels: Sequence[Level]
    command: str
    truth: Path
    notes: Sequence[str]

    def __repr__(self) -> str:
        lines = [f"<Generated {self.counts}{_seeded(self.seed)}{', kept' if self.kept else ''}"]
        for level in self.levels:
            lines.append(f"  {level.target.measure}: asked {level.target.level:g}, reached {level.reached:.3f}")
        return "\n".join(lines) + ">"


def _folder(data_dir: Path, name: str, result: StageResult) -> Folder:
    after = result.record.after[name]
    files = tuple(data_dir / name / file.name for file in result.record.outputs if file.folder == name)
    return Folder(data_dir / name, after["users"], after["samples"], files)


def generated_folder(data_dir: Path, result: StageResult) -> Folder:
    """Return the one folder that a stage made."""
    (name,) = result.record.after
    return _folder(data_dir, name, result)


def _seeded(seed: int | None) -> str:
    return "" if seed is None else f" (seed {seed})"
