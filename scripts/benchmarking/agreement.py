"""How far the detections of two variants are the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pycocotools import mask as rle_codec

from no_time_to_train.coco.results import CocoRecord

MIN_IOU = 0.5
"""Detections of one class that overlap less are not the same instance."""


@dataclass(frozen=True)
class Agreement:
    """Detections of one variant beside those of another."""

    theirs: int
    ours: int
    matched: int
    """Pairs of the same image and class, each the other's best left."""
    min_mask_iou: float
    """Of all pairs; 1 without any."""
    max_score_difference: float


def detection_agreement(
    theirs: Sequence[Sequence[CocoRecord]], ours: Sequence[Sequence[CocoRecord]]
) -> Agreement:
    """Pair detections, best scores first.

    Args:
        theirs: Of the variant to compare with, by image, best first.
        ours: The same images.
    """
    pairs = [pair for one, other in zip(theirs, ours, strict=True) for pair in _pairs(one, other)]
    return Agreement(
        theirs=sum(map(len, theirs)),
        ours=sum(map(len, ours)),
        matched=len(pairs),
        min_mask_iou=min((iou for iou, _ in pairs), default=1.0),
        max_score_difference=max((difference for _, difference in pairs), default=0.0),
    )


def _pairs(
    theirs: Sequence[CocoRecord], ours: Sequence[CocoRecord]
) -> Iterator[tuple[float, float]]:
    """Mask IoU and score difference of each pair in one image."""
    if not theirs or not ours:
        return
    ious = rle_codec.iou(
        [record["segmentation"] for record in ours],
        [record["segmentation"] for record in theirs],
        [0] * len(theirs),
    )  # (ours, theirs)
    left = set(range(len(theirs)))
    for row, record in zip(ious, ours, strict=True):
        same = [j for j in left if theirs[j]["category_id"] == record["category_id"]]
        best = max(same, key=row.__getitem__, default=None)
        if best is not None and row[best] > MIN_IOU:
            left.remove(best)
            yield float(row[best]), abs(record["score"] - theirs[best]["score"])
