"""Parquet, Arrow, CSV and Hugging Face's folders, by pyarrow, the extra `arrow`."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fedsynth.errors import DataError, EngineError, UsageError, install_extra
from fedsynth.sources.arrow_types import describe_schema, to_values
from fedsynth.sources.source import Batch, ColumnInfo

_BATCH_BYTES = 8 << 20
_FEWEST, _MOST = 16, 1 << 16
_CSV_BLOCK = 4 << 20
_CSV_PROBLEM = re.compile(r"In CSV column #(\d+): (?:Row #\d+: )?CSV conversion error")
_WIDER = {"null": "int64", "int64": "float64"}
"""What a CSV column becomes where a later value is not of the type of its first ones; text, if nothing else."""


@dataclass(frozen=True)
class Reader:
    """A format. called: in errors; schema: of a file; batches: a file's record batches with these columns."""

    called: str
    schema: Callable[[Path], Any]
    batches: Callable[[Path, Sequence[str]], Iterator[Any]]


class ArrowSource:
    """Files of one format with the same columns, one after the other. Raises DataError where one can't be read."""

    def __init__(self, path: Path, files: Sequence[Path], reader: Reader) -> None:
        self.path = path
        self.files = files
        self._reader = reader
        self.columns: Mapping[str, ColumnInfo] = {}
        for number, file in enumerate(files):
            with _readable(file, reader.called):
                found = describe_schema(reader.schema(file))
            self.columns = self.columns if number else found
            if _types(found) != _types(self.columns):
                raise DataError(f"{file}: has other columns than {files[0]}, expected the same in all files of {path}")
        if not self.columns:
            raise DataError(f"{path}: no columns, expected some data; name another file")

    def batches(self, columns: Sequence[str]) -> Iterator[Batch]:
        """Yield the rows; see `Source`."""
        row = 0
        for file in self.files:
            found = self._reader.batches(file, columns)
            while True:
                with _readable(file, self._reader.called):
                    batch = next(found, None)
                if batch is None:
                    break
                for part in _parts(batch):
                    with _readable(file, self._reader.called):
                        values = {
                            name: to_values(file, name, part.column(name), self.columns[name], row) for name in columns
                        }
                    yield values
                    row += part.num_rows


def _types(columns: Mapping[str, ColumnInfo]) -> list[tuple[str, str]]:
    return [(name, info.described) for name, info in columns.items()]


def open_parquet(path: Path, files: Sequence[Path]) -> ArrowSource:
    """Open Parquet files."""
    parquet = import_arrow("pyarrow.parquet")

    def batches(file: Path, columns: Sequence[str]) -> Iterator[Any]:
        with parquet.ParquetFile(
            file, buffer_size=1 << 16, pre_buffer=False, page_checksum_verification=True
        ) as opened:
            metadata = opened.metadata
            sizes = [metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups)]
            share = len(columns) / max(1, len(opened.schema_arrow.names))
            width = sum(sizes) * share / max(1, metadata.num_rows)
            rows = int(min(max(_BATCH_BYTES / max(1.0, width), _FEWEST), _MOST))
            yield from opened.iter_batches(rows, columns=list(columns), use_threads=False)

    return ArrowSource(path, files, Reader("a Parquet file", parquet.read_schema, batches))


def open_ipc(path: Path, files: Sequence[Path]) -> ArrowSource:
    """Open Arrow files, of either format: file or stream."""
    arrow = import_arrow("pyarrow")

    def schema(file: Path) -> Any:
        with arrow.OSFile(str(file)) as opened:
            return _open_either(arrow, opened).schema

    def batches(file: Path, columns: Sequence[str]) -> Iterator[Any]:
        with arrow.OSFile(str(file)) as opened:
            reader = _open_either(arrow, opened)
            if hasattr(reader, "get_batch"):
                found = (reader.get_batch(number) for number in range(reader.num_record_batches))
            else:
                found = iter(reader)
            for batch in found:
                yield batch.select(list(columns))

    return ArrowSource(path, files, Reader("an Arrow file", schema, batches))


