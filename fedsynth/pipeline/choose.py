"""The stages that follow from what is asked of preprocessing, with LEAF's values where nothing is said."""

from __future__ import annotations

from fedsynth.errors import UsageError, named
from fedsynth.pipeline.options import Stage, remove_stage, sample_stage, split_stage

FRACTION, USER_FRACTION, MIN_SAMPLES, TRAIN_FRACTION = 0.1, 0.01, 10, 0.9
"""LEAF's defaults."""
VAL_FRACTION, NEW_USERS = 0.1, 0.1
"""Of what LEAF has not, where the options have no value."""


def choose_stages(
    *,
    sample: str | None,
    fraction: float | None,
    user_fraction: float | None,
    min_samples: int | None,
    split: str | None,
    train_fraction: float | None,
    val_fraction: float | None,
    new_users: float | None,
    sample_seed: int | None,
    split_seed: int | None,
    name: str,
) -> list[Stage]:
    """Return the stages that are asked for by a sample, min_samples or split that is not None, in their order.

    Raises UsageError for values out of bounds, and a user_fraction that nothing uses.
    """
    stages = []
    if sample is None and user_fraction is not None:
        found = f"{named('user_fraction')} is {user_fraction:g}, which needs sampling by {named('sample')} iid"
        raise UsageError(f"{found}; add that, or leave {named('user_fraction')} out")
    if sample is not None:
        stages.append(choose_sample(sample, fraction, user_fraction, sample_seed))
    if min_samples is not None:
        stages.append(remove_stage(min_samples))
    if split is not None:
        stages.append(choose_split(split, train_fraction, val_fraction, new_users, split_seed, name))
    return stages


def choose_sample(method: str, fraction: float | None, user_fraction: float | None, sample_seed: int | None) -> Stage:
    """Return the sampling stage. Raises UsageError for values out of bounds, and a user_fraction without iid."""
    if user_fraction is not None and method != "iid":
        found = f"{named('user_fraction')} is {user_fraction:g}, which makes no sense with {named('sample')} {method}"
        raise UsageError(f"{found}; use {named('sample')} iid, or leave {named('user_fraction')} out")
    return sample_stage(
        method,
        fraction=FRACTION if fraction is None else fraction,
        user_fraction=USER_FRACTION if user_fraction is None else user_fraction,
        seed=sample_seed,
    )


def choose_split(
    method: str,
    train_fraction: float | None,
    val_fraction: float | None,
    new_users: float | None,
    split_seed: int | None,
    name: str,
) -> Stage:
    """Return the stage that splits. Raises UsageError for values out of bounds."""
    return split_stage(
        method,
        fraction=TRAIN_FRACTION if train_fraction is None else train_fraction,
        val_fraction=val_fraction or 0.0,
        new_users=new_users or 0.0,
        seed=split_seed,
        dataset=name,
    )
