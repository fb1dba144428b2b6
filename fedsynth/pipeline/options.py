"""What can be asked of preprocessing, and the stages that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from fedsynth.errors import UsageError, named
from fedsynth.leaf.plan import Sized, StagePlan
from fedsynth.records.layout import ALL_DATA, NEW_USERS, REM_USERS, SAMPLED, TEST, TRAIN, VAL, fraction_label
from fedsynth.stages.remove_users import remove_users
from fedsynth.stages.sample import sample_iid, sample_niid
from fedsynth.stages.split import split_by_sample, split_by_user, split_in_order

SHAKESPEARE = "shakespeare"
"""The one dataset whose samples are windows of running text, which LEAF splits in order."""


@dataclass(frozen=True)
class SeedFile:
    """Where a stage's seed is recorded. name: the file in meta/; comment: its first line."""

    name: str
    comment: str


@dataclass(frozen=True)
class Stage:
    """One stage with its parameters. plan: makes the plan of all input files together, with the stage's draws.

    reads: the folders it may start from, the most recent first; labels: by folder, what its files' names record;
    draws: whether there is randomness in it at all; pools: whether its plans hold picks of kind `Pooled`.
    """

    name: str
    reads: Sequence[str]
    labels: dict[str, tuple[str, ...]]
    parameters: dict[str, Any]
    plan: Callable[[Sequence[Sized], Random], StagePlan]
    seed: int | None = None
    draws: bool = True
    pools: bool = False
    seed_file: SeedFile | None = None
    called: Mapping[str, str] = field(default_factory=dict)
    """What a caller sets a parameter by, where that is not its own name."""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that the stage makes."""
        return tuple(self.labels)


def sample_stage(method: str, *, fraction: float, user_fraction: float, seed: int | None) -> Stage:
    """Return the sampling stage. method: "iid" or "niid"; fraction: in (0, 1]; user_fraction: > 0, for iid.

    Raises UsageError for other values.
    """
    if not 0 < fraction <= 1:
        raise UsageError(
            f"{named('fraction')} is {fraction:g}, expected a fraction of the samples, more than 0 and at most 1"
        )
    if not 0 < user_fraction < float("inf"):
        raise UsageError(
            f"{named('user_fraction')} is {user_fraction:g}, expected a fraction of the users, more than 0"
        )
    planners: dict[str, Callable[[Sequence[Sized], Random], StagePlan]] = {
        "niid": lambda files, rng: sample_niid(files, fraction=fraction, rng=rng),
        "iid": lambda files, rng: sample_iid(files, fraction=fraction, user_fraction=user_fraction, rng=rng),
    }
    of_users = {"user_fraction": user_fraction} if method == "iid" else {}
    shares = [*of_users.values(), fraction]
    return Stage(
        name="sample",
        reads=(ALL_DATA,),
        labels={SAMPLED: (method, *map(fraction_label, shares))},
        parameters={"method": method, "fraction": fraction, **of_users},
        plan=_choose(planners, method, "sample"),
        seed=_asked_seed(seed),
        pools=method == "iid",
        seed_file=_seed_file("sampling_seed", option="--smplseed", script="utils/sample.py"),
        called={"method": "sample", "seed": "sample_seed"},
    )


def remove_stage(min_samples: int) -> Stage:
    """Return the stage that removes users with fewer than `min_samples` samples. Raises UsageError below 0."""
    if min_samples < 0:
        raise UsageError(f"{named('min_samples')} is {min_samples}, expected a number of samples from 0 on")
    return Stage(
        name="remove_users",
        reads=(SAMPLED, ALL_DATA),
        labels={REM_USERS: ("keep", str(min_samples))},
        parameters={"min_samples": min_samples},
        plan=lambda files, rng: remove_users(files, min_samples=min_samples),
        draws=False,
    )


def split_stage(
    method: str,
    *,
    fraction: float,
    val_fraction: float = 0.0,
    new_users: float = 0.0,
    seed: int | None,
    dataset: str,
) -> Stage:
    """Return the stage that splits into train and test. method: "sample" or "user"; fraction of train: in (0, 1).

    val_fraction: that of a third side, val, 0 for none; new_users: that of the users who are kept whole, with method
    "sample", 0 for none. dataset: its name; shakespeare's samples are split in order. Raises UsageError for other
    values.
    """
    _check_fractions(method, fraction, val_fraction, new_users)
    asked = {key: value for key, value in (("val_fraction", val_fraction), ("new_users", new_users)) if value}
    in_order = method == "sample" and dataset == SHAKESPEARE
    by_sample = split_in_order if in_order else split_by_sample
    planners: dict[str, Callable[[Sequence[Sized], Random], StagePlan]] = {
        "sample": lambda files, rng: by_sample(files, fraction=fraction, rng=rng, **asked),
        "user": lambda files, rng: split_by_user(files, fraction=fraction, rng=rng, **asked),
    }
    return Stage(
        name="split",
        reads=(REM_USERS, SAMPLED, ALL_DATA),
        labels=_split_labels(fraction, val_fraction, new_users),
        parameters={"method": method, "fraction": fraction, **asked, **({"dataset": dataset} if in_order else {})},
        plan=_choose(planners, method, "split"),
        seed=_asked_seed(seed),
        draws=not in_order or new_users > 0,
        seed_file=_seed_file("split_seed", option="--spltseed", script="utils/split_data.py"),
        called={"method": "split", "fraction": "train_fraction", "seed": "split_seed", "dataset": "name"},
    )


def _check_fractions(method: str, fraction: float, val_fraction: float, new_users: float) -> None:
    if not 0 < fraction < 1:
        raise UsageError(f"{named('train_fraction')} is {fraction:g}, expected a fraction for training between 0 and 1")
    for parameter, value in (("val_fraction", val_fraction), ("new_users", new_users)):
        if not 0 <= value < 1:
            raise UsageError(f"{named(parameter)} is {value:g}, expected a fraction from 0, for none, to below 1")
    if _exactly(fraction) + _exactly(val_fraction) >= 1:
        raise UsageError(
            f"{named('train_fraction')} is {fraction:g} and {named('val_fraction')} is {val_fraction:g}, expected less "
            f"than 1 together, for the rest is for testing; give a smaller {named('train_fraction')}"
        )
    if new_users and method == "user":
        raise UsageError(
            f"{named('new_users')} is {new_users:g}, which makes no sense with {named('split')} user, where all users "
            f"of test are new already; split by sample, or leave {named('new_users')} out"
        )


def _exactly(fraction: float) -> Decimal:
    """Return a fraction as it was written: as doubles, 0.43 and 0.57 need not be 1 together."""
    return Decimal(repr(float(fraction)))


def _split_labels(fraction: float, val_fraction: float, new_users: float) -> dict[str, tuple[str, ...]]:
    """Return what the names of each side's files record: its own fraction, but train's for test, as in LEAF."""
    fractions = {TRAIN: fraction, VAL: val_fraction, TEST: fraction, NEW_USERS: new_users}
    return {side: (side, fraction_label(value)) for side, value in fractions.items() if value}


def _seed_file(name: str, *, option: str, script: str) -> SeedFile:
    """Return LEAF's file for a seed, with its comment, which names LEAF's own scripts."""
    theirs = "--seed"
    comment = f"# {name} used by sampling script - supply as {option} to preprocess.sh or {theirs} to {script}"
    return SeedFile(f"{name}.txt", comment)


def _choose(planners: dict[str, Any], method: str, parameter: str) -> Any:
    if method not in planners:
        raise UsageError(f"{named(parameter)} is {method!r}, expected one of {', '.join(planners)}")
    return planners[method]


def _asked_seed(seed: int | None) -> int | None:
    """LEAF takes a negative seed for none."""
    return None if seed is None or seed < 0 else seed
