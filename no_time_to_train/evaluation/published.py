"""The published numbers, as far as they were published one by one."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import NamedTuple

VALUES = Path(__file__).with_suffix(".csv")
"""AP x 100; the first ten seeds are the paper's table of COCO, the rest are its averages."""
AVERAGE = "average"
"""In the place of a split, of shots or of a seed: the mean over all of them."""
MIN_TOLERANCE = 0.005
"""Below it no difference means anything: the released code's own 30-shot run with seed 33 is 0.5 AP
from the paper's."""


class Key(NamedTuple):
    """What a number was measured for."""

    split: str
    shots: int | str | None
    """References per class; AVERAGE over them; None where nobody said it."""
    seed: int | str | None
    """Of the draw of references; AVERAGE over them; None where nobody said it."""
    number: str
    """Its name."""


class Published(NamedTuple):
    """A published number."""

    value: float
    """In [0, 1]."""
    std: float | None
    """Sample standard deviation over seeds, of an average over them."""

    def differs_from(self, value: float) -> bool:
        """Whether a reproduced value is further away than the spread explains."""
        tolerance = max(MIN_TOLERANCE, self.std or 0)
        return abs(value - self.value) > tolerance + 1e-9


@cache
def published_numbers(benchmark: str) -> dict[Key, Published]:
    """What was published of a benchmark, by what it was measured for."""
    with VALUES.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == benchmark]
    return {
        Key(row["split"], _whole(row["shots"]), _whole(row["seed"]), row["number"]): Published(
            float(row["value"]) / 100, float(row["std"]) / 100 if row["std"] else None
        )
        for row in rows
    }


def _whole(text: str) -> int | str:
    return text if text == AVERAGE else int(text)
