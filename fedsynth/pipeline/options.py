"""What can be asked of preprocessing, and the stages that follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fedsynth.errors import UsageError, named
from fedsynth.leaf.plan import Counts, StagePlan
from fedsynth.records.layout import ALL_DATA, REM_USERS, SAMPLED, TEST, TRAIN, fraction_label
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
    plan: Callable[[Sequence[Counts], Random], StagePlan]
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
    planners: dict[str, Callable[[Sequence[Counts], Random], StagePlan]] = {
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
        plan=_choose(planners, method, "method"),
        seed=_asked_seed(seed),
        pools=method == "iid",
        seed_file=_seed_file("sampling_seed", option="--smplseed", script="utils/sample.py"),
        called={"seed": "sample_seed"},
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


def split_stage(method: str, *, fraction: float, seed: int | None, dataset: str) -> Stage:
    """Return the stage that splits into train and test. method: "sample" or "user"; fraction of train: in (0, 1).

    dataset: its name; shakespeare's samples are split in order. Raises UsageError for other values.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"{named('train_fraction')} is {fraction:g}, expected a fraction for training between 0 and 1")
    in_order = method == "sample" and dataset == SHAKESPEARE
    planners: dict[str, Callable[[Sequence[Counts], Random], StagePlan]] = {
        "sample": lambda files, rng: split_by_sample(files, fraction=fraction, rng=rng),
        "user": lambda files, rng: split_by_user(files, fraction=fraction, rng=rng),
    }
    plan = _choose(planners, method, "split")
    return Stage(
        name="split",
        reads=(REM_USERS, SAMPLED, ALL_DATA),
        labels={side: (side, fraction_label(fraction)) for side in (TRAIN, TEST)},
        parameters={"method": method, "fraction": fraction, **({"dataset": dataset} if in_order else {})},
        plan=(lambda files, rng: split_in_order(files, fraction=fraction)) if in_order else plan,
        seed=_asked_seed(seed),
        draws=not in_order,
        seed_file=_seed_file("split_seed", option="--spltseed", script="utils/split_data.py"),
        called={"method": "split", "fraction": "train_fraction", "seed": "split_seed", "dataset": "name"},
    )


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
