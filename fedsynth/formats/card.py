"""The dataset card: README.md, with the YAML that Hugging Face reads and what people want to know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fedsynth.formats.features import card_features, type_name
from fedsynth.formats.schema import CLUSTER, HIERARCHY, USER, X, Y, is_fixed, is_list

_SIZES = [
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
    (1_000_000_000, "100M<n<1B"),
    (10_000_000_000, "1B<n<10B"),
    (100_000_000_000, "10B<n<100B"),
    (1_000_000_000_000, "100B<n<1T"),
]
_MEANINGS = {
    USER: "whose sample it is; a user's samples are consecutive",
    X: "the features",
    Y: "the label",
    CLUSTER: "the cluster that the user's true model was drawn from",
    HIERARCHY: "the group that the user belongs to",
}


@dataclass(frozen=True)
class Split:
    """A folder that was exported. num_bytes: in memory; file_bytes: on the disk; table: lines of the measures.

    pictures: names of files beside the card; stages: what made it, the first one first, as JSON values.
    """

    name: str
    users: int
    samples: int
    num_bytes: int
    file_bytes: int
    stages: Sequence[Mapping[str, Any]] = ()
    table: Sequence[str] = ()
    pictures: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class Card:
    """All that a card says. schema: Arrow's; commands: that made the data, [] if they are not known."""

    title: str
    schema: Any
    class_names: Sequence[str] | None
    splits: Sequence[Split]
    version: str
    commands: Sequence[str] = field(default_factory=list)

    def text(self) -> str:
        """Return the file."""
        parts = [self._head(), self._summary(), self._making(), self._columns(), self._loading(), self._measures()]
        text = "\n\n".join(part for part in parts if part) + "\n"
        return text.encode(errors="backslashreplace").decode()

    def _head(self) -> str:
        samples = sum(split.samples for split in self.splits)
        files = [{"split": split.name, "path": f"data/{split.name}-*"} for split in self.splits]
        sizes = [
            {"name": split.name, "num_bytes": split.num_bytes, "num_examples": split.samples} for split in self.splits
        ]
        head = {
            "pretty_name": self.title,
            "tags": ["federated-learning"],
            "size_categories": [next((name for most, name in _SIZES if samples < most), "n>1T")],
            "configs": [{"config_name": "default", "data_files": files}],
            "dataset_info": {
                "features": card_features(self.schema, self.class_names),
                "splits": sizes,
                "download_size": sum(split.file_bytes for split in self.splits),
                "dataset_size": sum(split.num_bytes for split in self.splits),
            },
        }
        return "\n".join(["---", *_yaml(head), "---"])

    def _summary(self) -> str:
        rows = [f"| {one.name} | {one.users:,} | {one.samples:,} | {one.file_bytes:,} |" for one in self.splits]
        lines = [f"# {_plain(self.title)}", "", f"A federated dataset, exported by fedsynth {self.version}.", ""]
        lines += ["| split | users | samples | bytes |", "| --- | ---: | ---: | ---: |", *rows]
        return "\n".join(lines)

    def _making(self) -> str:
        lines = ["## How it was made", ""]
        lines += ["```sh", *self.commands, "```", ""] if self.commands else []
        told: list[Any] = []
        for split in self.splits:
            lines += [_plain(split.note), ""] if split.note and split.note not in told else []
            told.append(split.note)
            for stage in split.stages:
                if stage not in told:
                    lines.append(_stage_line(stage))
                told.append(stage)
        if lines[-1] == "":
            lines.pop()
        return "\n".join(lines) if len(lines) > 1 else "\n".join([*lines, "", "It is not known how."])

    def _columns(self) -> str:
        rows = []
        for column in self.schema:
            kind = _type_in_words(column.type)
            if column.name == Y and self.class_names is not None:
                kind = f"class, one of {len(self.class_names):,}"
            rows.append(f"| `{column.name}` | {kind} | {_MEANINGS[column.name]} |")
        return "\n".join(["## Columns", "", "| column | type | what |", "| --- | --- | --- |", *rows])

    def _loading(self) -> str:
        split = self.splits[0].name
        lines = [
            "## Loading",
            "",
            "```python",
            "from datasets import load_dataset",
            "from flwr_datasets import FederatedDataset",
            "from flwr_datasets.partitioner import NaturalIdPartitioner",
            "",
            "dataset = load_dataset(FOLDER)  # this one",
            f'users = FederatedDataset(dataset=FOLDER, partitioners={{"{split}": NaturalIdPartitioner("{USER}")}})',
            f'user = users.load_partition(0, "{split}")',
            "```",
        ]
        return "\n".join(lines)

    def _measures(self) -> str:
        lines = ["## Heterogeneity"]
        for split in self.splits:
            lines += ["", f"### {split.name}", ""]
            lines += ["```text", *split.table, "```"] if split.table else []
            lines += [line for name in split.pictures for line in ("", f"![{_alt(name)}]({name})")]
        return "\n".join(lines) if any(split.table or split.pictures for split in self.splits) else ""


def _stage_line(stage: Mapping[str, Any]) -> str:
    knobs = ", ".join(f"{key} {_short(value)}" for key, value in stage["parameters"].items())
    seed = "" if stage["seed"] is None else f", seed {stage['seed']}"
    return f"- **{stage['stage']}** (fedsynth {stage['fedsynth']}{seed}): `{_plain(knobs).replace('`', '')}`"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _type_in_words(kind: Any) -> str:
    if not is_list(kind):
        return type_name(kind)
    shape = []
    while is_list(kind):
        shape.append(str(kind.list_size) if is_fixed(kind) else "any")
        kind = kind.value_type
    return f"{type_name(kind)} [{', '.join(shape)}]"


def _alt(name: str) -> str:
    return name.removesuffix(".png").replace("_", " ")


def _plain(text: str) -> str:
    """Return text on one line."""
    return " ".join(text.split())


def _yaml(value: Any, indent: str = "") -> list[str]:
    """Return mappings, lists and single values as lines of YAML; texts as JSON has them, which YAML reads."""
    lines = []
    for key, entry in value.items() if isinstance(value, dict) else ((None, entry) for entry in value):
        start = f"{indent}- " if key is None else f"{indent}{_key(key)}:"
        if isinstance(entry, dict | list):
            below = _yaml(entry, f"{indent}  ")
            if key is None:
                below[0] = start + below[0].lstrip()
            lines += below if key is None else [start, *below]
        else:
            lines.append(f"{start}{'' if key is None else ' '}{_scalar(entry)}")
    return lines


def _key(key: str) -> str:
    return key if key.replace("_", "").isalpha() else _quoted(key)


def _scalar(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    """Return text as YAML has it between quotes: as JSON, but with escapes of its own for what can't be printed."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in quoted)
