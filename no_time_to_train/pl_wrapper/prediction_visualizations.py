"""Pictures of results: every image of a data set, ground truth left, predictions right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from no_time_to_train.coco.annotations import CocoAnnotations, rasterise
from no_time_to_train.coco.boxes import pixel_corners, xywh_to_xyxy
from no_time_to_train.coco.entries import Annotation, Category, Id, ImageInfo
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.coco.segmentation import from_rle
from no_time_to_train.config import Orientation
from no_time_to_train.dataset.image_files import existing_paths
from no_time_to_train.dataset.images import read_entry
from no_time_to_train.visualization.predictions import (
    Instance,
    RgbImage,
    compare,
    draw_instances,
    picture_path,
    save_picture,
)

ClassIndex = Mapping[int, int]  # class index by category id


def write_visualizations(
    annotations: CocoAnnotations,
    categories: Sequence[Category],
    records: Sequence[CocoRecord],
    images_root: str | Path,
    out_dir: str | Path,
    threshold: float,
    orientation: Orientation = "auto",
) -> list[Path]:
    """Write one picture per image of the data set.

    Args:
        annotations: The data set.
        categories: The wanted classes, by class index.
        records: Results, the best of each image first.
        images_root: Folder that `file_name` starts from.
        out_dir: Where the pictures go, each below it at its image's `file_name`; `.png` is added
            to names of formats that cannot hold the picture.
        threshold: Results with a higher score are drawn.
        orientation: Of the images, as they were read for the results.

    Returns:
        The pictures, in the order of the data set.

    Raises:
        InputError: An image is missing, damaged, or of another size than the json says, or a name
            leaves its folder.
    """
    images = list(annotations.images.values())
    sources = existing_paths(images_root, "model_cfg.test.imgs_path", images)
    targets = [picture_path(out_dir, image.file_name) for image in images]
    found: defaultdict[Id, list[CocoRecord]] = defaultdict(list)
    for record in records:
        if record["score"] > threshold:
            found[record["image_id"]].append(record)
    written = []
    for image, source, target in zip(images, sources, targets, strict=True):
        pixels, sized = read_entry(image, source, orientation)
        truths = annotations.of_image(image.id)
        compared = _compared(np.array(pixels), sized, truths, found[image.id], categories)
        written.append(save_picture(target, compared))
    return written


def _compared(
    pixels: RgbImage,
    image: ImageInfo,
    annotations: Sequence[Annotation],
    records: Sequence[CocoRecord],
    categories: Sequence[Category],
) -> RgbImage:
    names = [category.name for category in categories]
    class_index = {category.id: index for index, category in enumerate(categories)}
    truths = list(_truths(annotations, image, class_index))
    predictions = list(_predictions(records, class_index))
    return compare(
        draw_instances(pixels, truths, names), draw_instances(pixels, predictions, names)
    )


def _truths(
    annotations: Sequence[Annotation], image: ImageInfo, class_index: ClassIndex
) -> Iterator[Instance]:
    """The annotations of wanted classes; those that are only boxes get an empty mask."""
    for annotation in annotations:
        if annotation.category_id in class_index:
            yield Instance(
                mask=_mask(annotation, image),
                box=pixel_corners(annotation.bbox),
                label=class_index[annotation.category_id],
            )


def _mask(annotation: Annotation, image: ImageInfo) -> NDArray[np.bool_]:
    if annotation.segmentation is None:
        return np.zeros((image.height or 0, image.width or 0), dtype=bool)
    return rasterise(annotation, image)


def _predictions(records: Sequence[CocoRecord], class_index: ClassIndex) -> Iterator[Instance]:
    for record in records:
        # Unlike an annotation's, a result's width is the last column minus the first.
        yield Instance(
            mask=from_rle({**record["segmentation"]}),
            box=xywh_to_xyxy(record["bbox"]),
            label=class_index[record["category_id"]],
            score=record["score"],
        )
