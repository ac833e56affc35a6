"""How long stages take, reckoned from the cost of their parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from no_time_to_train.config import TestMode


@dataclass(frozen=True)
class Costs:
    """Seconds and megabytes, as measured on one device."""

    start: float
    """Of every command: imports, networks."""
    reference: float
    """To encode and condense one."""
    statistics: float
    """Stage 2, of all classes."""
    image: float
    image_evaluated: float
    image_records_mb: float
    process_mb: float
    """Most that a process holds while it segments: on the GPU, or resident."""


@dataclass(frozen=True)
class Part:
    """A stretch of a job."""

    name: str
    seconds: float
    """On one device."""
    pieces: int = 1
    """What devices can share; 1 where one does it and the others wait."""

    def on(self, devices: int) -> float:
        """Seconds on so many devices."""
        return self.seconds / self.pieces * -(-self.pieces // devices)


def stage_parts(mode: TestMode, samples: int, costs: Costs) -> list[Part]:
    """All stretches of a stage, in order.

    Args:
        mode: The stage; drawing references takes little more than encoding them.
        samples: References or targets.
        costs: Of its networks, on its device.
    """
    start = Part("start", costs.start)
    if mode is TestMode.postprocess_memory:
        return [start, Part("statistics", costs.statistics)]
    if mode is TestMode.test:
        return [
            start,
            Part("images", samples * costs.image, pieces=samples),
            Part("evaluation", samples * costs.image_evaluated),
        ]
    return [start, Part("references", samples * costs.reference, pieces=samples)]


def told(parts: Sequence[Part], devices: int) -> str:
    """The time of all parts on so many devices, and that of each."""
    times = [part.on(devices) for part in parts]
    each = ", ".join(
        f"{part.name} {in_time(seconds)}" for part, seconds in zip(parts, times, strict=True)
    )
    return f"{in_time(sum(times))} ({each})"


def in_time(seconds: float) -> str:
    """Hours, minutes or seconds, whichever reads best."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"
