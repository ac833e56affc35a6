"""Proposals of other systems: a COCO results list, checked against the images it is for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from no_time_to_train.coco import segmentation as coco_segmentation
from no_time_to_train.coco.boxes import xywh_to_xyxy
from no_time_to_train.coco.entries import Box, Detection, Id, ImageInfo, kind, parse_detection
from no_time_to_train.coco.json_text import load_json
from no_time_to_train.errors import InputError, naming
from no_time_to_train.files import check_regular_file
from no_time_to_train.structures import Target

logger = logging.getLogger(__name__)

Images = Mapping[Id, ImageInfo] | None
"""The images of a data set by id, where there is one."""


@dataclass(frozen=True)
class ProposalFile:
    """Class-agnostic boxes or masks with scores, by image."""

    path: Path
    has_masks: bool
    """Whether all entries have masks; else they are boxes."""
    by_image: dict[Id, list[Detection]] = field(repr=False)
    """In the order of the file; an empty list for an image of the data set without proposals."""

    def of_image(self, target: Target) -> list[Detection]:
        """The proposals for one image.

        Raises:
            InputError: The file does not know the image.
        """
        if target.image_id not in self.by_image:
            raise InputError(
                f"{self.path} has no proposals for image {target.image_id!r}; take proposals of "
                "the same data set, or the proposer point_grid"
            )
        return self.by_image[target.image_id]

    def scores(self, target: Target) -> Tensor:
        """(P,) float32."""
        return torch.tensor([each.score for each in self.of_image(target)], dtype=torch.float32)

    def boxes(self, target: Target) -> Tensor:
        """(P, 4) float32 xyxy in pixels, clipped to the image.

        Raises:
            InputError: A box lies outside of the image.
        """
        boxes = [
            clipped(each.bbox, target.original_size)
            for each in self.of_image(target)
            if each.bbox is not None
        ]
        return torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)

    def run_lengths(self, target: Target) -> list[dict[str, object]]:
        """One mask for each proposal, as compressed run lengths of the image's size.

        Raises:
            InputError: A mask has another size than the image.
        """
        try:
            return [
                coco_segmentation.to_rle(each.segmentation, *target.original_size)
                for each in self.of_image(target)
            ]
        except ValueError as error:
            raise InputError(
                f"{self.path}: a segmentation of image {target.image_id!r} {error}; make it again"
            ) from None


def read_proposals(path: Path, images: Images = None) -> ProposalFile:
    """Read a COCO results list; categories do not matter.

    Args:
        path: Of the json: [{"image_id", "score", "bbox" and/or "segmentation"}, ...]. Where an
            entry has both, its mask counts.
        images: Of the data set that they are for.

    Raises:
        InputError: The file is missing or damaged, or an entry is; one belongs to none of the
            images, or lies outside of its image; some entries have masks and some have none.
    """
    check_regular_file(path, "the list of proposals")
    with naming(f"model_cfg.proposer_cfg.file {path}"):
        entries = _entries(load_json(path))
        by_image: dict[Id, list[Detection]] = {image_id: [] for image_id in images or ()}
        for position, entry in enumerate(entries):
            try:
                detection = parse_detection(entry)
                if images is not None:
                    _check_place(detection, images)
            except (InputError, ValueError) as error:
                raise InputError(f"entry {position}: {error}; repair or remove it") from None
            by_image.setdefault(detection.image_id, []).append(detection)
        has_masks = _has_masks(by_image)
    _tell_of_images_without(path, by_image)
    return ProposalFile(path, has_masks, by_image)


def _entries(document: object) -> list[dict[str, object]]:
    if not isinstance(document, list):
        raise InputError(
            f"expected a list of proposals as in a COCO results file, got {kind(document)}"
        )
    if not document:
        raise InputError("the list of proposals is empty; give one for the images of the data set")
    for position, entry in enumerate(document):
        if not isinstance(entry, dict):
            raise InputError(f"entry {position} must be an object, got {kind(entry)}")
    return document


def _check_place(detection: Detection, images: Mapping[Id, ImageInfo]) -> None:
    """Compare an entry with its image.

    Raises:
        InputError: There is no such image, or its box lies outside.
        ValueError: Its segmentation is malformed.
    """
    image = images.get(detection.image_id)
    if image is None:
        raise InputError(f"there is no image {detection.image_id!r} in the data set")
    if detection.segmentation is not None:
        try:
            coco_segmentation.check(detection.segmentation, image.height, image.width)
        except ValueError as error:
            raise InputError(f"its segmentation {error}") from None
    elif detection.bbox is not None and image.height and image.width:
        clipped(detection.bbox, (image.height, image.width))


def clipped(bbox: Box, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of a box that lies inside the image, as corners.

    Args:
        bbox: [x, y, w, h] in pixels.
        size: (height, width) in pixels.

    Returns:
        (x1, y1, x2, y2).

    Raises:
        InputError: No part of it does.
    """
    left, top, right, bottom = xywh_to_xyxy(bbox)
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(right, size[1]), min(bottom, size[0])
    if x1 >= x2 or y1 >= y2:
        raise InputError(
            f"its box {[*bbox]} holds no part of its image of {size[1]} x {size[0]} pixels"
        )
    return x1, y1, x2, y2


def _has_masks(by_image: Mapping[Id, list[Detection]]) -> bool:
    masks = [each.segmentation is not None for listed in by_image.values() for each in listed]
    if any(masks) and not all(masks):
        raise InputError(
            f"{masks.count(False)} of {len(masks)} entries have no segmentation; give all of them "
            "one, or none"
        )
    return any(masks)


def _tell_of_images_without(path: Path, by_image: Mapping[Id, list[Detection]]) -> None:
    without = [image_id for image_id, listed in by_image.items() if not listed]
    if without:
        logger.warning(
            "%s has no proposals for %d of %d images, such as %r; nothing is found there",
            path,
            len(without),
            len(by_image),
            without[0],
        )


def sample_mask(mask: np.ndarray, side: int) -> np.ndarray:
    """Bring a mask to a square grid: each cell has the value at its centre.

    Args:
        mask: (H, W) bool with at least one pixel.
        side: Cells per side.

    Returns:
        (side, side) bool. A mask that falls between the centres has the cells that it touches.
    """
    height, width = mask.shape
    odd = 2 * np.arange(side) + 1
    sampled = mask[np.ix_(odd * height // (2 * side), odd * width // (2 * side))]
    if not sampled.any():
        rows, columns = mask.nonzero()
        sampled[rows * side // height, columns * side // width] = True
    return sampled
