"""The same work done the plain way, as LEAF does it: the standard library's json, lists, a process per stage.

    python -m benchmarks.plain generate NUM_TASKS | sample ARGS | remove K | split ARGS | stats

Each works on ./data. It is the baseline of the ratios and, because it is written independently of fedsynth's raw
slices, a second opinion on the bytes.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Leaf = dict[str, Any]


def generate(num_tasks: str) -> None:
    """Draw LEAF's default dataset."""
    import numpy as np

    tasks, num_dim, num_classes, seed = int(num_tasks), 60, 5, 931231
    np.random.seed(seed)
    sizes = np.minimum(np.random.lognormal(3, 2, tasks).astype(int) + 5, 1000)
    np.random.seed(seed)
    basis = np.random.normal(0, 1, (num_dim + 1, num_classes, 1))
    center = np.random.normal(np.random.normal(0, 1), 1, 1)
    covariance = np.diag([(dimension + 1) ** -1.2 for dimension in range(num_dim)])
    users, user_data = [str(task) for task in range(tasks)], {}
    for user, size in zip(users, sizes, strict=True):
        np.random.choice(1, p=[1.0])
        mean = np.random.normal(np.random.normal(0, 1), 1, num_dim)
        x = np.random.multivariate_normal(mean, covariance, size)
        model = np.matmul(basis, np.random.normal(center, 0.1))
        noise = np.random.normal(0, 0.1, (size, num_classes))
        logits = np.matmul(np.hstack([np.ones((size, 1)), x]), model) + noise
        user_data[user] = {"x": x.tolist(), "y": np.argmax(logits, axis=1).tolist()}
    write("all_data", "all_data", {"users": users, "num_samples": sizes.tolist(), "user_data": user_data})


def sample(method: str, fraction: str, seed: str, user_fraction: str = "0.01") -> None:
    """Sample all_data."""
    rng = random.Random(int(seed))
    stem, data = read("all_data")
    if method == "niid":
        users, user_data = _sample_users(data, float(fraction), rng)
        label = f"niid_{_label(fraction)}"
    else:
        users, user_data = _redistribute(data, float(fraction), float(user_fraction), rng)
        label = f"iid_{_label(user_fraction)}_{_label(fraction)}"
    write("sampled_data", f"{stem}_{label}", _dataset(users, user_data))


def _sample_users(data: Leaf, fraction: float, rng: random.Random) -> tuple[list[str], Leaf]:
    left = int(fraction * sum(data["num_samples"]))
    users = list(data["users"])
    rng.shuffle(users)
    user_data: Leaf = {}
    for user in users:
        if not left:
            break
        entry = data["user_data"][user]
        if len(entry["y"]) > left:
            order = rng.sample(range(left), left)
            entry = {"x": [entry["x"][i] for i in order], "y": [entry["y"][i] for i in order]}
        user_data[user] = entry
        left -= len(entry["y"])
    return list(user_data), user_data


def _redistribute(data: Leaf, fraction: float, user_fraction: float, rng: random.Random) -> tuple[list[str], Leaf]:
    x = [value for entry in data["user_data"].values() for value in entry["x"]]
    y = [value for entry in data["user_data"].values() for value in entry["y"]]
    chosen = rng.sample(range(len(y)), int(fraction * len(y)))
    users = [str(user) for user in range(max(1, round(user_fraction * len(data["users"]))))]
    size, larger = divmod(len(chosen), len(users))
    user_data: Leaf = {}
    start = 0
    for number, user in enumerate(users):
        end = start + size + (number >= len(users) - larger)
        user_data[user] = {"x": [x[i] for i in chosen[start:end]], "y": [y[i] for i in chosen[start:end]]}
        start = end
    return users, user_data


def remove(min_samples: str) -> None:
    """Remove small users from sampled_data."""
    stem, data = read("sampled_data")
    sizes = zip(data["users"], data["num_samples"], strict=True)
    users = [user for user, size in sizes if size >= int(min_samples)]
    kept = {user: data["user_data"][user] for user in users}
    write("rem_user_data", f"{stem}_keep_{min_samples}", _dataset(users, kept))


def split(method: str, fraction: str, seed: str) -> None:
    """Split rem_user_data."""
    rng = random.Random(int(seed))
    stem, data = read("rem_user_data")
    sides: dict[str, Leaf] = {"train": {}, "test": {}}
    if method == "user":
        chosen = set(rng.sample(range(len(data["users"])), int(float(fraction) * len(data["users"]))))
        for number, user in enumerate(data["users"]):
            sides["train" if number in chosen else "test"][user] = data["user_data"][user]
    else:
        for user in data["users"]:
            _split_user(user, data["user_data"][user], float(fraction), rng, sides)
    for side, user_data in sides.items():
        write(side, f"{stem}_{side}_{_label(fraction)}", _dataset(list(user_data), user_data))


def _split_user(user: str, entry: Leaf, fraction: float, rng: random.Random, sides: dict[str, Leaf]) -> None:
    size = len(entry["y"])
    if size < 2:
        return
    train = set(rng.sample(range(size), 1 if size == 2 else max(1, int(fraction * size))))
    for side, wanted in (("train", True), ("test", False)):
        picked = [number for number in range(size) if (number in train) == wanted]
        sides[side][user] = {key: [entry[key][number] for number in picked] for key in ("x", "y")}


def stats() -> None:
    """Print the statistics of all_data."""
    import numpy as np

    sizes = np.array([len(entry["y"]) for entry in read("all_data")[1]["user_data"].values()])
    skewness = ((sizes - sizes.mean()) ** 3).mean() / sizes.std() ** 3
    print(len(sizes), sizes.sum(), sizes.mean(), sizes.std(), skewness, np.histogram(sizes, range(0, 201, 20))[0])


def read(folder: str) -> tuple[str, Leaf]:
    """Return the stem and the content of the one file of a folder."""
    path = next(Path("data", folder).glob("*.json"))
    with path.open() as file:
        return path.stem, json.load(file)


def write(folder: str, stem: str, data: Leaf) -> None:
    """Write a file as LEAF does."""
    path = Path("data", folder, f"{stem}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        json.dump(data, file)


def _dataset(users: list[str], user_data: Leaf) -> Leaf:
    sizes = [len(user_data[user]["y"]) for user in users]
    return {"users": users, "num_samples": sizes, "user_data": {user: user_data[user] for user in users}}


def _label(fraction: str) -> str:
    return str(float(fraction)).partition(".")[2]


COMMANDS: dict[str, Callable[..., None]] = {
    "generate": generate,
    "sample": sample,
    "remove": remove,
    "split": split,
    "stats": stats,
}

if __name__ == "__main__":
    COMMANDS[sys.argv[1]](*sys.argv[2:])
