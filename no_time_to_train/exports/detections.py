"""What was found, as detections of the package supervision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from no_time_to_train.coco.boxes import xywh_to_xyxy
from no_time_to_train.errors import InputError
from no_time_to_train.exports.picture_results import PictureResult

if TYPE_CHECKING:
    from supervision import Detections


def to_detections(result: PictureResult, class_names: Sequence[str]) -> Detections:
    """Boxes, masks, scores, class indices, and names under `class_name`, as supervision has them.

    Args:
        result: Of one picture, best first.
        class_names: By label.

    Raises:
        InputError: The package supervision is not installed.
    """
    try:
        from supervision import Detections
    except ImportError:
        raise InputError(
            "the package supervision is not installed; get it by `pip install supervision`"
        ) from None
    found = result.instances
    masks = np.zeros((len(found), result.height, result.width), dtype=bool)
    for mask, instance in zip(masks, found, strict=True):
        mask[:] = instance.mask
    labels = [each.label for each in found]
    boxes = [xywh_to_xyxy(each.bbox) for each in found]
    return Detections(
        xyxy=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        mask=masks,
        confidence=np.array([each.score for each in found], dtype=np.float32),
        class_id=np.array(labels, dtype=int),
        data={"class_name": np.array([class_names[label] for label in labels], dtype=str)},
    )
