"""Label skew by numbers of classes: a number of whole classes for each user, or of shards of the sorted samples."""

from __future__ import annotations

import numpy as np
from numpy.random import RandomState
from numpy.typing import NDArray

from fedsynth.errors import UsageError, named
from fedsynth.partitioners.draws import ASSIGN, SHARES, Int32s, UserOf, grouping, stream, whole_parts
from fedsynth.partitioners.request import Request
from fedsynth.partitioners.within_classes import Holdings

Sizes = NDArray[np.int64]


def assign_classes(totals: Sizes, request: Request) -> UserOf:
    """Assign samples so that each user has exactly `classes` classes, and the users of a class equal parts of it.

    The "pathological" split, #C = k in Li et al., "Federated learning on non-IID data silos" (2022). Each class has as
    many users as any other, or one more, whatever its size, and which user has which is drawn. min_samples is met by
    moving samples within classes. Raises UsageError where classes are too few, too many, or one is too small.
    """
    assert request.users is not None and request.classes is not None  # the request has looked
    _check_possible(totals, request.users, request.classes)
    rng = stream(request.seed, ASSIGN)
    owned = _draw_classes(rng, request.users, request.classes, len(totals))
    order = grouping(owned.ravel(), len(totals)) // request.classes
    owners = np.split(order, np.cumsum(np.bincount(owned.ravel(), minlength=len(totals)))[:-1])
    offsets = stream(request.seed, SHARES).random_sample(len(totals)).tolist()
    amounts = [
        whole_parts(np.ones(len(users)), total, offset)
        for users, total, offset in zip(owners, totals.tolist(), offsets, strict=True)
    ]
    Holdings(owned, owners, amounts).raise_to(request.min_samples)
    return np.repeat(np.concatenate(owners), np.concatenate(amounts)).astype(np.int32)


def assign_shards(totals: Sizes, request: Request) -> UserOf:
    """Cut the samples, sorted by class, into `shards` shards a user, all of one size or one more, and assign those.

    McMahan et al., "Communication-efficient learning of deep networks from decentralized data" (2017). Raises
    UsageError where there are fewer samples than shards.
    """
    assert request.users is not None and request.shards is not None  # the request has looked
    num_samples, num_shards = int(totals.sum()), request.users * request.shards
    if num_shards > num_samples:
        raise UsageError(
            f"{named('shards')} is {request.shards} for {request.users:,} users, {num_shards:,} in all, expected at "
            "most as many "
            f"as there are samples, {num_samples:,}: at most {num_samples // request.users} a user"
        )
    ends = np.arange(num_shards + 1) * num_samples // num_shards
    users = np.repeat(np.arange(request.users, dtype=np.int32), request.shards)
    stream(request.seed, ASSIGN).shuffle(users)
    return np.repeat(users, np.diff(ends))


def _check_possible(totals: Sizes, num_users: int, each: int) -> None:
    num_classes = len(totals)
    if each > num_classes:
        raise UsageError(
            f"{named('classes')} is {each}, expected at most {num_classes}, the number of classes that there are"
        )
    if num_users * each < num_classes:
        needed = -(-num_classes // each)
        raise UsageError(
            f"{named('users')} is {num_users} of {each} classes each, expected at least {needed}: else some of the "
            f"{num_classes} "
            "classes would go to nobody"
        )
    smallest, sharing = int(totals.min()), -(-num_users * each // num_classes)
    if smallest < sharing:
        most = smallest * num_classes // each
        raise UsageError(
            f"the smallest class has {smallest:,} samples, expected at least {sharing:,}: with {num_users:,} users of "
            f"{each} out of {num_classes} classes that many users share it; ask for at most {most:,} users, or leave "
            "small classes out"
        )


def _draw_classes(rng: RandomState, num_users: int, each: int, num_classes: int) -> Int32s:
    """Draw `each` different classes for each user: [users, each], every class as often as any other, or once more.

    Users take from shuffled packs of all classes, one pack after another. Who takes the rest of one goes on with what
    they don't have yet.
    """
    packs: list[Int32s] = []
    held = np.empty(0, np.int32)
    while sum(map(len, packs)) < num_users * each:
        pack = rng.permutation(num_classes).astype(np.int32)
        if len(held):
            new = np.flatnonzero(~np.isin(pack, held))[: each - len(held)]
            pack = np.concatenate([pack[new], np.delete(pack, new)])
        begun = (len(packs) + 1) * num_classes % each
        packs.append(pack)
        held = pack[num_classes - begun :] if begun else pack[:0]
    return np.concatenate(packs)[: num_users * each].reshape(num_users, each)
