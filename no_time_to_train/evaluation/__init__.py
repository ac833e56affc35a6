"""How results are measured, one row per benchmark's rules; what is slow to import waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from no_time_to_train.coco.annotations import CocoAnnotations
    from no_time_to_train.coco.results import CocoRecord
    from no_time_to_train.evaluation.scores import Scores

    Evaluator = Callable[[CocoAnnotations, Sequence[int], Sequence[CocoRecord]], Scores]


@dataclass(frozen=True)
class EvaluatorRow:
    """A way to measure."""

    implementation: str
    """`MODULE:FUNCTION` in this package: takes the ground truth, the ids of the wanted categories
    and the results; raises InputError where they cannot be compared."""
    summary: str
    """One line of the help."""
    needs_masks: bool = False
    """Whether results that are boxes alone cannot be measured."""

    def load(self) -> Evaluator:
        """Import the function."""
        module, _, name = self.implementation.partition(":")
        evaluator: Evaluator = getattr(import_module(f"{__name__}.{module}"), name)
        return evaluator


EVALUATORS: dict[str, EvaluatorRow] = {
    "coco": EvaluatorRow(
        "few_shot:evaluate_coco",
        "COCO few-shot: nAP, nAP50 and nAP75 of boxes and masks.",
    ),
    "cdfsod": EvaluatorRow(
        "few_shot:evaluate_cdfsod",
        "CD-FSOD: mAP of boxes and masks.",
    ),
    "coco20i": EvaluatorRow(
        "semantic:evaluate_coco20i",
        "COCO-20i: mIoU of label maps over the whole data set, and the number as published.",
        needs_masks=True,
    ),
    "lvis": EvaluatorRow(
        "lvis:evaluate_lvis",
        "LVIS: AP of rare, common and frequent classes by its own protocol, and AP as published.",
    ),
    "voc": EvaluatorRow(
        "voc:evaluate_voc",
        "Pascal VOC: AP of boxes at IoU 0.5, difficult objects ignored.",
    ),
}
"""By name, as `evaluate --metrics NAME` takes it."""
