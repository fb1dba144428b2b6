"""Exporting, beside the loader's reading and pyarrow's own writing of the same arrays; sizes of the formats.

python -m benchmarks.exporting FOLDER NAME     read a folder with the loader, write it with pyarrow: the plain side
python -m benchmarks.exporting one FILE USER   read one user of a Parquet file with each client there is, and print ms
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.measure import Cost, Row, compare, python, run

_TASKS = 1000
_FORMATS = ("parquet", "huggingface", "arrow")


def rows(folder: Path, pairs: int) -> Iterator[Row]:
    """Compare with the loader and pyarrow; each format's size is in its row. Nothing without pyarrow."""
    if importlib.util.find_spec("pyarrow") is None:
        return
    cwd = folder / "exporting"
    cwd.mkdir()
    run([python("-m", "fedsynth", "generate", "-num-tasks", _TASKS)], cwd)
    source = cwd / "data/all_data/all_data.json"
    for number, (to, options) in enumerate(
        [(to, ()) for to in _FORMATS] + [("parquet", ("--dtype", "float32")), ("huggingface", ("--no-features",))]
    ):
        out = cwd / f"out{number}"

        def export(to: str = to, options: tuple[str, ...] = options, out: Path = out) -> Cost:
            return _seconds_of_processors(
                run([python("-m", "fedsynth", "export", "all_data", "--to", to, *options, "--overwrite", out)], cwd)
            )

        def plain() -> Cost:
            return _seconds_of_processors(run([python("-m", "benchmarks.exporting", "data/all_data", "plain")], cwd))

        export()
        size = sum(path.stat().st_size for path in out.rglob("*") if path.suffix in (".parquet", ".arrow")) / 1e6
        label = " ".join((to, *options)).replace("--", "")
        work = f"Export {source.stat().st_size / 1e6:.0f} MB: {label}, {size:.0f} MB (plain: loader, pyarrow)"
        target = "<= 1.6 with measures and pictures" if to == "huggingface" else "<= 1"
        yield compare(work, target, plain=plain, fedsynth=export, pairs=pairs, check=lambda: None)


def _seconds_of_processors(cost: Cost) -> Cost:
    """Return what the row shows: on one core that is the time, on a busy machine it is what can be compared."""
    return Cost(cost.cpu, cost.peak, cost.cpu)


def write_plainly(source: Path, target: Path) -> None:
    """Read all users with the loader, and write them with pyarrow as it does by itself."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as parquet

    from fedsynth import LeafDataset

    users = LeafDataset(source)
    writer = None
    for user in users.user_ids:
        found = users[user]
        x = pa.FixedSizeListArray.from_arrays(pa.array(found.features.ravel()), found.features.shape[1])
        names = pa.array(np.full(len(found.labels), int(user)))
        table = pa.table({"user_id": names, "x": x, "y": pa.array(found.labels)})
        writer = writer or parquet.ParquetWriter(target, table.schema, compression="zstd")
        writer.write_table(table)
    if writer is not None:
        writer.close()


def time_one_user(file: Path, user: int) -> Iterator[tuple[str, float]]:
    """Yield each client that is installed, and the least milliseconds that it takes to read one user."""
    for name, open_client in _CLIENTS.items():
        if importlib.util.find_spec(name) is not None:
            read = open_client(file, user)
            read()
            yield name, 1000 * min(_timed(read) for _ in range(20))


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _pyarrow(file: Path, user: int) -> Callable[[], object]:
    import pyarrow.parquet as parquet

    return lambda: parquet.read_table(file, filters=[("user_id", "=", user)], columns=["x", "y"])


def _duckdb(file: Path, user: int) -> Callable[[], object]:
    import duckdb

    database = duckdb.connect()
    return lambda: database.sql(f"SELECT x, y FROM '{file}' WHERE user_id = {user}").arrow().read_all()


def _polars(file: Path, user: int) -> Callable[[], object]:
    import polars

    return lambda: polars.scan_parquet(file).filter(polars.col("user_id") == user).select("x", "y").collect()


def _pandas(file: Path, user: int) -> Callable[[], object]:
    import pandas

    return lambda: pandas.read_parquet(file, filters=[("user_id", "==", user)], columns=["x", "y"])


_CLIENTS = {"pyarrow": _pyarrow, "duckdb": _duckdb, "polars": _polars, "pandas": _pandas}


if __name__ == "__main__":
    if sys.argv[1] == "one":
        for name, milliseconds in time_one_user(Path(sys.argv[2]), int(sys.argv[3])):
            print(f"{name:10} {milliseconds:8.2f} ms")
    else:
        write_plainly(Path(sys.argv[1]), Path(sys.argv[2]))
