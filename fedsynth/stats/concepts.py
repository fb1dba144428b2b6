"""How far apart users are in their concepts: what their true models say of the same samples."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedsynth.errors import DataError
from fedsynth.truth import Truth, true_models

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROBE_USERS = 300
PROBE_SAMPLES = 2_000
_USERS_AT_ONCE = 32

NO_PAIRS = "there are no two users to compare"
NO_CLUSTERS = "the users were not drawn from clusters"
ONE_CLUSTER = "all users are of one cluster"
NO_COMPANIONS = "no two users are of one cluster"


class ConceptMeter:
    """Apply true models to the users' samples, as they come by. truth: that of the users of the folder, in order.

    A probe is drawn beforehand: each of its samples from a user who is drawn with the same chance whatever his size.
    Holds the probe, [samples, D]. The order of users makes no difference.
    """

    def __init__(self, truth: Truth, rng: Generator) -> None:
        self._truth = truth
        by_name = sorted(
            (user for user, size in enumerate(truth.num_samples) if size), key=lambda user: truth.user_ids[user]
        )
        self._compared = rng.permutation(by_name)[:PROBE_USERS].tolist()
        self._places = _draw_places(by_name, truth.num_samples, rng)
        self._probe: dict[int, Floats] = {}
        self._right = self._samples = 0
        self._first = 0

    @property
    def probed(self) -> Collection[int]:
        """The positions of the users who give samples to the probe; others' samples are for the oracle alone."""
        return self._places.keys()

    @property
    def looks_at(self) -> Collection[int]:
        """The positions of the users whose models make a difference to the disagreements."""
        return {*self._compared, *self._places}

    def part(self, users: range) -> ConceptMeter:
        """Return an empty meter for the users at these consecutive positions, which is all that it knows about."""
        part = copy.copy(self)
        part._truth = self._truth.part(users)
        part._compared, part._probe, part._right, part._samples, part._first = [], {}, 0, 0, users.start
        part._places = {user: self._places[user] for user in users if user in self._places}
        return part

    def add(self, user: int, x: Floats, y: Sequence[Any]) -> None:
        """Take the samples of the user at this position. Raises DataError if they can't come from the true models."""
        model = true_models(self._truth, [user - self._first])[0]
        labels = self._checked(user, x, y, model)
        self._right += int(np.count_nonzero(predict(x, model) == labels))
        self._samples += len(x)
        if user in self._places:
            self._probe[user] = x[self._places[user]]

    def merge(self, other: ConceptMeter) -> None:
        """Take all that another one, of other users, has seen."""
        self._probe.update(other._probe)
        self._right += other._right
        self._samples += other._samples

    def measures(self) -> tuple[dict[str, float], dict[str, str]]:
        """Return the `concept.` measures, and why some are left out."""
        probe = np.concatenate([self._probe[user] for user in sorted(self._probe)])
        classes = _predictions(probe, self._truth, self._compared)
        clusters = None if self._truth.cluster is None else self._truth.cluster[self._compared]
        values, left_out = disagreements(classes, clusters)
        return {**values, "concept.oracle_accuracy": self._right / self._samples}, left_out

    def _checked(self, user: int, x: Floats, y: Sequence[Any], model: Floats) -> Ints:
        labels = np.asarray(y)
        features, classes = model.shape[0] - 1, model.shape[1]
        if x.shape[1] != features:
            raise self._foreign(user, f"{x.shape[1]} features where its models have {features}")
        if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= classes:
            raise self._foreign(user, f"labels that are not 0 to {classes - 1}")
        return labels

    def _foreign(self, user: int, found: str) -> DataError:
        name = self._truth.user_ids[user - self._first]
        return DataError(
            f'{self._truth.path}: belongs to another dataset, user "{name}" has {found}; '
            "generate the data again, or delete that file to go on without ground truth"
        )


def predict(x: Floats, model: Floats) -> Ints:
    """Return the class that a model, [D+1, C] with row 0 the bias, gives each sample of x, [n, D]."""
    classes: Ints = np.argmax(x @ model[1:] + model[0], axis=1)
    return classes


def disagreements(classes: Ints, clusters: Ints | None) -> tuple[dict[str, float], dict[str, str]]:
    """Return how often two users disagree, over all pairs, in one cluster and across, and why some are left out.

    classes: [users, samples], what each user's model says; clusters: [users] or None. Counts how many users say the
    same of a sample, so it takes users x samples steps, not pairs.
    """
    users, samples = classes.shape
    if users < 2:
        return {}, dict.fromkeys(("concept.disagreement", "concept.within", "concept.between"), NO_PAIRS)
    pairs, agreeing = users * (users - 1) * samples, _agreeing(classes)
    values, left_out = {"concept.disagreement": 1 - agreeing / pairs}, {}
    if clusters is None:
        return values, dict.fromkeys(("concept.within", "concept.between"), NO_CLUSTERS)
    groups = [classes[clusters == cluster] for cluster in np.unique(clusters)]
    inside = sum(len(group) * (len(group) - 1) * samples for group in groups)
    agreeing_inside = sum(_agreeing(group) for group in groups)
    if inside:
        values["concept.within"] = 1 - agreeing_inside / inside
    else:
        left_out["concept.within"] = NO_COMPANIONS
    if pairs > inside:
        values["concept.between"] = 1 - (agreeing - agreeing_inside) / (pairs - inside)
    else:
        left_out["concept.between"] = ONE_CLUSTER
    return values, left_out


def _agreeing(classes: Ints) -> int:
    """Return the number of ordered pairs of users, over all samples, who say the same."""
    alike = sum(int(np.sum(np.sum(classes == label, axis=0) ** 2)) for label in np.unique(classes))
    return alike - classes.size


def _predictions(probe: Floats, truth: Truth, users: Sequence[int]) -> Ints:
    """Return what the true model of each of these users says of each sample: [users, samples]."""
    rows = []
    for start in range(0, len(users), _USERS_AT_ONCE):
        models = true_models(truth, users[start : start + _USERS_AT_ONCE])
        flat = np.moveaxis(models[:, 1:], 1, 0).reshape(probe.shape[1], -1)
        logits = (probe @ flat).reshape(len(probe), len(models), -1) + models[:, 0]
        rows.append(np.argmax(logits, axis=2).T)
    return np.concatenate(rows)


def _draw_places(users: Sequence[int], num_samples: Sequence[int], rng: Generator) -> dict[int, list[int]]:
    """Draw the probe: the numbers of the samples that each user gives."""
    places: dict[int, list[int]] = {}
    for user in rng.choice(users, PROBE_SAMPLES).tolist():
        places.setdefault(user, []).append(int(rng.integers(num_samples[user])))
    return places
