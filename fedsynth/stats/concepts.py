"""How far apart users are in their concepts: what their true models say of the same samples."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from fedsynth.errors import DataError
from fedsynth.stats.blocks import UserBlock
from fedsynth.stats.picks import InOrder, Picks, draw_probe
from fedsynth.truth import Truth, true_models
from fedsynth.words import counted

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PROBE_USERS = 1_000
PROBE_SAMPLES = 2_000
_USERS_AT_ONCE = 32
_NUMBERS_AT_ONCE = 1 << 16

NO_PAIRS = "there are no two users to compare"
NO_CLUSTERS = "the users were not drawn from clusters"
ONE_CLUSTER = "all users are of one cluster"
NO_COMPANIONS = "no two users are of one cluster"

PAIRED = ("concept.disagreement", "concept.within", "concept.between")


class ConceptMeter:
    """Apply true models to the users' samples, as they come by. truth: that of the users from `first` on, in order.

    The probe is drawn beforehand: each of its samples from a user who is drawn with the same chance whatever their
    size. Holds it, 2,000 samples [samples, D]. compared: the users whose models are compared on it, at most 1,000.
    """

    def __init__(self, truth: Truth, probe: Picks, compared: Sequence[int] = (), *, first: int = 0) -> None:
        self._truth = truth
        self._compared = compared
        self._probe = probe.keeper()
        self._right = self._samples = 0
        self._first = first

    @classmethod
    def draw(cls, truth: Truth, rng: Generator) -> ConceptMeter:
        """Draw whose models are compared, and the probe. The order of users makes no difference."""
        return cls.draw_from(InOrder(truth.user_ids, truth.num_samples), truth, rng)

    @classmethod
    def draw_from(cls, order: InOrder, truth: Truth, rng: Generator) -> ConceptMeter:
        """Draw as `draw` does, from the truth's users, who are in order already."""
        users = order.having(1)
        compared = rng.permutation(users)[:PROBE_USERS].tolist()
        return cls(truth, draw_probe(users, order.num_samples, PROBE_SAMPLES, rng), compared)

    @property
    def probed(self) -> Collection[int]:
        """The positions of the users who give samples to the probe; others' samples are for the oracle alone."""
        return self._probe.picks.rows.keys()

    @property
    def looks_at(self) -> Collection[int]:
        """The positions of the users whose models make a difference to the disagreements."""
        return {*self._compared, *self.probed}

    def part(self, users: range) -> ConceptMeter:
        """Return an empty meter for the users at these consecutive positions, which is all that it knows about."""
        return ConceptMeter(self._truth.part(users), self._probe.picks.part(users), first=users.start)

    def found(self) -> ConceptMeter:
        """Return what `merge` asks for, without the users' truth."""
        found = ConceptMeter(self._truth.part(range(0)), self._probe.picks)
        found.merge(self)
        return found

    def add(self, user: int, x: Floats, y: Sequence[Any]) -> None:
        """Take the samples of the user at this position. Raises DataError if they can't come from the true models."""
        model = true_models(self._truth, [user - self._first])[0]
        labels = self._checked(user, x, y, model)
        self._right += int(np.count_nonzero(predict(x, model) == labels))
        self._samples += len(x)
        self._probe.add(user, x)

    def add_block(self, block: UserBlock) -> None:
        """Take several users at once; for the rest see `add`."""
        for several in block.slices(*self._size, _NUMBERS_AT_ONCE):
            models = true_models(self._truth, block.users[several.start : several.stop] - self._first)
            self._check_block(block, several, models)
            labels = block.y[block.bounds[several.start] : block.bounds[several.stop]]
            self._right += int(np.count_nonzero(_predict_block(block, several, models) == labels))
        self._samples += len(block.y)
        self._probe.add_block(block)

    def merge(self, other: ConceptMeter) -> None:
        """Take all that another one, of other users, has seen."""
        self._probe.merge(other._probe)
        self._right += other._right
        self._samples += other._samples

    def measures(self) -> tuple[dict[str, float], dict[str, str]]:
        """Return the `concept.` measures, and why some are skipped.

        `_error` is the standard error of a disagreement as the mean over the probe's samples;
        `concept.disagreement_reference` is 1 - 1/C, how often models of C classes that have nothing to do with each
        other disagree.
        """
        probe = np.concatenate([self._probe.rows[user] for user in sorted(self._probe.rows)])
        classes, labels = _predictions(probe, self._truth, self._compared)
        clusters = None if self._truth.cluster is None else self._truth.cluster[self._compared]
        values, skipped = disagreements(classes, clusters)
        if values:
            values["concept.disagreement_reference"] = 1 - 1 / labels
        return {**values, "concept.oracle_accuracy": self._right / self._samples}, skipped

    def _checked(self, user: int, x: Floats, y: Sequence[Any], model: Floats) -> Ints:
        labels = np.asarray(y if set(map(type, y)) == {int} else [-1])  # texts may be of any length
        features, classes = model.shape[0] - 1, model.shape[1]
        if x.shape[1] != features:
            raise self._foreign(user, f"{counted(x.shape[1], 'feature')} where its models have {features}")
        if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= classes:
            raise self._foreign(user, f"labels that are not 0 to {classes - 1}")
        return labels

    @property
    def _size(self) -> tuple[int, int]:
        """How many numbers a model is, and the logits of a sample."""
        basis, models = self._truth.basis, self._truth.models
        shape = basis.shape[:2] if basis is not None else models.shape[1:] if models is not None else (0, 0)
        return shape[0] * shape[1], shape[1]

    def _check_block(self, block: UserBlock, several: range, models: Floats) -> None:
        for number in several if self._are_strange(block, several, models) else ():
            user, rows = int(block.users[number]), block.samples_of(number)
            self._checked(user, block.x[rows], block.y[rows].tolist(), models[number - several.start])

    def _are_strange(self, block: UserBlock, several: range, models: Floats) -> bool:
        labels = block.y[block.bounds[several.start] : block.bounds[several.stop]]
        _, features, classes = models[:, 1:].shape
        return bool(block.x.shape[1] != features or labels.min() < 0 or labels.max() >= classes)

    def _foreign(self, user: int, found: str) -> DataError:
        name = self._truth.user_ids[user - self._first]
        return DataError(
            f'{self._truth.path}: belongs to another dataset, user "{name}" has {found}; '
            "generate the data again, or delete that file to go on without ground truth"
        )


