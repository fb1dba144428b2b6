"""Every format gives the same samples; what can't be used is a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsynth.errors import DataError, FedsynthError, StageError, UsageError
from fedsynth.sources.open import open_source
from fedsynth.sources.samples import choose_samples
from fedsynth.sources.source import Source, standing_still

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
csv = pytest.importorskip("pyarrow.csv")

X = np.random.RandomState(0).normal(size=(500, 3)).round(6)
Y = np.arange(500) % 4


def table(**more: Any) -> Any:
    return pa.table({"a": X[:, 0], "b": X[:, 1], "c": X[:, 2], "label": Y, **more})


def write_ipc(path: Path, content: Any, *, stream: bool) -> None:
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(str(path), content.schema) as writer:
        for batch in content.to_batches(max_chunksize=70):
            writer.write_batch(batch)


def read(source: Source, x: list[str] | None = None, label: str = "label") -> tuple[list[Any], list[Any]]:
    """All samples and labels, as JSON values."""
    columns = choose_samples(source, x, [label])
    samples: list[Any] = []
    labels: list[Any] = []
    for batch in source.batches([*columns.names, label]):
        found = columns.samples(batch)
        samples += found.tolist() if isinstance(found, np.ndarray) else [json.loads(text) for text in found]
        labels += list(batch[label])
    return samples, labels


def save_parquet(folder: Path) -> Path:
    pq.write_table(table(), folder / "t.parquet", row_group_size=90)
    return folder / "t.parquet"


def save_parquet_folder(folder: Path) -> Path:
    (folder / "many/data").mkdir(parents=True)
    pq.write_table(table().slice(0, 300), folder / "many/data/train-0.parquet")
    pq.write_table(table().slice(300), folder / "many/data/train-1.parquet")
    return folder / "many"


def save_arrow(folder: Path) -> Path:
    write_ipc(folder / "t.arrow", table(), stream=False)
    return folder / "t.arrow"


def save_stream(folder: Path) -> Path:
    write_ipc(folder / "t.arrow", table(), stream=True)
    return folder / "t.arrow"


def save_csv(folder: Path) -> Path:
    csv.write_csv(table(), folder / "t.csv")
    return folder / "t.csv"


@pytest.mark.parametrize("save", [save_parquet, save_parquet_folder, save_arrow, save_stream, save_csv])
def test_columns_of_numbers_become_rows(tmp_path: Path, save: Callable[[Path], Path]) -> None:
    samples, labels = read(open_source(save(tmp_path)))
    assert samples == X.tolist()
    assert labels == Y.tolist()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_is_read_by_rows(tmp_path: Path, save: Callable[..., None]) -> None:
    images = np.arange(500 * 2 * 3, dtype=np.uint8).reshape(500, 2, 3)
    save(tmp_path / "t.npz", x=images, y=Y, info="a word", names=np.array(["a", "bc"] * 250))
    source = open_source(tmp_path / "t.npz")
    assert list(source.columns) == ["x", "y", "names"]
    samples, labels = read(source, ["x"], "y")
    assert samples == images.tolist() and labels == Y.tolist()
    assert read(source, ["names"], "y")[0] == ["a", "bc"] * 250


def test_samples_of_leaf_files_that_had_to_be_parsed_are_the_same(tmp_path: Path, write_leaf: Any) -> None:
    """Labels beyond 64 bits take the slow way of reading, which parses x as well."""
    write_leaf({"u": ([[1, 2.5], ["a"]], [2**70, 1])}, "all/a.json")
    batch = next(open_source(tmp_path / "all").batches(["x", "y"]))
    assert [json.loads(text) for text in batch["x"]] == [[1, 2.5], ["a"]] and list(batch["y"]) == [2**70, 1]


def test_leaf_files_are_pooled(tmp_path: Path, write_leaf: Any) -> None:
    write_leaf({"u": ([[1, 2.50], [3, 4]], [0, 1]), "v": (["text"], [2])}, "all/a.json")
    write_leaf({"w": ([{"any": 1}], [3])}, "all/b.json")
    source = open_source(tmp_path / "all")
    samples, labels = read(source, ["x"], "y")
    assert samples == [[1, 2.5], [3, 4], "text", {"any": 1}]
    assert labels == [0, 1, 2, 3]
    assert [user for batch in source.batches(["user"]) for user in batch["user"]] == ["u", "u", "v", "w"]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (pa.list_(pa.float32(), 2), [[1.5, 2.0], [3.0, 4.0]]),
        (pa.list_(pa.int64()), [[1, 2], [3, 4]]),
        (pa.list_(pa.int64()), [[1], [2, 3]]),
        (pa.list_(pa.list_(pa.float64(), 2), 1), [[[1.0, 2.0]], [[3.0, 4.0]]]),
        (pa.list_(pa.list_(pa.int8())), [[[1], [2, 3]], [[4]]]),
        (pa.list_(pa.string()), [["a", "b"], ["c"]]),
        (pa.large_string(), ["some", "text"]),
        (pa.dictionary(pa.int8(), pa.string()), ["x", "y"]),
    ],
)
def test_a_column_of_lists_or_texts_is_the_sample(tmp_path: Path, kind: Any, rows: list[Any]) -> None:
    values = pa.array(rows, pa.string()).cast(kind) if pa.types.is_dictionary(kind) else pa.array(rows, kind)
    pq.write_table(pa.table({"pixels": values, "label": [0, 1]}), tmp_path / "t.parquet")
    assert read(open_source(tmp_path / "t.parquet"))[0] == rows


def test_slices_of_lists_are_their_own_rows(tmp_path: Path) -> None:
    """An Arrow file's batch is cut: the lists of each part are those of its rows."""
    content = pa.table(
        {"x": pa.array([[float(row)] * 4 for row in range(900)], pa.list_(pa.float64(), 4)), "y": range(900)}
    )
    with pa.ipc.new_file(str(tmp_path / "t.arrow"), content.schema) as writer:
        writer.write_table(content)
    from fedsynth.sources import arrow

    before, arrow._MOST = arrow._MOST, 100
    try:
        samples, _ = read(open_source(tmp_path / "t.arrow"), ["x"], "y")
    finally:
        arrow._MOST = before
    assert samples == [[float(row)] * 4 for row in range(900)]


