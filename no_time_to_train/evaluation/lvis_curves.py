"""Precision and recall under the LVIS protocol by faster-coco-eval, class by class and in silence.

Its LVIS style gives the numbers of the LVIS API, which does not run with current versions of NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_coco_eval import COCO, COCOeval_faster
from faster_coco_eval.core.cocoeval import Params

from no_time_to_train.coco.entries import FREQUENCIES, ImageInfo
from no_time_to_train.evaluation.average_precision import AnnotationDict, ByCategory, IouType

MAX_DETECTIONS = 300
"""Of an image, over all classes."""
AREAS = ("", "s", "m", "l")
"""Endings of AP: of any size, small, medium, large; in the order of the area ranges."""
NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", f"AR@{MAX_DETECTIONS}")
"""Those of the LVIS API that papers report, by its names."""


@dataclass(frozen=True)
class LvisCurves:
    """Precision and recall of K classes at T IoU thresholds, R recall thresholds, A area ranges."""

    precision: npt.NDArray[np.float64]
    """(T, R, K, A) in [0, 1]; -1 without ground truth."""
    recall: npt.NDArray[np.float64]
    """(T, K, A) in [0, 1]; -1 without ground truth."""

    def numbers(self, frequencies: Sequence[str | None]) -> dict[str, float | None]:
        """`NUMBERS`, None without ground truth.

        Args:
            frequencies: r, c or f for each of the K classes; None where that is not known.
        """
        any_size = self.precision[..., 0]  # (T, R, K)
        groups = [[each == frequency for each in frequencies] for frequency in FREQUENCIES]
        parts = (
            any_size,
            any_size[0],
            any_size[5],
            *(self.precision[..., column] for column in range(1, len(AREAS))),
            *(any_size[..., rows] for rows in groups),
            self.recall[..., 0],
        )
        return dict(zip(NUMBERS, map(_mean, parts), strict=True))

    def class_ap(self) -> npt.NDArray[np.float64]:
        """AP and AP50 of each class, (K, 2); -1 without ground truth."""
        any_size = self.precision[..., 0]  # (T, R, K)
        return np.stack([any_size.mean(axis=(0, 1)), any_size[0].mean(axis=0)], axis=1)


def lvis_curves(
    iou_type: IouType,
    category_ids: Sequence[int],
    truths: ByCategory,
    detections: ByCategory,
    images: Mapping[int, ImageInfo],
) -> LvisCurves:
    """Run the evaluation for one class after another: a single run visits every class and image.

    Args:
        iou_type: What overlaps: boxes or masks.
        category_ids: The K classes, in order.
        truths: As for `average_precision.curves`.
        detections: The same; those that count towards the limit on an image's detections.
        images: By the numbers that truths and detections have for them, with their size and lists
            of classes.
    """
    params = Params(iou_type)
    grid = (len(category_ids), len(AREAS))  # (K, A)
    precision = np.full((len(params.iouThrs), len(params.recThrs), *grid), -1.0)
    recall = np.full((len(params.iouThrs), *grid), -1.0)
    for row, category_id in enumerate(category_ids):
        if category_id in truths:
            found = detections.get(category_id, [])
            outcome = _run(iou_type, category_id, truths[category_id], found, images)
            precision[:, :, row] = outcome["precision"][:, :, 0, :, -1]
            recall[:, row] = outcome["recall"][:, 0, :, -1]
    return LvisCurves(precision, recall)


def _run(
    iou_type: IouType,
    category_id: int,
    truths: Sequence[AnnotationDict],
    detections: Sequence[AnnotationDict],
    images: Mapping[int, ImageInfo],
) -> dict[str, Any]:
    numbers = sorted({instance["image_id"] for instance in (*truths, *detections)})
    entries = [_entry(number, images[number]) for number in numbers]
    evaluation = COCOeval_faster(
        _coco(category_id, entries, truths),
        _coco(category_id, entries, detections),
        iou_type,
        print_function=_say_nothing,
        lvis_style=True,
        rle_iou_max_workers=1,
    )
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.evaluate()
    evaluation.accumulate()
    outcome: dict[str, Any] = evaluation.eval
    return outcome


def _entry(number: int, image: ImageInfo) -> dict[str, Any]:
    return {
        "id": number,
        "height": image.height,
        "width": image.width,
        "neg_category_ids": image.neg_category_ids,
        "not_exhaustive_category_ids": image.not_exhaustive_category_ids,
    }


def _coco(
    category_id: int, images: Sequence[dict[str, Any]], instances: Sequence[AnnotationDict]
) -> COCO:
    # The frequency is looked at only to make groups of classes, of which there is one here.
    categories = [{"id": category_id, "frequency": FREQUENCIES[0]}]
    content = {"images": images, "annotations": instances, "categories": categories}
    return COCO(content, print_function=_say_nothing)


def _say_nothing(*_: object) -> None:
    """In place of progress messages."""


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[values > -1]
    return float(known.mean()) if known.size else None
