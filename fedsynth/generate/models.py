"""The generative processes by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from fedsynth.errors import UsageError
from fedsynth.generate.fedprox import FedproxStream
from fedsynth.generate.parameters import FedproxParameters, Parameters
from fedsynth.generate.streams import LeafStream
from fedsynth.generate.tasks import Ints, Task

AnyParameters = Parameters | FedproxParameters


class Stream(Protocol):
    """All draws of one run. sizes: [num_tasks], known before the first task is drawn."""

    sizes: Ints

    @property
    def shared_truth(self) -> dict[str, Any]:
        """What the truth says of all users together: `TruthWriter.finish` takes it."""

    def tasks(self) -> Iterator[Task]:
        """Draw the tasks one after another, once; holds one."""


@dataclass(frozen=True)
class Model:
    """A generative process: its parameters, checked when made, and the stream of draws that they give."""

    parameters: Callable[..., AnyParameters]
    stream: Callable[[Any], Stream]
    options: tuple[str, ...]


MODELS = {
    "leaf": Model(Parameters, LeafStream, tuple(field.name for field in fields(Parameters))),
    "fedprox": Model(FedproxParameters, FedproxStream, tuple(field.name for field in fields(FedproxParameters))),
}


def choose_model(name: str) -> Model:
    """Return a process by its name. Raises UsageError for an unknown one."""
    if name not in MODELS:
        raise UsageError(f"-model is {name!r}, expected one of {', '.join(MODELS)}")
    return MODELS[name]


def recorded(parameters: AnyParameters) -> dict[str, Any]:
    """Return parameters as JSON values, with the name of their process: what manifest and truth keep."""
    values = {"model": parameters.model, **asdict(parameters)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
