"""What a whole data set costs on 1, 8 and 64 devices, from what was measured here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

DEVICES = 1, 8, 64


@dataclass(frozen=True)
class Job:
    """A published data set."""

    name: str
    images: int
    classes: int
    shots: int

    @property
    def references(self) -> int:
        """Of all classes."""
        return self.classes * self.shots


JOBS = (
    Job("COCO val, 30 shots", images=5000, classes=80, shots=30),
    Job("LVIS val, 10 shots", images=19809, classes=1203, shots=10),
)


@dataclass(frozen=True)
class Costs:
    """Seconds and megabytes, as measured in this run."""

    start: float
    """Of every command: imports, networks."""
    reference: float
    """To encode and condense one."""
    image: float
    class_post_processed: float
    image_evaluated: float
    image_records_mb: float
    device_mb: float
    """Most that a process holds while it segments."""


@dataclass(frozen=True)
class Part:
    """A stretch of a job."""

    name: str
    shared: bool
    """Whether devices share it; else one does it and the others wait."""
    seconds: float
    """On one device."""

    def on(self, devices: int, pieces: int) -> float:
        """Seconds on so many devices, of work that comes in pieces."""
        if not self.shared:
            return self.seconds
        return self.seconds / pieces * -(-pieces // devices)


def parts(job: Job, costs: Costs) -> list[Part]:
    """All stretches of a job, in order."""
    return [
        Part("start of three stages", False, 3 * costs.start),
        Part("references", True, job.references * costs.reference),
        Part("statistics", False, job.classes * costs.class_post_processed),
        Part("images", True, job.images * costs.image),
        Part("evaluation", False, job.images * costs.image_evaluated),
    ]


def lines(costs: Costs) -> Iterator[str]:
    """The plan, to print."""
    for job in JOBS:
        yield f"{job.name}: {job.images} images, {job.references} references"
        stretches = parts(job, costs)
        for devices in DEVICES:
            times = [
                part.on(devices, job.references if part.name == "references" else job.images)
                for part in stretches
            ]
            told = ", ".join(
                f"{part.name} {in_time(seconds)}"
                for part, seconds in zip(stretches, times, strict=True)
            )
            yield f"  {devices:>2} devices: {in_time(sum(times))} ({told})"
        alone = [part for part in stretches if not part.shared]
        worst = max(alone, key=lambda part: part.seconds)
        shared = sum(part.seconds for part in stretches if part.shared)
        limit = shared / sum(part.seconds for part in alone)
        yield (
            f"  memory: {costs.device_mb / 1024:.1f} GB per device; results "
            f"{job.images * costs.image_records_mb / 1024:.1f} GB on the first"
        )
        yield (
            f"  {worst.name} stops scaling first: one process does it, {in_time(worst.seconds)}; "
            f"beyond {limit:.0f} devices, what one process does takes longer than the rest"
        )


def in_time(seconds: float) -> str:
    """Hours, minutes or seconds, whichever reads best."""
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    if seconds >= 120:
        return f"{seconds / 60:.0f} min"
    return f"{seconds:.0f} s"
