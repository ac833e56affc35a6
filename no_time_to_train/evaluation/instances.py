"""Ground truth and results in pycocotools' terms, and what it needs that data sets leave out."""

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
from no_time_to_train.evaluation.average_precision import AnnotationDict, ByCategory

MAX_CANVAS_SIDE = 4096
"""Pixels, for an image whose size is nowhere stated and in which nothing was found."""


@dataclass(frozen=True)
class Instances:
    """What is compared; images have whole numbers for ids, whatever they have in the json."""

    truths: ByCategory
    """Annotations with id (1 or more, unique), image_id, category_id, bbox, area, iscrowd and
    segmentation."""
    detections: ByCategory
    """The same with score, without iscrowd."""
    images: dict[int, ImageInfo]
    """By those numbers, each with its size."""


def numbered(
    annotations: CocoAnnotations,
    truths: Sequence[Annotation],
    records: Sequence[CocoRecord],
    with_masks: bool,
) -> Instances:
    """Bring ground truth and results into one form, with ids that no library stumbles over.

    Args:
        annotations: The data set.
        truths: Those of its annotations that count.
        records: Results, of images of the data set.
        with_masks: Whether masks are compared: all of them have one.

    Raises:
        InputError: A segmentation of the ground truth is malformed.
    """
    ranks = _image_ranks(annotations)
    images = _sized_images(annotations, records)
    return Instances(
        _truth_groups(truths, images, ranks, with_masks),
        _detection_groups(records, ranks),
        {ranks[key]: image for key, image in images.items()},
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
