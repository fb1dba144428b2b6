"""Where users and samples are in a file, packed; of many users it is kept on disk while others are processed."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec

from fedsynth.leaf.names import Names
from fedsynth.leaf.plan import Counts
from fedsynth.leaf.runs import RawSamples
from fedsynth.leaf.samples import Raw, UserSamples
from fedsynth.records.stamp import FileState
from fedsynth.system import naming

RawUser = UserSamples | RawSamples
"""One user's raw samples, x and y."""

_MANY = 1000
"""Users from which on an index is worth a file of its own."""


class SampleOffsets:
    """Where each sample's x and y are in a file, numbered in the order in which users are added. All [samples]."""

    def __init__(self) -> None:
        self.x_offsets, self.x_sizes = array("q"), array("i")
        self.y_offsets, self.y_sizes = array("q"), array("i")

    def add(self, offset: int, user: RawUser) -> None:
        """Add a user whose standard text is at `offset`: two bytes are between samples, so sizes tell offsets."""
        at = offset + len('{"x": [')
        at = _append(self.x_offsets, self.x_sizes, at, user.x)
        _append(self.y_offsets, self.y_sizes, at + len('], "y": ['), user.y)


def _append(offsets: array[int], sizes: array[int], at: int, samples: Sequence[Raw]) -> int:
    """Append the offsets of consecutive samples; return where the last one ends."""
    for raw in samples:
        size = len(memoryview(raw))
        offsets.append(at)
        sizes.append(size)
        at += size + 2
    return at - 2 if samples else at


@dataclass(frozen=True)
class LeafIndex:
    """Where the users of one file are. All sequences are [users], in the order of the file's `users`."""

    path: Path
    counts: Counts
    offsets: Sequence[int]
    sizes: Sequence[int]
    standard: Sequence[int]
    """1 where the user's text is x and y with LEAF's separators, so that a slice of it can be copied as it is."""
    exact: bool = False
    """Whether the whole file is LEAF's text to the byte, as everything is that fedsynth wrote."""
    samples: SampleOffsets | None = None
    """Where each sample is; None where it was not asked for, and where not every user's text is standard."""
    state: FileState | None = None
    """What the file was when it was indexed, or written: `SampleReader` reads no other."""

    @property
    def num_samples(self) -> Sequence[int]:
        """[users] as in counts."""
        return self.counts.num_samples


@dataclass(frozen=True)
class ShelvedIndex:
    """An index on disk. num_samples: [users], which plans are made from; shelf_file: the file that has the rest."""

    path: Path
    num_samples: Sequence[int]
    shelf_file: Path

    def load(self) -> LeafIndex:
        """Return the index."""
        found = _decode_shelved(self.shelf_file.read_bytes())
        names = Names.unpacked(found.names, _array(found.ends, found.ends_type))
        order = range(len(names)) if found.data_order is None else _array(found.data_order)
        return LeafIndex(
            path=self.path,
            counts=Counts(names, self.num_samples, None, order),
            offsets=_array(found.offsets),
            sizes=_array(found.sizes),
            standard=found.standard,
            exact=found.exact,
            state=None if found.state is None else FileState(*found.state),
        )


AnyIndex = LeafIndex | ShelvedIndex


class _Shelved(msgspec.Struct, array_like=True):
    names: bytes
    ends: bytes
    ends_type: str
    data_order: bytes | None
    offsets: bytes
    sizes: bytes
    standard: bytes
    exact: bool
    state: tuple[int, int, int, int] | None


_decode_shelved = msgspec.msgpack.Decoder(_Shelved).decode


def shelved(index: LeafIndex, shelf: Path | None) -> AnyIndex:
    """Write an index into a folder and return what is left of it in memory; small ones are returned as they are."""
    counts = index.counts
    if shelf is None or len(counts.num_samples) < _MANY or counts.hierarchies is not None or index.samples is not None:
        return index
    names, order, state = Names.of(counts.users), counts.data_order, index.state
    content = _Shelved(
        names=names.text,
        ends=names.ends.tobytes(),
        ends_type=names.ends.typecode,
        data_order=None if isinstance(order, range) else array("q", order).tobytes(),
        offsets=array("q", index.offsets).tobytes(),
        sizes=array("q", index.sizes).tobytes(),
        standard=bytes(index.standard),
        exact=index.exact,
        state=None if state is None else (state.size, state.mtime_ns, state.inode, state.ctime_ns),
    )
    shelf_file = shelf / f"{index.path.name}.{token_hex(4)}"
    with naming(shelf_file), shelf_file.open("xb") as file:
        file.write(msgspec.msgpack.encode(content))
    return ShelvedIndex(index.path, counts.num_samples, shelf_file)


def unshelved(index: AnyIndex) -> LeafIndex:
    """Return an index whole, wherever it is."""
    return index if isinstance(index, LeafIndex) else index.load()


def _array(data: bytes, typecode: Any = "q") -> array[int]:
    found: array[int] = array(typecode)
    found.frombytes(data)
    return found
