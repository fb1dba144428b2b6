"""The generative processes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from fedsynth.errors import UsageError
from fedsynth.processes.fedprox import FedproxStream
from fedsynth.processes.independent import IndependentFedproxStream, IndependentLeafStream
from fedsynth.processes.parameters import FedproxParameters, Parameters
from fedsynth.processes.streams import LeafStream
from fedsynth.processes.tasks import Task

AnyParameters = Parameters | FedproxParameters


LEAF, INDEPENDENT = "leaf", "independent"
"""The streams: one sequence of draws, as published programs have it, or one for each task."""


class Stream(Protocol):
    """The draws of one run. Of one sequence, tasks must be asked for in their order, each once."""

    @property
    def shared_truth(self) -> dict[str, Any]:
        """What the truth says of all users together: `TruthWriter.finish` takes it."""

    def sizes_of(self, tasks: range) -> list[int]:
        """Return the numbers of samples of these tasks."""

    def tasks_of(self, tasks: range) -> Iterator[Task]:
        """Draw these tasks one after another; holds one."""


@dataclass(frozen=True)
class Process:
    """A generative process: its parameters, checked when made, and by name the streams of draws that they give."""

    parameters: Callable[..., AnyParameters]
    streams: dict[str, Callable[[Any], Stream]]

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(inspect.signature(self.parameters).parameters)


PROCESSES = {
    "leaf": Process(Parameters, {LEAF: LeafStream, INDEPENDENT: IndependentLeafStream}),
    "fedprox": Process(FedproxParameters, {LEAF: FedproxStream, INDEPENDENT: IndependentFedproxStream}),
}


def choose_process(name: str) -> Process:
    """Return a process by its name. Raises UsageError for an unknown one."""
    if name not in PROCESSES:
        raise UsageError(f"-model is {name!r}, expected one of {', '.join(PROCESSES)}")
    return PROCESSES[name]
