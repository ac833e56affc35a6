"""Average precision on Pascal VOC as the paper has it: of boxes at IoU 0.5, in COCO's way.

Precision is averaged over COCO's 101 recall thresholds, not over the 11 of VOC2007 nor under the
curve as VOC's own devkit does later. Difficult objects are crowds: what is found in them counts
neither way. VOC has no masks for most of its images; a mask can only be compared with what SAM
drew in the true box, and such numbers carry that in their name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.entries import Annotation
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.evaluation.coco import ClassResult, evaluate
from no_time_to_train.evaluation.scores import Scores, known

AGAINST_SAM = "against SAM masks"


def evaluate_voc(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> Scores:
    """Compare results with the ground truth of the wanted classes, on every image.

    Args:
        annotations: Of the test images; difficult objects have iscrowd 1.
        category_ids: The novel classes of a split; nAP50 is their mean.
        records: Results, in any order of images.

    Raises:
        InputError: As by `evaluation.coco.evaluate`.
    """
    wanted = set(category_ids)
    if all(_is_box(each) for each in annotations.annotations if each.category_id in wanted):
        annotations = _without_masks(annotations)
    outcome = evaluate(annotations, category_ids, records)
    box = outcome.box or {}
    numbers = {"nAP50": box.get("AP50"), "box AP": box.get("AP"), "box AP75": box.get("AP75")}
    if outcome.mask:
        for name in ("AP", "AP50", "AP75"):
            numbers[f"{name} {AGAINST_SAM}"] = outcome.mask[name]
    per_class = [_row(result, outcome.mask is not None) for result in outcome.per_class]
    text = _text(numbers, per_class) if outcome.box else f"{outcome.text}\n"
    return Scores(numbers, per_class, text)


def _is_box(annotation: Annotation) -> bool:
    """Whether there is no mask, or the outline of the box in its place."""
    if annotation.segmentation is None:
        return True
    left, top, width, height = annotation.bbox
    right, bottom = left + width, top + height
    outlines = (
        [left, top, left, bottom, right, bottom, right, top],
        [left, top, right, top, right, bottom, left, bottom],
    )
    return annotation.segmentation in [[outline] for outline in outlines]


def _without_masks(annotations: CocoAnnotations) -> CocoAnnotations:
    boxes = [replace(each, segmentation=None) for each in annotations.annotations]
    return replace(annotations, annotations=boxes)


def _row(result: ClassResult, with_masks: bool) -> dict[str, Any]:
    row = {
        "category_id": result.category_id,
        "name": result.name,
        "instances": result.instances,
        "box_ap50": known(result.box_ap50),
        "box_ap": known(result.box_ap),
    }
    return row | ({f"AP50 {AGAINST_SAM}": known(result.mask_ap50)} if with_masks else {})


def _text(numbers: Mapping[str, float | None], rows: Sequence[Mapping[str, Any]]) -> str:
    width = max(map(len, [*numbers, *(row["name"] for row in rows)]))
    lines = [f"{name:<{width}}  {_cell(value)}" for name, value in numbers.items()]
    lines += ["", f"{'class':<{width}}   AP50  box AP  instances"]
    for row in rows:
        cells = f"{_cell(row['box_ap50'])}   {_cell(row['box_ap'])}  {row['instances']:>9}"
        lines.append(f"{row['name']:<{width}}  {cells}")
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return f"{'-':>5}" if value is None else f"{value:.3f}"
