"""Precision and recall of detections by pycocotools' COCOeval, class by class and in silence."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval, Params

NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""COCOeval's 12 numbers, in its order."""

IouType = Literal["bbox", "segm"]
AnnotationDict = dict[str, Any]
"""An annotation or a detection in pycocotools' terms, its mask as compressed run lengths."""
ByCategory = Mapping[int, Sequence[AnnotationDict]]
"""Annotations or detections by category id."""


@dataclass(frozen=True)
class Curves:
    """Precision and recall as COCOeval has them.

    T IoU thresholds, R recall thresholds, K classes, A area ranges, D limits on detections.
    """

    iou_type: IouType
    precision: npt.NDArray[np.float64]
    """(T, R, K, A, D) in [0, 1]; -1 without ground truth."""
    recall: npt.NDArray[np.float64]
    """(T, K, A, D) in [0, 1]; -1 without ground truth."""

    def summary(self) -> tuple[dict[str, float], str]:
        """The 12 numbers by name, and the 12 lines that COCOeval prints."""
        evaluation = COCOeval(iouType=self.iou_type)
        evaluation.eval = {"precision": self.precision, "recall": self.recall}
        with redirect_stdout(io.StringIO()) as printed:
            evaluation.summarize()
        return dict(zip(NUMBERS, map(float, evaluation.stats), strict=True)), printed.getvalue()

    def class_ap(self) -> npt.NDArray[np.float64]:
        """AP and AP50 of each class, (K, 2); -1 without ground truth."""
        curves = self.precision[..., 0, -1]  # (T, R, K): any area, 100 detections
        return np.stack([curves.mean(axis=(0, 1)), curves[0].mean(axis=0)], axis=1)

    def by_recall(self) -> dict[str, npt.NDArray[np.float64]]:
        """Precision at the R recall thresholds, the mean of the classes with ground truth.

        Returns:
            By IoU threshold, 0.5 and 0.75 and the mean from 0.5 to 0.95, (R,) each; nothing
            where no class has ground truth.
        """
        curves = self.precision[..., 0, -1]  # (T, R, K): any area, 100 detections
        curves = curves[:, :, (curves >= 0).all(axis=(0, 1))]
        if not curves.shape[2]:
            return {}
        means = curves.mean(axis=2)  # (T, R)
        return {"0.50": means[0], "0.75": means[5], "0.50:0.95": means.mean(axis=0)}


def curves(
    iou_type: IouType, category_ids: Sequence[int], truths: ByCategory, detections: ByCategory
) -> Curves:
    """Run COCOeval for one class after another.

    The numbers are those of a single run, which would visit every pair of class and image: 24
    million for LVIS.

    Args:
        iou_type: What overlaps: boxes or masks.
        category_ids: The K classes, in order.
        truths: Annotations with id (1 or more, unique), image_id (a number), bbox, area, iscrowd
            and segmentation.
        detections: The same with score, without iscrowd.
    """
    params = Params(iou_type)
    grid = (len(category_ids), len(params.areaRng), len(params.maxDets))  # (K, A, D)
    precision = np.full((len(params.iouThrs), len(params.recThrs), *grid), -1.0)
    recall = np.full((len(params.iouThrs), *grid), -1.0)
    for row, category_id in enumerate(category_ids):
        if category_id in truths:
            found = detections.get(category_id, [])
            outcome = _run(iou_type, category_id, truths[category_id], found)
            precision[:, :, row] = outcome["precision"][:, :, 0]
            recall[:, row] = outcome["recall"][:, 0]
    return Curves(iou_type, precision, recall)


def _run(
    iou_type: IouType,
    category_id: int,
    truths: Sequence[AnnotationDict],
    detections: Sequence[AnnotationDict],
) -> dict[str, Any]:
    image_ids = sorted({instance["image_id"] for instance in (*truths, *detections)})
    with redirect_stdout(io.StringIO()):
        evaluation = COCOeval(
            _coco(category_id, image_ids, truths),
            _coco(category_id, image_ids, detections),
            iou_type,
        )
        evaluation.evaluate()
        evaluation.accumulate()
    outcome: dict[str, Any] = evaluation.eval
    return outcome


def _coco(category_id: int, image_ids: Sequence[int], instances: Sequence[AnnotationDict]) -> COCO:
    coco = COCO()
    coco.dataset = {
        # The keys must exist, but a size is looked at only to draw polygons.
        "images": [{"id": image_id, "height": None, "width": None} for image_id in image_ids],
        "annotations": instances,
        "categories": [{"id": category_id}],
    }
    coco.createIndex()
    return coco
