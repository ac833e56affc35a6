"""Predictions as COCO results: what evaluation, pictures and result files are made of."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from no_time_to_train.coco.boxes import xyxy_to_xywh
from no_time_to_train.coco.run_lengths import CompressedRle as CompressedRle
from no_time_to_train.coco.run_lengths import encode
from no_time_to_train.files import atomic_write

if TYPE_CHECKING:  # torch takes seconds to import, and readers of records do without it
    from no_time_to_train.structures import Prediction

logger = logging.getLogger(__name__)


class CocoBox(TypedDict):
    """One detected box, as in a COCO results file."""

    image_id: int | str
    category_id: int
    # [x, y, w, h]: first column, first row, last minus first column, last minus first row;
    # whole numbers where they are ours
    bbox: list[int] | list[float]
    score: float


class CocoRecord(CocoBox, total=False):
    """One detected instance, as in a COCO results file; results of others may be boxes alone."""

    segmentation: CompressedRle


def to_records(
    prediction: Prediction, image_id: int | str, category_ids: Sequence[int]
) -> list[CocoRecord]:
    """Write the instances of one image as COCO results.

    Args:
        prediction: What was found, best first.
        image_id: As in the COCO json.
        category_ids: Category id per class index.

    Returns:
        One record per instance, in the prediction's order.
    """
    rows = zip(
        prediction.labels.tolist(),
        prediction.boxes.tolist(),
        prediction.scores.tolist(),
        strict=True,
    )
    return [
        CocoRecord(
            image_id=image_id,
            category_id=category_ids[label],
            bbox=xyxy_to_xywh(box),
            score=score,
            segmentation=run_lengths(prediction, row),
        )
        for row, (label, box, score) in enumerate(rows)
    ]


def run_lengths(prediction: Prediction, row: int) -> CompressedRle:
    """Run-length code of one mask; no more than the part in its box leaves the GPU."""
    x1, y1, x2, y2 = prediction.boxes[row].tolist()
    mask = prediction.masks[row]  # (H, W)
    inside = mask[y1 : y2 + 1, x1 : x2 + 1].cpu().numpy()  # (h, w)
    return encode(inside, (x1, y1, x2, y2), (mask.shape[0], mask.shape[1]))


def warn_if_all_below(records: Sequence[CocoRecord], threshold: float) -> None:
    """Tell why pictures show no prediction, where the threshold is the reason."""
    best = max((record["score"] for record in records), default=None)
    if best is not None and best <= threshold:
        logger.warning(
            "The pictures show no prediction: 0 of %d instances are above vis_thr %s, the best "
            "score is %.3g",
            len(records),
            threshold,
            best,
        )


def write_records(path: Path, records: Iterable[CocoRecord]) -> None:
    """Write a COCO results file, one record per line; it appears whole or not at all."""
    with atomic_write(path) as file:
        file.write("[")
        for number, record in enumerate(records):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(record))
        file.write("\n]\n")
