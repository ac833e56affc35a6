"""Masks for references that are only boxes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from no_time_to_train.coco.annotations import Annotation, Id
from no_time_to_train.coco.boxes import xywh_to_xyxy
from no_time_to_train.config import Orientation
from no_time_to_train.dataset.images import read_entry
from no_time_to_train.dataset.reference_layouts.found import FoundReferences

if TYPE_CHECKING:
    from no_time_to_train.dataset.box_segmenters import BoxSegmenter


def with_masks(
    found: FoundReferences, segment_boxes: BoxSegmenter, orientation: Orientation = "auto"
) -> FoundReferences:
    """Draw masks for the references that are only boxes; the others stay as they are.

    The masks are those that sam_bbox_to_segm_batch.py writes into a COCO json.

    Args:
        found: The references.
        segment_boxes: Draws the masks.
        orientation: Of images with an EXIF orientation, as in the settings of the data sets.

    Raises:
        InputError: An image is damaged, or has another size than its annotations say.
    """
    boxed: defaultdict[Id, list[Annotation]] = defaultdict(list)
    for annotation in found.boxes:
        boxed[annotation.image_id].append(annotation)
    drawn: dict[tuple[Id, Id], Annotation] = {}
    for image_id, in_image in boxed.items():
        picture, _ = read_entry(
            found.annotations.images[image_id], found.path(image_id), orientation
        )
        columns = np.array([each.bbox for each in in_image], np.float32).T
        masks = segment_boxes(picture, np.stack(xywh_to_xyxy(columns), axis=1))
        for annotation, mask in zip(in_image, masks, strict=True):
            drawn[image_id, annotation.id] = _completed(annotation, mask)
    completed = [
        drawn.get((each.image_id, each.id), each) if each.segmentation is None else each
        for each in found.annotations.annotations
    ]
    return replace(found, annotations=replace(found.annotations, annotations=completed))


def _completed(annotation: Annotation, mask: Any) -> Annotation:
    # It brings in OpenCV, which references that have masks do not need.
    from no_time_to_train.dataset.sam_bbox_to_segm_batch import complete

    entry: dict[str, Any] = {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "bbox": annotation.bbox,
    }
    complete(entry, mask)
    return replace(annotation, segmentation=entry["segmentation"], area=float(entry["area"]))