def test_csv_types_hold_for_the_whole_file(tmp_path: Path) -> None:
    """A column that starts with whole numbers, and has a fraction or a text megabytes later."""
    lines = ["a,b,label", *["1,2,0"] * 1_500_000, "0.5,two,1"]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    source = open_source(tmp_path / "t.csv")
    assert [(info.kind, info.whole) for info in source.columns.values()] == [
        ("number", False),
        ("text", False),
        ("number", True),
    ]
    last = list(source.batches(["a", "b", "label"]))[-1]
    assert [list(last[name])[-1] for name in ("a", "b", "label")] == [0.5, "two", 1]


def test_labels_have_the_names_that_hugging_face_gave(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    content = pa.table({"x": [1.0, 2.0], "label": [0, 1]}).replace_schema_metadata(
        {"huggingface": json.dumps(features)}
    )
    (tmp_path / "saved").mkdir()
    write_ipc(tmp_path / "saved/data-00000-of-00001.arrow", content, stream=True)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (tmp_path / "saved/state.json").write_text(json.dumps(state))
    (tmp_path / "saved/dataset_info.json").write_text("{}")
    source = open_source(tmp_path / "saved")
    assert source.columns["label"].label_names == ["cat", "dog"]
    assert read(source)[0] == [[1.0], [2.0]]


def test_what_save_to_disk_really_writes(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        {"x": datasets.Sequence(datasets.Value("float32")), "label": datasets.ClassLabel(2, ["n", "p"])}
    )
    content = datasets.Dataset.from_dict({"x": [[1, 2], [3, 4]], "label": [0, 1]}, features=features)
    content.save_to_disk(tmp_path / "one")
    source = open_source(tmp_path / "one")
    assert source.columns["label"].label_names == ["n", "p"]
    assert read(source) == ([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    datasets.DatasetDict({"train": content, "test": content}).save_to_disk(tmp_path / "both")
    with pytest.raises(UsageError, match=r"several datasets, expected one; name .*both/train, .*both/test"):
        open_source(tmp_path / "both")


def image(folder: Path) -> Path:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    content = pa.table({"image": pa.array([{"bytes": b"1", "path": "p"}], kind), "label": [0]})
    pq.write_table(content, folder / "t.parquet")
    return folder / "t.parquet"


def dates(folder: Path) -> Path:
    pq.write_table(pa.table({"day": pa.array([1], pa.timestamp("s")), "label": [0]}), folder / "t.parquet")
    return folder / "t.parquet"


def mixed(folder: Path) -> Path:
    pq.write_table(pa.table({"a": [1.0], "b": ["t"], "label": [0]}), folder / "t.parquet")
    return folder / "t.parquet"


def null_at(folder: Path) -> Path:
    values = pa.array([None if row == 333 else 1.0 for row in range(500)])
    pq.write_table(table(d=values), folder / "t.parquet", row_group_size=100)
    return folder / "t.parquet"


def nan_at(folder: Path) -> Path:
    values = np.where(np.arange(500) == 250, np.nan, 1.0)
    pq.write_table(table(d=values), folder / "t.parquet", row_group_size=100)
    return folder / "t.parquet"


def null_in_list(folder: Path) -> Path:
    pq.write_table(pa.table({"x": [[1.0], [2.0, None]], "label": [0, 1]}), folder / "t.parquet")
    return folder / "t.parquet"


def damaged(folder: Path) -> Path:
    content = save_parquet(folder).read_bytes()
    (folder / "t.parquet").write_bytes(content[: len(content) // 2])
    return folder / "t.parquet"


def damaged_inside(folder: Path) -> Path:
    content = bytearray(save_parquet(folder).read_bytes())
    content[4:60] = b"\xff" * 56
    (folder / "t.parquet").write_bytes(content)
    return folder / "t.parquet"


def damaged_value(folder: Path) -> Path:
    """Where the file has sums of its pages, one changed bit of a number is seen."""
    pq.write_table(table(), folder / "t.parquet", compression="none", use_dictionary=False, write_page_checksum=True)
    content = (folder / "t.parquet").read_bytes()
    at = content.index(X[7, 1].tobytes())
    (folder / "t.parquet").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    return folder / "t.parquet"


def no_parquet(folder: Path) -> Path:
    (folder / "t.parquet").write_text("this is text")
    return folder / "t.parquet"


def empty(folder: Path) -> Path:
    (folder / "t.csv").touch()
    return folder / "t.csv"


def ragged(folder: Path) -> Path:
    (folder / "t.csv").write_text("a,b,label\n1,2,3\n4,5\n")
    return folder / "t.csv"


def twice(folder: Path) -> Path:
    (folder / "t.csv").write_text("a,a,label\n1,2,3\n")
    return folder / "t.csv"


def objects(folder: Path) -> Path:
    np.savez(folder / "t.npz", x=np.array([{"any": 1}, None], object), label=[0, 1])
    return folder / "t.npz"


def cut_npz(folder: Path) -> Path:
    np.savez(folder / "t.npz", x=X, label=Y)
    content = (folder / "t.npz").read_bytes()
    (folder / "t.npz").write_bytes(content[:-100])
    return folder / "t.npz"


def lengths(folder: Path) -> Path:
    np.savez(folder / "t.npz", x=X, label=Y[1:])
    return folder / "t.npz"


def fortran(folder: Path) -> Path:
    np.savez(folder / "t.npz", x=np.asfortranarray(X), label=Y)
    return folder / "t.npz"


def unknown(folder: Path) -> Path:
    (folder / "t.h5").write_text("x")
    return folder / "t.h5"


def nothing(folder: Path) -> Path:
    return folder / "absent.parquet"


def empty_folder(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def latin(folder: Path) -> Path:
    (folder / "t.csv").write_bytes("a,label\né,1\n".encode("latin-1"))
    return folder / "t.csv"


def other_columns(folder: Path) -> Path:
    save_parquet_folder(folder)
    pq.write_table(table(d=Y), folder / "many/data/train-2.parquet")
    return folder / "many"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            image,
            UsageError,
            "column 'image' is of type struct.*: make numbers or texts, in UTF-8, .*assignment_only",
        ),
        (dates, UsageError, "column 'day' is of type timestamp.*: make a number or a text"),
        (mixed, UsageError, r"a sample can't be made of a \(numbers\); b \(texts\), .* choose columns with x"),
        (null_at, DataError, "nothing in row 333 .from 0. of column 'd'"),
        (nan_at, DataError, "NaN or infinity in row 250 .from 0. of column 'd'"),
        (null_in_list, DataError, "nothing in row 1 .from 0. of column 'x'"),
        (damaged, DataError, "can't be read, expected a Parquet file"),
        (damaged_inside, DataError, "can't be read, expected a Parquet file"),
        (damaged_value, DataError, "can't be read, expected a Parquet file"),
        (no_parquet, DataError, "can't be read, expected a Parquet file"),
        (empty, StageError, r"t.csv: empty, expected a \.parquet"),
        (ragged, DataError, r"expected a CSV file \(CSV parse error: Row #3: Expected 3 columns, got 2: 4,5\)"),
        (twice, DataError, "two columns of one name"),
        (objects, UsageError, "it holds Python objects, which are never unpickled"),
        (cut_npz, DataError, "damaged, expected a file that np.savez wrote"),
        (lengths, DataError, r"arrays of different lengths \(x 500, label 499\), expected one row a sample"),
        (fortran, UsageError, "its rows are not together"),
        (unknown, UsageError, "of a format that is not known"),
        (nothing, StageError, "no such file or folder"),
        (empty_folder, StageError, "no data in this folder"),
        (latin, UsageError, "column 'a' is of type binary: make numbers or texts, in UTF-8"),
        (other_columns, DataError, "has other columns than"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(
    tmp_path: Path, make: Callable[[Path], Path], error: type[FedsynthError], message: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(error, match=message) as caught:
        read(open_source(path))
    assert "\n" not in str(caught.value)


def test_a_source_that_changes_while_it_is_read_is_an_error(tmp_path: Path) -> None:
    path = save_parquet(tmp_path)
    with pytest.raises(DataError, match="changed while it was read"), standing_still([path]):
        pq.write_table(table().slice(0, 10), path)
