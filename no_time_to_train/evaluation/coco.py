"""Average precision of COCO results: the 12 numbers that papers report, and a table of classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.average_precision import ByCategory, Curves, curves
from no_time_to_train.evaluation.instances import numbered

PRINTED_CLASSES = 100
"""Rows of the class table in the text: 1203 classes would bury the summary above them."""
BOXES_ALONE = " Not evaluated: the results are boxes without masks.\n"


@dataclass(frozen=True)
class ClassResult:
    """Average precision of one class, in [0, 1].

    -1 where other classes have ground truth and this one has none; None where none has any.
    """

    category_id: int
    name: str
    instances: int
    """Ground truth instances that can be found: crowds are not counted."""
    box_ap: float | None
    box_ap50: float | None
    mask_ap: float | None
    """None also where the ground truth or the results have no masks."""
    mask_ap50: float | None


@dataclass(frozen=True)
class Evaluation:
    """What COCOeval says about a list of results."""

    box: dict[str, float] | None
    """COCOeval's 12 numbers for boxes, by name (AP, AP50, ..., ARl); -1 without ground truth of
    that size, None without any ground truth."""
    mask: dict[str, float] | None
    """The same for masks; None also where the ground truth or the results have no masks."""
    per_class: list[ClassResult]
    """Every wanted class, by category id."""
    text: str
    """All of it to read: both summaries, then the classes."""
    box_curves: Curves | None = None
    """Precision by recall of boxes; None without ground truth."""
    mask_curves: Curves | None = None
    """The same of masks; None also where `mask` is."""


def evaluate(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> Evaluation:
    """Compare results with the ground truth of the wanted classes, on every image of the data set.

    Each ground truth annotation counts, also where ids repeat or are 0; pycocotools itself would
    lose those. The size of a detection is that of its box, for masks too, as pycocotools has it for
    results that hold both.

    Args:
        annotations: The data set.
        category_ids: Wanted classes; results of others are not looked at.
        records: Results, in any order of images; where one has no mask, boxes alone are compared.

    Raises:
        InputError: A score is not finite, a result belongs to an image that the data set does not
            have or gives another size, or a segmentation of the ground truth is malformed.
    """
    check_records(records, annotations)
    wanted, wanted_ids = sorted(category_ids), set(category_ids)
    truths = [a for a in annotations.annotations if a.category_id in wanted_ids]
    if all(truth.iscrowd for truth in truths):
        return _without_truth(annotations, wanted)
    without_mask = sum(truth.segmentation is None for truth in truths)
    boxes_alone = any("segmentation" not in record for record in records)
    with_masks = not without_mask and not boxes_alone
    instances = numbered(annotations, truths, records, with_masks)

    box = curves("bbox", wanted, instances.truths, instances.detections)
    mask = curves("segm", wanted, instances.truths, instances.detections) if with_masks else None
    found = box.class_ap(), mask.class_ap() if mask else None
    per_class = class_results(annotations, wanted, instances.truths, *found)
    box_numbers, box_lines = box.summary()
    why_not = BOXES_ALONE if boxes_alone else _no_masks(without_mask, len(truths))
    mask_numbers, mask_lines = mask.summary() if mask else (None, why_not)
    text = f"BBOX RESULTS:\n{box_lines}SEGM RESULTS:\n{mask_lines}\n{class_table(per_class)}"
    return Evaluation(box_numbers, mask_numbers, per_class, text, box, mask)


def _without_truth(annotations: CocoAnnotations, wanted: Sequence[int]) -> Evaluation:
    """Nothing to measure: no crowd can be found."""
    names = {category.id: category.name for category in annotations.categories}
    per_class = [ClassResult(key, names[key], 0, None, None, None, None) for key in wanted]
    text = (
        f"No ground truth: {annotations.path} has no instance of the wanted classes on these "
        f"images ({len(annotations.images)}), so there is no average precision."
    )
    return Evaluation(None, None, per_class, text)


def check_records(records: Sequence[CocoRecord], annotations: CocoAnnotations) -> None:
    """Stop at results that would be turned into a wrong number without a word.

    Raises:
        InputError: A score is not finite, or a result belongs to an image that the data set does
            not have or gives another size.
    """
    for record in records:
        image = annotations.images.get(record["image_id"])
        if image is None:
            raise InputError(
                f"a result belongs to image {record['image_id']!r}, which {annotations.path} does "
                "not list; evaluate with the annotations that the results were made for"
            )
        if not math.isfinite(record["score"]):
            raise InputError(
                f"a result for {image.file_name} has the score {record['score']}; remove it, or "
                "repeat the test"
            )
        stated = [image.height, image.width]
        size = record["segmentation"]["size"] if "segmentation" in record else stated
        if None not in stated and stated != size:
            raise InputError(
                f"a result for {image.file_name} has a mask of {size} pixels (height, width), "
                f"where {annotations.path} says {stated}; no mask of another size can match"
            )


def class_results(
    annotations: CocoAnnotations,
    wanted: Sequence[int],
    truths: ByCategory,
    box_ap: npt.NDArray[np.float64],
    mask_ap: npt.NDArray[np.float64] | None,
) -> list[ClassResult]:
    """Rows of the table of classes.

    Args:
        annotations: The data set.
        wanted: Ids of the K classes.
        truths: Ground truth by category.
        box_ap: AP and AP50 of boxes, (K, 2).
        mask_ap: The same of masks, where there are masks.
    """
    names = {category.id: category.name for category in annotations.categories}
    box_rows = box_ap.tolist()
    mask_rows = [(None, None)] * len(wanted) if mask_ap is None else mask_ap.tolist()
    return [
        ClassResult(
            category_id,
            names[category_id],
            sum(not truth["iscrowd"] for truth in truths.get(category_id, [])),
            *box_rows[row],
            *mask_rows[row],
        )
        for row, category_id in enumerate(wanted)
    ]


def _no_masks(missing: int, total: int) -> str:
    return (
        f" Not evaluated: {missing} of {total} ground truth annotations have a box and no "
        "segmentation; no_time_to_train/dataset/sam_bbox_to_segm_batch.py makes them.\n"
    )


def class_table(per_class: Sequence[ClassResult]) -> str:
    """The rows as text, the first of them where there are very many."""
    shown = per_class[:PRINTED_CLASSES]
    width = max((len(row.name) for row in shown), default=0)
    lines = [f"{'class':<{width}}  instances  box AP  box AP50  mask AP  mask AP50"]
    for row in shown:
        values = zip(
            (row.box_ap, row.box_ap50, row.mask_ap, row.mask_ap50), (6, 8, 7, 9), strict=True
        )
        cells = "  ".join(f"{_cell(value):>{wide}}" for value, wide in values)
        lines.append(f"{row.name:<{width}}  {row.instances:>9}  {cells}")
    if len(shown) < len(per_class):
        lines.append(f"... and {len(per_class) - len(shown)} more classes")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "-" if value is None or value < 0 else f"{value:.3f}"
