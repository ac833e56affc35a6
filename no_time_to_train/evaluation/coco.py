"""Average precision of COCO results: the 12 numbers that papers report, and a table of classes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from no_time_to_train.coco.annotations import CocoAnnotations, instance_area, run_lengths
from no_time_to_train.coco.boxes import xywh_to_xyxy
from no_time_to_train.coco.entries import Annotation, Id, ImageInfo
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.average_precision import AnnotationDict, ByCategory, Curves, curves

MAX_CANVAS_SIDE = 4096
"""Pixels, for an image whose size is nowhere stated and in which nothing was found."""
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
    ranks = _image_ranks(annotations)
    truths = [a for a in annotations.annotations if a.category_id in wanted_ids]
    if all(truth.iscrowd for truth in truths):
        return _without_truth(annotations, wanted)
    without_mask = sum(truth.segmentation is None for truth in truths)
    boxes_alone = any("segmentation" not in record for record in records)
    with_masks = not without_mask and not boxes_alone
    images = _sized_images(annotations, records)
    truth_groups = _truth_groups(truths, images, ranks, with_masks)
    found_groups = _detection_groups(records, ranks)

    box = curves("bbox", wanted, truth_groups, found_groups)
    mask = curves("segm", wanted, truth_groups, found_groups) if with_masks else None
    per_class = _class_results(annotations, wanted, truth_groups, box, mask)
    box_numbers, box_lines = box.summary()
    why_not = BOXES_ALONE if boxes_alone else _no_masks(without_mask, len(truths))
    mask_numbers, mask_lines = mask.summary() if mask else (None, why_not)
    text = f"BBOX RESULTS:\n{box_lines}SEGM RESULTS:\n{mask_lines}\n{_table(per_class)}"
    return Evaluation(box_numbers, mask_numbers, per_class, text)


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


def _image_ranks(annotations: CocoAnnotations) -> dict[Id, int]:
    """Whole numbers for image ids of any kind, in the order in which pycocotools takes them."""
    ordered = sorted(annotations.images, key=lambda key: (isinstance(key, str), key))
    return {image_id: rank for rank, image_id in enumerate(ordered)}


def _sized_images(
    annotations: CocoAnnotations, records: Sequence[CocoRecord]
) -> dict[Id, ImageInfo]:
    """The images; where the json gives no size, with that of the results.

    An image without either has nothing to match: there a canvas that holds its boxes will do.
    """
    measured = {
        record["image_id"]: record["segmentation"]["size"]
        for record in records
        if "segmentation" in record
    }
    images = dict(annotations.images)
    for key, image in annotations.images.items():
        if image.height is None or image.width is None:
            truths = annotations.of_image(key)
            height, width = measured.get(key) or _stated_size(truths) or _enclosing_size(truths)
            images[key] = replace(image, height=height, width=width)
    return images


def _stated_size(truths: Sequence[Annotation]) -> list[int] | None:
    """Height and width that run lengths give themselves."""
    masks = [truth.segmentation for truth in truths if isinstance(truth.segmentation, dict)]
    return next((mask["size"] for mask in masks if "size" in mask), None)


def _enclosing_size(truths: Sequence[Annotation]) -> tuple[int, int]:
    """Height and width of a canvas that holds all boxes, as far as there can be such an image."""
    boxes = [xywh_to_xyxy(truth.bbox) for truth in truths]
    corners = [(math.ceil(bottom), math.ceil(right)) for _, _, right, bottom in boxes]
    bottom, right = np.clip(np.max([(0, 0), *corners], axis=0), 0, MAX_CANVAS_SIDE).tolist()
    return bottom + 1, right + 1


def _truth_groups(
    truths: Sequence[Annotation],
    images: Mapping[Id, ImageInfo],
    ranks: Mapping[Id, int],
    with_masks: bool,
) -> ByCategory:
    groups: defaultdict[int, list[AnnotationDict]] = defaultdict(list)
    # Own ids, from 1: to COCOeval a match with id 0 is none, of equal ids only the last is seen.
    for number, truth in enumerate(truths, start=1):
        image = images[truth.image_id]
        groups[truth.category_id].append(
            {
                "id": number,
                "image_id": ranks[truth.image_id],
                "category_id": truth.category_id,
                "bbox": list(truth.bbox),
                "area": instance_area(truth, image),
                "iscrowd": truth.iscrowd,
                "segmentation": run_lengths(truth, image) if with_masks else None,
            }
        )
    return groups


def _detection_groups(records: Sequence[CocoRecord], ranks: Mapping[Id, int]) -> ByCategory:
    groups: defaultdict[int, list[AnnotationDict]] = defaultdict(list)
    for number, record in enumerate(records, start=1):
        _, _, width, height = record["bbox"]
        groups[record["category_id"]].append(
            {
                "id": number,
                "image_id": ranks[record["image_id"]],
                "category_id": record["category_id"],
                "bbox": record["bbox"],
                "area": width * height,
                "score": record["score"],
                "segmentation": record.get("segmentation"),
            }
        )
    return groups


def _class_results(
    annotations: CocoAnnotations,
    wanted: Sequence[int],
    truths: ByCategory,
    box: Curves,
    mask: Curves | None,
) -> list[ClassResult]:
    names = {category.id: category.name for category in annotations.categories}
    box_ap = box.class_ap().tolist()
    mask_ap = mask.class_ap().tolist() if mask else [(None, None)] * len(wanted)
    return [
        ClassResult(
            category_id,
            names[category_id],
            sum(not truth["iscrowd"] for truth in truths.get(category_id, [])),
            *box_ap[row],
            *mask_ap[row],
        )
        for row, category_id in enumerate(wanted)
    ]


def _no_masks(missing: int, total: int) -> str:
    return (
        f" Not evaluated: {missing} of {total} ground truth annotations have a box and no "
        "segmentation; no_time_to_train/dataset/sam_bbox_to_segm_batch.py makes them.\n"
    )


def _table(per_class: Sequence[ClassResult]) -> str:
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
