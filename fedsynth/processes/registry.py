"""The generative processes by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from fedsynth.errors import UsageError, named
from fedsynth.processes.fedprox import FedproxLaw
from fedsynth.processes.parameters import FedproxParameters, Parameters
from fedsynth.processes.shifts.parameters import ShiftsParameters
from fedsynth.processes.shifts.stream import ShiftsStream
from fedsynth.processes.streams import IndependentStream, SequentialStream, Stream
from fedsynth.processes.tasks import LeafLaw

AnyParameters = Parameters | FedproxParameters | ShiftsParameters

LEAF, SEQUENTIAL, INDEPENDENT = "leaf", "sequential", "independent"
"""The streams: one sequence of draws, as published programs have it (LEAF's bears its name), or one for each task."""

_SYNONYMS = {LEAF: SEQUENTIAL, SEQUENTIAL: LEAF}


@dataclass(frozen=True)
class Process:
    """A generative process: its parameters, checked when made, and by name the streams of draws that they give.

    The first stream is the one that is taken where none is named.
    """

    parameters: Callable[..., AnyParameters]
    streams: dict[str, Callable[[Any], Stream]]

    @property
    def options(self) -> tuple[str, ...]:
        """The names of the parameters."""
        return tuple(inspect.signature(self.parameters).parameters)

    def stream_name(self, asked: str) -> str:
        """Return a stream's own name; "": the first; one sequence may be called leaf or sequential in every process.

        Raises UsageError for a stream that the process doesn't have.
        """
        if not asked:
            return next(iter(self.streams))
        names = [name for name in (asked, _SYNONYMS.get(asked, "")) if name in self.streams]
        if not names:
            raise UsageError(f"{named('stream')} is {asked!r}, expected {' or '.join(self.streams)}")
        return names[0]


PROCESSES = {
    "leaf": Process(
        Parameters,
        {
            LEAF: lambda parameters: SequentialStream(LeafLaw(parameters)),
            INDEPENDENT: lambda parameters: IndependentStream(LeafLaw(parameters)),
        },
    ),
    "fedprox": Process(
        FedproxParameters,
        {
            SEQUENTIAL: lambda parameters: SequentialStream(FedproxLaw(parameters)),
            INDEPENDENT: lambda parameters: IndependentStream(FedproxLaw(parameters)),
        },
    ),
    "shifts": Process(ShiftsParameters, {INDEPENDENT: ShiftsStream}),
}


_DERIVED = ("mean_size", "concept_dims")
"""Parameters whose defaults depend on others: always returned."""


def arguments(parameters: AnyParameters) -> dict[str, Any]:
    """Return the arguments that make these parameters again: what differs from the defaults, without the process."""
    plain = type(parameters)(parameters.num_tasks)
    values = {entry.name: getattr(parameters, entry.name) for entry in fields(parameters)}
    said = {name: value for name, value in values.items() if name in _DERIVED or value != getattr(plain, name)}
    if values.get("sizes"):
        del said["mean_size"]  # their own
    return {"num_tasks": parameters.num_tasks, **said}


def choose_process(name: str) -> Process:
    """Return a process by its name. Raises UsageError for an unknown one."""
    if name not in PROCESSES:
        raise UsageError(f"{named('model')} is {name!r}, expected one of {', '.join(PROCESSES)}")
    return PROCESSES[name]