def _open_either(arrow: Any, opened: Any) -> Any:
    import pyarrow.ipc as ipc

    start = opened.read(6)
    opened.seek(0)
    return ipc.open_file(opened) if start == b"ARROW1" else ipc.open_stream(opened)


def open_csv(path: Path) -> ArrowSource:
    """Open a CSV file with a line of names; types are what all values of a column allow, found by reading them."""
    csv = import_arrow("pyarrow.csv")
    import pyarrow as arrow

    kinds: dict[str, Any] = {}

    def open_reader(columns: Sequence[str]) -> Any:
        return csv.open_csv(
            path,
            read_options=csv.ReadOptions(use_threads=False, block_size=_CSV_BLOCK),
            convert_options=csv.ConvertOptions(
                column_types=kinds,
                include_columns=list(columns),
                strings_can_be_null=False,
            ),
        )

    with _readable(path, "a CSV file"):
        names = open_reader([]).schema.names
        if len(set(names)) < len(names):
            raise DataError(f"{path}: two columns of one name, expected a first line of different names; add one")
        while not _settle_types(open_reader([]), names, kinds):
            pass
    schema = arrow.schema([(name, kinds[name]) for name in names])
    reader = Reader("a CSV file", lambda _: schema, lambda _, columns: iter(open_reader(columns)))
    return ArrowSource(path, [path], reader)


def _settle_types(reader: Any, names: Sequence[str], kinds: dict[str, Any]) -> bool:
    """Read a CSV file to its end; False if a column's type had to be widened on the way, and it is to be read again."""
    for field in reader.schema:
        kinds.setdefault(field.name, field.type)
    try:
        for _ in reader:
            pass
    except ValueError as error:
        problem = _CSV_PROBLEM.search(str(error))
        if problem is None:
            raise
        name = names[int(problem[1])]
        kinds[name] = import_arrow("pyarrow").type_for_alias(_WIDER.get(str(kinds[name]), "string"))
        return False
    return True


def open_saved(path: Path, state: Path) -> ArrowSource:
    """Open a folder that Hugging Face's `save_to_disk` made."""
    try:
        files = [path / entry["filename"] for entry in json.loads(state.read_text())["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{state}: damaged, expected what `save_to_disk` writes ({error}); save it again") from error
    return open_ipc(path, files)


def refuse_splits(path: Path, listing: Path) -> None:
    """Raise UsageError for a folder of several datasets that `save_to_disk` made, naming them."""
    try:
        splits = ", ".join(str(path / name) for name in json.loads(listing.read_text())["splits"])
    except (ValueError, KeyError, TypeError):
        splits = "one of its folders"
    raise UsageError(f"{path}: several datasets, expected one; name {splits}")


def import_arrow(module: str) -> ModuleType:
    """Return pyarrow or a module of it. Raises EngineError where it is not installed."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise EngineError(
            "pyarrow is not installed, which reads all formats but .npz and LEAF's; "
            f"{install_extra('pyarrow >= 16.1', 'arrow')}"
        ) from error


def _parts(batch: Any) -> Iterator[Any]:
    """Cut a batch of a file into some that are not much larger than is to be held."""
    rows = max(1, batch.num_rows)
    step = max(_FEWEST, min(_MOST, int(_BATCH_BYTES / max(1.0, batch.nbytes / rows))))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


@contextlib.contextmanager
def _readable(path: Path, called: str) -> Iterator[None]:
    """Turn pyarrow's errors into sentences; they are ValueErrors and OSErrors without a number."""
    try:
        yield
    except (DataError, UsageError):
        raise
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise _damaged(path, called, error) from error
    except OSError as error:
        if error.errno:
            raise
        raise _damaged(path, called, error) from error


def _damaged(path: Path, called: str, error: Exception) -> DataError:
    found = " ".join(str(error).split())[:200] or type(error).__name__
    return DataError(f"{path}: can't be read, expected {called} ({found}); make the file again")
