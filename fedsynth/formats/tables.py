"""Files of tables: Parquet in groups of whole users, and Arrow's streams of one batch a user."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

from fedsynth.formats.schema import CLUSTER, HIERARCHY, USER, X, Y, import_arrow, is_list
from fedsynth.leaf.hashed_file import HashedFile
from fedsynth.records.stamp import FileStamp

GROUP_BYTES = 1 << 19
"""Of a row group, about: so that one user is read without much else, and the footer stays small beside the data."""
SPLIT_BYTES = 64 << 20
"""Of a user from which on they go into several row groups."""


class TableFile(Protocol):
    """A file being written, user by user."""

    def add(self, batches: Iterable[Any]) -> int:
        """Take a user's record batches; return their bytes in memory."""

    def close(self) -> None:
        """Write what is left."""


class Sink:
    """A file that Arrow writes to: whole, hashed and synced at the end, or an error."""

    def __init__(self, path: Path) -> None:
        self._file = HashedFile(path)
        self._abandoned = self.closed = False

    def write(self, data: bytes) -> int:
        """Take the next bytes; those that Arrow brings after an error, when it is deleted, are not wanted any more."""
        if not self._abandoned:
            self._file.write(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Do nothing: all is on the disk at the end."""

    def close(self) -> None:
        """Do nothing: Arrow closes a file also when an error has left it unfinished."""

    def readable(self) -> bool:
        """Whether it can be read."""
        return False

    def writable(self) -> bool:
        """Whether it can be written."""
        return True

    def seekable(self) -> bool:
        """Whether there is a way back in it."""
        return False

    def tell(self) -> int:
        """Return how many bytes it has taken."""
        return self._file.size

    def finish(self) -> FileStamp:
        """End the file and return what it is. Raises OSError unless every byte is in it."""
        return self._file.close()[0]

    def abandon(self) -> None:
        """End the file, finished or not."""
        self._abandoned = True
        self._file.abandon()


class ParquetFile:
    """Parquet, zstd, fractions split into streams of bytes. Holds a row group, and of it what is being compressed."""

    def __init__(self, sink: Sink, schema: Any) -> None:
        import pyarrow.parquet as parquet

        fractions = [_leaf_path(schema.field(name)) for name in (X, Y) if _has_fractions(schema.field(name).type)]
        self._writer = parquet.ParquetWriter(
            sink,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in (USER, Y, CLUSTER, HIERARCHY) if name not in fractions],
            use_byte_stream_split=fractions,
            write_statistics=[USER],
            write_page_checksum=True,
        )
        self._schema = schema
        self._group: list[Any] = []
        self._size = 0

    def add(self, batches: Iterable[Any]) -> int:
        """Take a user: with those before them, alone, or in several row groups, by their size."""
        user: list[Any] = []
        size = total = 0
        for batch in batches:
            if size and size + batch.nbytes > SPLIT_BYTES:
                self._flush()
                self._write(user)
                user, size = [], 0
            user.append(batch)
            size += batch.nbytes
            total += batch.nbytes
        if self._size + size > GROUP_BYTES:
            self._flush()
        self._group += user
        self._size += size
        return total

    def close(self) -> None:
        """Write the last group and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._group:
            self._write(self._group)
        self._group, self._size = [], 0

    def _write(self, batches: list[Any]) -> None:
        table = import_arrow().Table.from_batches(batches, self._schema)
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))


class StreamFile:
    """Arrow's stream, one batch a user, which readers map without reading. Holds the largest user."""

    def __init__(self, sink: Sink, schema: Any) -> None:
        self._schema = schema
        self._writer = import_arrow().ipc.new_stream(sink, schema)

    def add(self, batches: Iterable[Any]) -> int:
        """Take a user as one batch."""
        table = import_arrow().Table.from_batches(list(batches), self._schema).combine_chunks()
        for batch in table.to_batches():
            self._writer.write_batch(batch)
        return int(table.nbytes)

    def close(self) -> None:
        """Write the end of the stream."""
        self._writer.close()


TABLES: dict[str, Callable[[Sink, Any], TableFile]] = {"parquet": ParquetFile, "arrow": StreamFile}
"""By the ending of their files."""


def _leaf_path(field: Any) -> str:
    path, kind = [field.name], field.type
    while is_list(kind):
        path += ["list", "element"]
        kind = kind.value_type
    return ".".join(path)


def _has_fractions(kind: Any) -> bool:
    while is_list(kind):
        kind = kind.value_type
    return bool(import_arrow().types.is_floating(kind))
