"""From instances to label maps, one image after another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.annotations import (
    Annotation,
    CocoAnnotations,
    Id,
    ImageInfo,
    rasterise,
)
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.coco.segmentation import from_rle
from no_time_to_train.errors import InputError

LabelMap = npt.NDArray[np.intp]
"""(H, W), a label per pixel."""
Mask = npt.NDArray[np.bool_]
"""(H, W)."""


@dataclass(frozen=True)
class ImageInstances:
    """One image with what is there and what was found, of the wanted classes."""

    image: ImageInfo
    truths: Sequence[Annotation]
    """In the order of the file, crowds among them."""
    records: Sequence[CocoRecord]
    """Best first; of equal scores the one that the results list first."""

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        assert self.image.height is not None and self.image.width is not None
        return self.image.height, self.image.width

    def truth_masks(self, iscrowd: bool) -> Iterator[tuple[int, Mask]]:
        """Category id and mask of each instance, or of each crowd."""
        for truth in self.truths:
            if bool(truth.iscrowd) == iscrowd:
                yield truth.category_id, rasterise(truth, self.image)


def each_image(
    annotations: CocoAnnotations, category_ids: Sequence[int], records: Sequence[CocoRecord]
) -> Iterator[ImageInstances]:
    """Go through every image of the data set, also those without any instance.

    Args:
        annotations: The data set, whose sizes the results have.
        category_ids: The wanted classes.
        records: Results, in any order.

    Raises:
        InputError: The json does not give the size of an image.
    """
    wanted = set(category_ids)
    by_image: defaultdict[Id, list[CocoRecord]] = defaultdict(list)
    for record in records:
        if record["category_id"] in wanted:
            by_image[record["image_id"]].append(record)
    for image in annotations.images.values():
        _check_size(annotations, image)
        found = sorted(by_image[image.id], key=lambda record: record["score"], reverse=True)
        truths = [each for each in annotations.of_image(image.id) if each.category_id in wanted]
        yield ImageInstances(image, truths, found)


def found_mask(record: CocoRecord) -> Mask:
    """The mask of a result."""
    return from_rle(dict(record["segmentation"]))


def paint(size: tuple[int, int], layers: Iterable[tuple[int, Mask]]) -> LabelMap:
    """Paint masks over each other, later ones on top.

    Args:
        size: Height and width in pixels.
        layers: Label and mask, bottom first; 0 is what no mask covers.
    """
    labels = np.zeros(size, np.intp)
    for label, mask in layers:
        labels[mask] = label
    return labels


def _check_size(annotations: CocoAnnotations, image: ImageInfo) -> None:
    if image.height is None or image.width is None:
        raise InputError(
            f"{annotations.path} gives image {image.file_name} no height and width; add them"
        )
