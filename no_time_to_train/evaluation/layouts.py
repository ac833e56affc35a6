"""How the papers of a benchmark lay out the table of many runs."""

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
    """Names of the numbers that are shown, as far as they were measured; where none was, or nobody
    says which, the one that the evaluator puts first."""


LVIS_NUMBERS = tuple(
    f"{kind} {name}"
    for kind in ("box", "mask")
    for name in ("AP", "APr", "APc", "APf", "AP as published")
)
LAYOUTS = {
    "coco": (
        Layout("shots", "seed", ("seed",), ("box nAP", "mask nAP")),
        Layout("shots", "number", (), ("box nAP50", "box nAP75", "mask nAP50", "mask nAP75")),
    ),
    "cdfsod": (Layout("split", "shots", ("split",), ("box mAP", "mask mAP")),),
    "coco20i": (Layout("split", "shots", ("split",), ("mIoU", "FB-IoU", "mIoU as published")),),
    "coco20i_episodes": (Layout("split", "shots", ("split",), ("mIoU", "FB-IoU")),),
    "lvis": (Layout("split", "number", (), LVIS_NUMBERS),),
    "voc": (Layout("split", "shots", ("split", "shots"), ("nAP50",)),),
}
"""By what evaluation.json has as `metrics`; others are as `Layout` has it."""