def predict(x: Floats, model: Floats) -> Ints:
    """Return the class that a model, [D+1, C] with row 0 the bias, gives each sample of x, [n, D]."""
    with np.errstate(over="ignore", invalid="ignore"):  # features may be of any size
        classes: Ints = np.argmax(x @ model[1:] + model[0], axis=1)
    return classes


@np.errstate(over="ignore", invalid="ignore")
def _predict_block(block: UserBlock, several: range, models: Floats) -> Ints:
    """Return what `predict` says of the samples of consecutive users, by the same products. models: [users, D+1, C]."""
    first, sizes = block.bounds[several.start], block.sizes[several.start : several.stop]
    x = block.x[first : block.bounds[several.stop]]
    starts = block.bounds[several.start : several.stop] - first
    logits = np.empty((len(x), models.shape[2]))
    for size in np.unique(sizes).tolist():  # one call for all users of a size
        alike = np.flatnonzero(sizes == size)
        if len(alike) == 1:
            start = int(starts[alike[0]])
            np.matmul(x[start : start + size], models[alike[0], 1:], out=logits[start : start + size])
        else:
            rows = starts[alike, np.newaxis] + np.arange(size)
            logits[rows] = x[rows] @ models[alike, 1:]
    logits += np.repeat(models[:, 0], sizes, axis=0)
    return np.asarray(np.argmax(logits, axis=1), np.int64)


def disagreements(classes: NDArray[Any], clusters: Ints | None) -> tuple[dict[str, float], dict[str, str]]:
    """Return how often two users disagree, over all pairs, in one cluster and across, and why some are skipped.

    classes: [users, samples], what each user's model says; clusters: [users] or None. Counts how many users say the
    same of a sample, so it takes users x samples steps, not pairs.
    """
    if len(classes) < 2:
        return {}, dict.fromkeys(PAIRED, NO_PAIRS)
    everyone = _Alike.of(classes)
    values = everyone.measured("concept.disagreement")
    if clusters is None:
        return values, dict.fromkeys(PAIRED[1:], NO_CLUSTERS)
    skipped = {}
    groups = [_Alike.of(classes[clusters == cluster]) for cluster in np.unique(clusters)]
    inside = _Alike(sum(group.pairs for group in groups), np.sum([group.alike for group in groups], axis=0))
    across = _Alike(everyone.pairs - inside.pairs, everyone.alike - inside.alike)
    for key, part, why_not in zip(PAIRED[1:], (inside, across), (NO_COMPANIONS, ONE_CLUSTER), strict=True):
        if part.pairs:
            values.update(part.measured(key))
        else:
            skipped[key] = why_not
    return values, skipped


@dataclass(frozen=True)
class _Alike:
    """How many ordered pairs of users say the same. pairs: of all; alike: of those who do, by sample, [samples]."""

    pairs: int
    alike: Ints

    @classmethod
    def of(cls, classes: NDArray[Any]) -> _Alike:
        users = len(classes)
        counts = [np.count_nonzero(classes == label, axis=0) for label in range(int(classes.max()) + 1)]
        return cls(users * (users - 1), np.sum([count * (count - 1) for count in counts], axis=0))

    def measured(self, key: str) -> dict[str, float]:
        """Return a disagreement and its standard error."""
        share = 1 - self.alike / self.pairs
        error = float(np.std(share)) / math.sqrt(len(share))
        return {key: float(1 - int(self.alike.sum()) / (self.pairs * len(share))), f"{key}_error": error}


def _predictions(probe: Floats, truth: Truth, users: Sequence[int]) -> tuple[NDArray[np.uint16], int]:
    """Return what the true model of each of these users says of each sample, [users, samples], and how many classes
    the models have."""
    found = np.empty((len(users), len(probe)), np.uint16)
    labels = 0
    for start in range(0, len(users), _USERS_AT_ONCE):
        models = true_models(truth, users[start : start + _USERS_AT_ONCE])
        labels = models.shape[2]
        found[start : start + len(models)] = _largest(probe, models)
    return found, labels


@np.errstate(over="ignore", invalid="ignore")
def _largest(probe: Floats, models: Floats) -> NDArray[np.uint16]:
    """Return the class of the largest logit, the first of equal ones: [users, samples]. Several times argmax's speed.

    models: [users, D+1, C].
    """
    best = np.full((len(models), len(probe)), -np.inf)
    chosen = np.zeros(best.shape, np.uint16)
    for label in range(models.shape[2]):
        logits = models[:, 1:, label] @ probe.T + models[:, :1, label]
        chosen[logits > best] = label
        np.maximum(best, logits, out=best)
    return chosen
