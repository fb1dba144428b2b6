"""Local training of many users at once: what a loop over users does, in one product a step.

Multinomial logistic regression, whose gradient is known in closed form. Users take their batches in order, each at its
own pace; the models after it are those of the loop but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pfl.aggregate.base import Backend
from pfl.common_types import Population
from pfl.metrics import Metrics, Weighted
from pfl.stats import MappedVectorStatistics

from fedsynth import get_user_sampler


@dataclass(frozen=True)
class Local:
    """What a user does when it trains: epochs of plain SGD over its samples in order."""

    epochs: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Users:
    """Samples of users in batches, the last of each filled up with zeros.

    x: [users, batches, size, D+1] float32, first 1, then the features; classes: [users, batches, size, C], a 1 in each
    row; share: [users, batches, size, 1], 1 / (samples in the batch), 0 for what is filled up; batches: [users].
    """

    x: Any
    classes: Any
    share: Any
    batches: Any

    @classmethod
    def of(cls, samples: Sequence[tuple[Any, Any]], num_classes: int, batch_size: int) -> Users:
        """Arrange each user's x [n, D] and y [n]."""
        counts = torch.tensor([len(y) for _, y in samples])
        batches = -(-counts // batch_size)
        most = int(batches.max()) * batch_size
        x = torch.zeros(len(samples), most, samples[0][0].shape[1] + 1)
        classes = torch.zeros(len(samples), most, num_classes)
        share = torch.zeros(len(samples), most, 1)
        for number, (rows, labels) in enumerate(samples):
            size = len(labels)
            x[number, :size] = torch.cat([torch.ones(size, 1), rows], dim=1)
            classes[number, :size] = torch.nn.functional.one_hot(labels, num_classes).float()
            share[number, :size, 0] = 1
        parts = [part.reshape(len(samples), -1, batch_size, part.shape[2]) for part in (x, classes, share)]
        parts[2] = parts[2] / parts[2].sum(dim=2, keepdim=True).clamp(min=1)
        return cls(*parts, batches)

    def train(self, chosen: Sequence[int], models: Any, local: Local) -> Any:
        """Return the models of these users, [chosen, D+1, C], after each has trained its own on its samples."""
        steps = self.batches[chosen] * local.epochs
        order = torch.argsort(-steps, stable=True)  # those who take the most steps first: the others leave at the end
        users, batches, steps = torch.tensor(chosen)[order], self.batches[chosen][order], steps[order]
        found = models[order].clone()
        for step in range(int(steps[0])):
            active = int((steps > step).sum())
            batch = users[:active], step % batches[:active]
            x, weights = self.x[batch], found[:active]
            slope = (torch.softmax(x @ weights, dim=2) - self.classes[batch]) * self.share[batch]
            weights -= local.learning_rate * (x.transpose(1, 2) @ slope)
        trained = torch.empty_like(found)
        trained[order] = found
        return trained

    def accuracies(self, models: Any) -> Any:
        """Return each user's accuracy: [users]. models: [users or 1, D+1, C]."""
        right = (self.x @ models.unsqueeze(1)).argmax(dim=3) == self.classes.argmax(dim=3)
        there = self.share[..., 0] > 0
        return (right & there).sum(dim=(1, 2)).double() / there.sum(dim=(1, 2))


class Classifier(torch.nn.Linear):
    """Multinomial logistic regression from zero, with the loss and the metrics that pfl-research asks for."""

    def __init__(self, num_dim: int, num_classes: int) -> None:
        super().__init__(num_dim, num_classes)
        for weights in self.parameters():
            torch.nn.init.zeros_(weights)

    def loss(self, x: Any, y: Any, eval: bool = False) -> Any:
        """Return the mean cross entropy."""
        return torch.nn.functional.cross_entropy(self(x), y)

    def metrics(self, x: Any, y: Any, eval: bool = False) -> dict[str, Any]:
        """Return the accuracy."""
        return {"accuracy": Weighted((self(x).argmax(1) == y).sum().item(), len(y))}


class TogetherBackend(Backend):
    """For pfl-research's algorithms: train a cohort at once, where its SimulatedBackend goes user by user.

    chosen: the users that cohorts are drawn from, all before any again, by fedsynth's sampler.
    """

    def __init__(self, users: Users, chosen: Sequence[int], local: Local) -> None:
        super().__init__()
        self._users = users
        self._local = local
        self._sampler = get_user_sampler("minimize_reuse", list(chosen))

    async def async_gather_results(
        self, model: Any, training_algorithm: Any, *, central_context: Any
    ) -> tuple[Any, Metrics]:
        """Return the sum of the users' changes, end minus start, of the model's weight and bias."""
        if central_context.population != Population.TRAIN:
            return None, Metrics()
        cohort = [self._sampler() for _ in range(central_context.cohort_size)]
        start = flat(model.pytorch_model)
        change = (self._users.train(cohort, start.expand(len(cohort), -1, -1), self._local) - start).sum(dim=0)
        return MappedVectorStatistics({"weight": change[1:].T, "bias": change[0]}, weight=len(cohort)), Metrics()


def flat(module: Any) -> Any:
    """Return a linear module's weights as one matrix, [D+1, C], row 0 the bias."""
    with torch.no_grad():
        return torch.cat([module.bias[None], module.weight.T]).clone()
