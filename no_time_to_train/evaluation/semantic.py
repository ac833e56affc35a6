"""Semantic segmentation from instances, as COCO-20i has it: mIoU over a whole data set.

Background is a label of its own, better predictions lie over worse ones, and pixels of crowds do
not count. One image is in memory at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.evaluation.coco import check_records
from no_time_to_train.evaluation.label_maps import ImageInstances, each_image, found_mask, paint
from no_time_to_train.evaluation.scores import Scores
from no_time_to_train.evaluation.semantic_published import PublishedMeanIou

THRESHOLD = 0.5
"""Lowest score of a prediction that counts, where nothing else is asked for."""
SWEEP = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Thresholds of which the text tells the mIoU as well."""

Confusion = npt.NDArray[np.int64]
"""(1 + K, 1 + K) pixels by true and by predicted label; 0 is the background."""
Values = npt.NDArray[np.float64]


class LabelCounts:
    """Pixels by true label, predicted label and score, of as many images as are added.

    A score counts by the highest threshold that it reaches: the best prediction lies on top, so
    that a threshold only uncovers background, and one pass serves all thresholds.
    """

    def __init__(self, category_ids: Sequence[int], thresholds: Sequence[float]) -> None:
        """Start at nothing.

        Args:
            category_ids: The K classes, in the order of their labels 1 to K.
            thresholds: Lowest scores of interest, in rising order.
        """
        self._labels = {category_id: row for row, category_id in enumerate(category_ids, start=1)}
        self._thresholds = list(thresholds)
        shape = (len(category_ids) + 1, len(category_ids) + 1, len(thresholds) + 1)
        self._counts = np.zeros(shape, np.int64)  # (1 + K, 1 + K, 1 + T)

    def add(self, instances: ImageInstances) -> None:
        """Count an image; where instances overlap, the one that the json lists last is true."""
        paint_over = partial(paint, instances.size)
        truth = paint_over(
            (self._labels[key], mask) for key, mask in instances.truth_masks(iscrowd=False)
        )
        ignored = paint_over((1, mask) for _, mask in instances.truth_masks(iscrowd=True)) > 0
        reached = [
            (np.searchsorted(self._thresholds, record["score"], side="right"), record)
            for record in reversed(instances.records)
        ]
        _, classes, bands = self._counts.shape
        found = paint_over(
            (int(self._labels[record["category_id"]] * bands + band), found_mask(record))
            for band, record in reached
            if band > 0
        )
        cells = (truth * classes * bands + found)[~ignored]
        self._counts += np.bincount(cells, minlength=self._counts.size).reshape(self._counts.shape)

    def confusion(self, threshold: float) -> Confusion:
        """Predictions below the threshold, one of those of this object, are background."""
        first = self._thresholds.index(threshold) + 1
        matrix: Confusion = self._counts[:, :, first:].sum(axis=2)
        matrix[:, 0] += self._counts[:, :, :first].sum(axis=(1, 2))
        return matrix


def class_iou(confusion: Confusion) -> Values:
    """Intersection over union of each label, (1 + K,); NaN where the truth has no pixel of it."""
    return _iou(np.diagonal(confusion), confusion.sum(axis=1), confusion.sum(axis=0))


def foreground_iou(confusion: Confusion) -> Values:
    """The same of background and foreground, (2,): any class against none."""
    blocks = np.add.reduceat(np.add.reduceat(confusion, (0, 1), axis=0), (0, 1), axis=1)  # (2, 2)
    return class_iou(blocks)


def evaluate_coco20i(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> Scores:
    """Measure the label maps that instances with a score of 0.5 or more make.

    Args:
        annotations: The data set; every image counts.
        category_ids: The K classes of the fold.
        records: Results, in any order of images; those of other classes are not looked at.

    Raises:
        InputError: A result does not fit the data set, or a size or a mask of it is missing.
    """
    return evaluate_label_maps(annotations, category_ids, records, THRESHOLD)


def evaluate_label_maps(
    annotations: CocoAnnotations,
    category_ids: Sequence[int],
    records: Sequence[CocoRecord],
    threshold: float,
) -> Scores:
    """The same at any threshold on the score, that of the published number apart.

    Raises:
        InputError: As by `evaluate_coco20i`.
    """
    check_records(records, annotations)
    wanted = sorted(category_ids)
    thresholds = sorted({*SWEEP, threshold})
    counts, published = LabelCounts(wanted, thresholds), PublishedMeanIou(annotations)
    for instances in each_image(annotations, wanted, records):
        counts.add(instances)
        published.add(instances)
    confusion = counts.confusion(threshold)
    iou = class_iou(confusion)  # (1 + K,)
    has_truth = bool(confusion[1:].any())
    numbers: dict[str, float | None] = {
        "mIoU": _mean(iou[1:]),
        "mIoU with background": _mean(iou) if has_truth else None,
        "FB-IoU": _mean(foreground_iou(confusion)) if has_truth else None,
        "mIoU as published": published.value(),
    }
    names = {category.id: category.name for category in annotations.categories}
    per_class = [
        {"category_id": key, "name": names[key], "IoU": None if np.isnan(value) else float(value)}
        for key, value in zip(wanted, iou[1:], strict=True)
    ]
    sweep = {each: _mean(class_iou(counts.confusion(each))[1:]) for each in thresholds}
    return Scores(numbers, per_class, _text(threshold, numbers, per_class, sweep))


def _iou(both: Values, truth: Values, found: Values) -> Values:
    iou: Values = np.full(len(both), np.nan)
    return np.divide(both, truth + found - both, out=iou, where=truth > 0)


def _mean(iou: Values) -> float | None:
    """The mean of those that are; None where none is."""
    known = iou[~np.isnan(iou)]
    return float(known.mean()) if known.size else None


def _text(
    threshold: float,
    numbers: Mapping[str, float | None],
    per_class: Sequence[Mapping[str, Any]],
    sweep: Mapping[float, float | None],
) -> str:
    width = max(len(name) for name in (*numbers, *(row["name"] for row in per_class)))
    lines = [f"Label maps of instances with a score of {threshold:g} or more:"]
    lines += [f"{row['name']:<{width}}  {_cell(row['IoU'])}" for row in per_class]
    lines += ["", *(f"{name:<{width}}  {_cell(value)}" for name, value in numbers.items())]
    lines += ["", "lowest score  mIoU"]
    lines += [f"{each:<12g}  {_cell(value)}" for each, value in sweep.items()]
    return "\n".join(lines) + "\n"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
