"""Exports as other libraries read them: Hugging Face's datasets, DuckDB, polars, pandas, scikit-learn."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.clients.conftest import CLASSES, DIMENSIONS, Made

pytestmark = pytest.mark.clients

USER = "7"
"""Somebody in the middle, whom all tests look for."""


def expected(made: Made, side: str = "train") -> tuple[Any, Any, Any]:
    """x, y and user_id of all samples, in the order of the files."""
    users = made.users(side)
    x = np.concatenate([x for x, _ in users.values()])
    y = np.concatenate([y for _, y in users.values()])
    return x, y, np.repeat([int(user) for user in users], [len(y) for _, y in users.values()])


def test_datasets_loads_the_folder_with_its_splits_and_features(made: Made) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(made.exports["huggingface"]))
    assert list(loaded) == ["train", "test"]
    for side, split in loaded.items():
        x, y, user = expected(made, side)
        columns = split.with_format("arrow")[:]  # its own arrays are of float32
        np.testing.assert_array_equal(columns["x"].to_pylist(), x)
        assert columns["y"].to_pylist() == y.tolist()
        assert columns["user_id"].to_pylist() == user.tolist()
    features = loaded["train"].features
    assert features["user_id"] == datasets.Value("int64")
    assert (
        features["x"]
        == datasets.Features.from_dict(
            {"x": {"feature": {"dtype": "float64", "_type": "Value"}, "length": DIMENSIONS, "_type": "Sequence"}}
        )["x"]
    )
    assert features["y"].names == [str(number) for number in range(CLASSES)]


def test_datasets_streams_the_folder(made: Made) -> None:
    datasets = pytest.importorskip("datasets")
    stream = datasets.load_dataset(str(made.exports["huggingface"]), split="test", streaming=True)
    x, y, user = expected(made, "test")
    first = next(iter(stream))
    assert (first["x"], first["y"], first["user_id"]) == (x[0].tolist(), y[0], user[0])


def test_datasets_maps_an_arrow_stream(made: Made) -> None:
    datasets = pytest.importorskip("datasets")
    loaded = datasets.Dataset.from_file(str(made.exports["arrow"] / "train-00000-of-00001.arrow"))
    x, y, _ = expected(made)
    np.testing.assert_array_equal(loaded.with_format("arrow")[:]["x"].to_pylist(), x)
    assert loaded.features["y"].num_classes == CLASSES
    assert loaded["y"][:] == y.tolist()
    assert len(loaded.data.to_batches()) == len(made.users("train"))


def test_duckdb_selects_one_user_by_sql(made: Made) -> None:
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(
        f"SELECT y, x FROM '{made.exports['huggingface']}/data/train-*.parquet' WHERE user_id = {USER}"
    ).fetchall()
    x, y = made.users("train")[USER]
    assert [row[0] for row in found] == y.tolist()
    assert [list(row[1]) for row in found] == x.tolist()


def test_duckdb_counts_users_classes(made: Made) -> None:
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql(
        f"SELECT user_id, count(*), count(DISTINCT y) FROM '{made.exports['parquet']}/train-*.parquet' GROUP BY user_id"
    ).fetchall()
    users = made.users("train")
    assert sorted(rows) == sorted((int(user), len(y), len(set(y.tolist()))) for user, (_, y) in users.items())


def test_polars_selects_one_user_and_reads_streams(made: Made) -> None:
    polars = pytest.importorskip("polars")
    x, y = made.users("train")[USER]
    frame = polars.scan_parquet(made.exports["parquet"] / "train-*.parquet")
    found = frame.filter(polars.col("user_id") == int(USER)).collect()
    assert found["y"].to_list() == y.tolist()
    np.testing.assert_array_equal(found["x"].to_numpy(), x)
    stream = polars.read_ipc_stream(made.exports["arrow"] / "train-00000-of-00001.arrow")
    found = stream.filter(polars.col("user_id") == int(USER))
    np.testing.assert_array_equal(found["x"].to_numpy(), x)


def test_pandas_reads_one_user(made: Made) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_parquet(made.exports["huggingface"] / "data", filters=[("user_id", "==", int(USER))])
    both = [made.users(side)[USER] for side in ("test", "train")]  # in the order of the files' names
    assert frame["y"].tolist() == np.concatenate([y for _, y in both]).tolist()
    np.testing.assert_array_equal(np.stack(frame["x"]), np.concatenate([x for x, _ in both]))


def test_scikit_learn_fits_the_pooled_samples(made: Made) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    pandas = pytest.importorskip("pandas")
    sides = {}
    for side in ("train", "test"):
        frame = pandas.read_parquet(made.exports["parquet"] / f"{side}-00000-of-00001.parquet")
        sides[side] = np.stack(frame["x"]), frame["y"]
    model = linear_model.LogisticRegression(max_iter=1000).fit(*sides["train"])
    assert model.score(*sides["test"]) > 0.7


def test_only_the_row_groups_of_one_user_are_read(made: Made, tmp_path: Path) -> None:
    """By the statistics on user_id, which are those that DuckDB, polars and pandas choose by."""
    parquet = pytest.importorskip("pyarrow.parquet")
    from fedsynth import export, write_leaf

    rng = np.random.default_rng(1)
    users = {str(user): (rng.normal(size=(40, 500)), rng.integers(0, 3, 40)) for user in range(40)}
    write_leaf(tmp_path / "data/all_data", users)
    export(tmp_path / "out", to="parquet", data_dir=tmp_path / "data")
    metadata = parquet.read_metadata(tmp_path / "out/all_data-00000-of-00001.parquet")
    bounds = [metadata.row_group(number).column(0).statistics for number in range(metadata.num_row_groups)]
    assert metadata.num_row_groups > 4
    assert all(one.max < other.min for one, other in itertools.pairwise(bounds))
