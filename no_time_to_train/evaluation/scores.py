"""What an evaluator has to say about the results of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any


@dataclass(frozen=True)
class Scores:
    """Numbers of one run by one benchmark's rules."""

    numbers: Mapping[str, float | None]
    """In [0, 1], by the names that papers give them, the one that tables show first; None where
    there is no ground truth for it."""
    per_class: Sequence[Mapping[str, Any]]
    """One row per class, with `category_id`, `name` and its numbers."""
    text: str
    """All of it to read."""


def known(value: float | None) -> float | None:
    """A number of COCOeval, which says -1 where there is no ground truth."""
    return None if value is None or value < 0 else value


def percent(value: float) -> str:
    """A number in [0, 1] as papers print it: x 100, to one decimal, a half upwards."""
    hundredfold = Decimal(repr(round(100 * value, 6)))  # what floats add to 32.25 is no more
    return str(hundredfold.quantize(Decimal("0.1"), ROUND_HALF_UP))
