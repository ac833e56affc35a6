"""What a segmenter tells about its classes."""

from __future__ import annotations

from dataclasses import dataclass

from no_time_to_train.memory.bank import Memory


@dataclass(frozen=True)
class ClassInfo:
    """One class."""

    name: str
    references: int
    """Number of examples that it is made of."""
    threshold: float
    """Lowest score that predictions draw of it."""


def reference_counts(memory: Memory) -> list[int]:
    """Number of references of each class, also where they were stored finalised."""
    if memory.is_finalised:
        counts: list[int] = memory.statistics.counts.tolist()
        return counts
    return [len(references) for references in memory.by_class()]
