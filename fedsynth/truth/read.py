"""Read the ground truth: each array is checked, by the header that says its type and shape, before any is loaded."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsynth.errors import DataError
from fedsynth.truth.file import FORMAT, WAY_OUT, Truth, checksum

if TYPE_CHECKING:
    from numpy.typing import NDArray

Arrays = Mapping[str, "NDArray[Any]"]

_HEAD = {"format": ("iu", 0), "user_ids": ("U", 1), "num_samples": ("iu", 1), "checksum": ("U", 0)}
_DATA = {"data_md5": ("U", 1), "data_size": ("iu", 1)}
_USERS = {"cluster": ("iu", 1), "model_info": ("f", 2), "models": ("f", 3), "class_shares": ("f", 2)}
_SHARED = {"Q": ("f", 3), "centers": ("f", 2), "swaps": ("iu", 2), "class_labels": ("iu", 1)}
_KNOWN = {**_HEAD, **_DATA, **_USERS, **_SHARED}
"""By name: the kinds of type that an array may have, and its number of dimensions. All others are parameters."""

PARTITIONED = "partition"
"""The parameter `model` of data that was not generated."""

_PARAMETER_KINDS = "iufbU"
_STORED_ONLY = "stored as it is, as fedsynth does"


def load_truth(path: Path) -> Truth:
    """Return what `TruthWriter` wrote; holds all of it, at most the file's size. Raises OSError, or DataError."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            _check_archive(archive, path.stat().st_size)
            arrays = {entry.filename.removesuffix(".npy"): _load(archive, entry) for entry in archive.infolist()}
        _check_shapes(arrays)
        return _build(path, arrays)
    except (FileNotFoundError, PermissionError):
        raise
    except DataError as error:
        raise DataError(f"{path}: {error}; {WAY_OUT}") from error
    except MemoryError as error:
        raise DataError(f"{path}: too large for this machine's memory; {WAY_OUT}") from error
    except Exception as error:  # zipfile and NumPy's header parser raise nearly anything on damaged bytes
        raise DataError(
            f"{path}: damaged, expected the ground truth that fedsynth writes ({error}); {WAY_OUT}"
        ) from error


def _check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Check that the entries are plain bytes of this very file: nothing in it can grow when it is loaded."""
    names = [entry.filename for entry in archive.infolist()]
    if len(set(names)) < len(names) or not all(name.endswith(".npy") for name in names):
        raise DataError("damaged, expected .npy entries of different names")
    for entry in archive.infolist():
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise DataError(f"{entry.filename[:60]!r} is compressed, expected {_STORED_ONLY}")
    if sum(entry.file_size for entry in archive.infolist()) > size:
        raise DataError(f"says that it holds more than its {size:,} bytes, expected {_STORED_ONLY}")


def _load(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> NDArray[Any]:
    import numpy as np

    name = entry.filename.removesuffix(".npy")
    kinds, dimensions = _KNOWN.get(name, (_PARAMETER_KINDS, None))
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        if dtype.kind not in kinds or len(shape) > 3 or dimensions not in (None, len(shape)):
            raise DataError(f"{name[:60]!r} is {dtype} of shape {shape}, expected something else there")
        if math.prod(shape) * dtype.itemsize != entry.file_size - file.tell():
            raise DataError(f"{name[:60]!r} has not as many bytes as its shape {shape} says")
    with archive.open(entry) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _check_shapes(arrays: Arrays) -> None:
    """Check that all that must be there is, and that it fits together."""
    missing = [name for name in (*_HEAD, *_DATA) if name not in arrays]
    if missing:
        raise DataError(f"damaged, or of an older version of fedsynth: holds no {missing[0]}")
    if arrays["format"] != FORMAT:
        raise DataError(f"of format {arrays['format']}, this version of fedsynth reads {FORMAT}")
    users = len(arrays["user_ids"])
    for name in ("num_samples", *(name for name in _USERS if name in arrays)):
        if len(arrays[name]) != users:
            raise DataError(f"{name} has {len(arrays[name])} rows, expected one for each of its {users} users")
    if len(arrays["data_md5"]) != len(arrays["data_size"]):
        raise DataError("data_md5 and data_size differ in length")
    if str(arrays.get("model")) == PARTITIONED:
        _check_swaps(arrays)
        return
    if "models" not in arrays and not {"Q", "model_info"} <= arrays.keys():
        raise DataError("holds neither models nor Q and model_info")
    if "models" not in arrays and arrays["Q"].shape[2] != arrays["model_info"].shape[1]:
        raise DataError("Q and model_info do not fit together")


def _check_swaps(arrays: Arrays) -> None:
    """Check the truth of data that was partitioned: there are no models, but there may be labels exchanged."""
    import numpy as np

    parts = {"cluster", "swaps", "class_labels"} & arrays.keys()
    if not parts:
        return
    if len(parts) < 3:
        raise DataError(f"holds {' and '.join(sorted(parts))} alone of cluster, swaps and class_labels")
    swaps, classes = arrays["swaps"], len(arrays["class_labels"])
    if not (np.sort(swaps, axis=1) == np.arange(classes)).all():
        raise DataError(f"swaps are no orders of its {classes} classes")
    if len(swaps) != len(arrays.get("prob_clusters", ())):
        raise DataError("swaps and prob_clusters differ in length")


def _build(path: Path, arrays: Arrays) -> Truth:
    parameters = {name: values.tolist() for name, values in arrays.items() if name not in _KNOWN}
    users, sizes = arrays["user_ids"], arrays["num_samples"]
    sums = arrays["data_md5"].tolist()
    if str(arrays["checksum"]) != checksum(users, sizes, sums, parameters):
        raise DataError("its checksum does not fit its users, seed and parameters")
    cluster = arrays.get("cluster")
    if cluster is not None and len(cluster):
        clusters = parameters.get("prob_clusters")
        if not isinstance(clusters, list) or not 0 <= cluster.min() <= cluster.max() < len(clusters):
            raise DataError("names clusters that are not among its prob_clusters")
    return Truth(
        path=path,
        user_ids=users,
        num_samples=sizes,
        data_md5=sums,
        data_size=arrays["data_size"].tolist(),
        parameters=parameters,
        cluster=cluster,
        basis=arrays.get("Q"),
        model_info=arrays.get("model_info"),
        models=arrays.get("models"),
        swaps=arrays.get("swaps"),
        class_labels=arrays.get("class_labels"),
    )
