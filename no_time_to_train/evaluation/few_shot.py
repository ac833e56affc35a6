"""COCO few-shot and CD-FSOD: COCOeval's numbers by the names that their papers give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.evaluation.average_precision import NUMBERS
from no_time_to_train.evaluation.coco import evaluate
from no_time_to_train.evaluation.scores import Scores, known

NOVEL = {"AP": "nAP", "AP50": "nAP50", "AP75": "nAP75"}
"""AP of the novel classes."""
MEAN = {"AP": "mAP"}
"""AP of all classes of a small data set."""
CLASS_NUMBERS = ("box_ap", "box_ap50", "mask_ap", "mask_ap50")
"""Those of a class."""


def evaluate_coco(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> Scores:
    """COCOeval's 12 numbers for boxes and for masks; AP is called nAP, as of novel classes."""
    return _evaluate(annotations, category_ids, records, NOVEL)


def evaluate_cdfsod(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> Scores:
    """COCOeval's 12 numbers for boxes and for masks; AP is called mAP, as for CD-FSOD."""
    return _evaluate(annotations, category_ids, records, MEAN)


def _evaluate(
    annotations: CocoAnnotations,
    category_ids: Sequence[int],
    records: Sequence[CocoRecord],
    names: Mapping[str, str],
) -> Scores:
    evaluation = evaluate(annotations, category_ids, records)
    nothing = dict.fromkeys(NUMBERS)
    found = {"box": evaluation.box or nothing, "mask": evaluation.mask or nothing}
    numbers = {
        f"{kind} {names.get(number, number)}": known(values[number])
        for kind, values in found.items()
        for number in NUMBERS
    }
    per_class = [
        asdict(row) | {name: known(getattr(row, name)) for name in CLASS_NUMBERS}
        for row in evaluation.per_class
    ]
    return Scores(numbers, per_class, evaluation.text)
