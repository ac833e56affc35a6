"""How a benchmark's papers lay out the table of many runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Axis = Literal["split", "shots", "seed", "number"]
"""What runs and their numbers differ in."""


@dataclass(frozen=True)
class Layout:
    """Which axis goes where; each combination of the remaining ones has its own table.

    Seeds are the exception: where they are neither rows nor columns, a cell is their mean.
    """

    rows: Axis = "split"
    columns: Axis = "shots"
    averages: tuple[Axis, ...] = ()
    """Those of rows and columns that are averaged."""
    numbers: tuple[str, ...] = ()
    """Names of the numbers that are shown; without any, the one that the evaluator puts first."""
