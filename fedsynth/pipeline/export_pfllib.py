"""Export as PFLlib's folder: a file for each user and side, and config.json."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fedsynth.engine import Engine
from fedsynth.errors import DataError, UsageError
from fedsynth.formats.pfllib import TEST, TRAIN, NumberedJob, describe_clients, write_numbered
from fedsynth.pipeline.delivery import Delivery
from fedsynth.pipeline.export_source import ExportFolder, all_labels, class_names, plain
from fedsynth.pipeline.run import Bar
from fedsynth.records.stamp import FileStamp, stamp_file
from fedsynth.system import write_text
from fedsynth.version import __version__
from fedsynth.words import counted

CONFIG = "config.json"


@dataclass(frozen=True)
class Numbered:
    """What is written: users 0, 1, ... in the order of train."""

    folders: Sequence[ExportFolder]
    dtype: str
    engine: Engine
    bar: Bar

    def write(self, delivery: Delivery) -> dict[str, FileStamp]:
        """Write all files; return their stamps, by path. Holds what `write_numbered` does, and each user's classes."""
        users = self._users()
        numbers = {user: number for number, user in enumerate(users)}
        names, codes = self._classes()
        stamps: dict[str, FileStamp] = {}
        labels: list[Counter[int]] = [Counter() for _ in users]
        for folder in self.folders:
            side = delivery.new / folder.name
            side.mkdir()
            jobs = [
                NumberedJob(
                    one.path, side, {user: numbers[user] for user in one.users if user in numbers}, codes, self.dtype
                )
                for one in folder.surveys
            ]
            with self.bar(f"export {folder.name}", len(users)) as progress:
                for result in self.engine.map(write_numbered, jobs, progress=progress, users=lambda job: job.users):
                    stamps |= {f"{folder.name}/{name}": stamp for name, stamp in result.stamps.items()}
                    for number, counts in result.labels.items():
                        labels[number].update(counts)
        config = {**describe_clients(labels, len(names), self._alpha()), **self._ours(users, names)}
        write_text(delivery.new / CONFIG, json.dumps(config))
        return {**stamps, CONFIG: stamp_file(delivery.new / CONFIG)}

    def _users(self) -> list[str]:
        """Return the users. Raises UsageError for other sides than PFLlib's, DataError unless each is on both."""
        sides = {folder.name: folder for folder in self.folders}
        if sides.keys() != {TRAIN, TEST}:
            raise UsageError(
                f"{', '.join(sides)}: PFLlib reads train and test, no more and no less; split the data, or name them"
            )
        for one, other in ((TRAIN, TEST), (TEST, TRAIN)):
            there = {user for user, size in _sizes(sides[other]).items() if size}
            lacking = [user for user, size in _sizes(sides[one]).items() if size and user not in there]
            if lacking:
                found = f'{counted(len(lacking), "user")} of {one}, such as "{lacking[0]}"'
                raise DataError(
                    f"{sides[other].path}: no samples of {found}, and PFLlib tests each user on their own; split each "
                    "user's samples"
                )
        return [user for user, size in _sizes(sides[TRAIN]).items() if size]

    def _classes(self) -> tuple[list[str], Mapping[Any, int] | None]:
        """Return the classes' names, and the number of each label where that is another. Raises DataError for none."""
        labels = all_labels(self.folders)
        names = class_names(self.folders, labels)
        if names is not None:
            return names, None
        if labels.other:
            raise DataError(f"{self.folders[0].path}: labels that are no classes, which PFLlib needs; export parquet")
        found: list[Any] = sorted(labels.texts or labels.whole)
        return [str(label) for label in found], {label: number for number, label in enumerate(found)}

    def _alpha(self) -> float | None:
        stages = self.folders[0].stages
        alpha = stages[0]["parameters"].get("alpha") if stages else None
        return alpha if isinstance(alpha, int | float) else None

    def _ours(self, users: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
        """Return what PFLlib does not ask for: the ids of its users, and what made them."""
        truth = self.folders[0].truth
        made = {
            "version": __version__,
            "users": list(users),
            "classes": list(names),
            "source_md5": {folder.name: dict(folder.md5) for folder in self.folders},
            "stages": {folder.name: folder.stages for folder in self.folders},
            "truth": None if truth is None else {key: plain(value) for key, value in truth.parameters.items()},
            "cluster": None if truth is None or truth.cluster is None else truth.cluster.tolist(),
        }
        return {"fedsynth": made}


def _sizes(folder: ExportFolder) -> dict[str, int]:
    return dict(zip(folder.users, folder.num_samples, strict=True))
