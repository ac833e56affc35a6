"""Pictures of results: every image of a data set, ground truth left, predictions right.

Where no image has ground truth there are only predictions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from no_time_to_train.coco.annotations import CocoAnnotations, rasterise
from no_time_to_train.coco.boxes import pixel_corners, xywh_to_xyxy
from no_time_to_train.coco.entries import Annotation, Category, Id, ImageInfo
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.coco.segmentation import from_rle
from no_time_to_train.config import ColourBy, Orientation
from no_time_to_train.dataset.image_files import existing_paths
from no_time_to_train.dataset.images import read_entry
from no_time_to_train.signs_of_life import told
from no_time_to_train.visualization.captions import found_caption
from no_time_to_train.visualization.predictions import (
    Instance,
    RgbImage,
    compare,
    draw_instances,
    picture_path,
    save_picture,
    titled,
)

ClassIndex = Mapping[int, int]  # class index by category id


@dataclass(frozen=True)
class Style:
    """What is drawn of results, and how."""

    categories: Sequence[Category]
    """The wanted classes, by class index."""
    threshold: float
    """Results with a higher score are drawn."""
    colour_by: ColourBy = "class"
    """A colour per class or per instance."""
    with_truth: bool = True
    """Whether the ground truth has a pane of its own, left of the predictions."""

    @property
    def class_index(self) -> ClassIndex:
        """By category id."""
        return {category.id: index for index, category in enumerate(self.categories)}


def write_visualizations(
    annotations: CocoAnnotations,
    records: Sequence[CocoRecord],
    images_root: str | Path,
    out_dir: str | Path,
    style: Style,
    orientation: Orientation = "auto",
) -> list[Path]:
    """Write one picture per image of the data set.

    Args:
        annotations: The data set.
        records: Results, the best of each image first.
        images_root: Folder that `file_name` starts from.
        out_dir: Where the pictures go, each below it at its image's `file_name`; `.png` is added
            to names of formats that cannot hold the picture.
        style: What is drawn.
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
        found[record["image_id"]].append(record)
    written = []
    for image, source, target in told(list(zip(images, sources, targets, strict=True)), "pictures"):
        pixels, sized = read_entry(image, source, orientation)
        picture = _predictions_pane(np.array(pixels), found[image.id], style)
        if style.with_truth:
            truths = annotations.of_image(image.id)
            picture = compare(_truth_pane(np.array(pixels), sized, truths, style), picture)
        written.append(save_picture(target, picture))
    return written


def _truth_pane(
    pixels: RgbImage, image: ImageInfo, annotations: Sequence[Annotation], style: Style
) -> RgbImage:
    instances = list(_truths(annotations, image, style.class_index))
    return titled(_draw(pixels, instances, style), f"ground truth: {len(instances) or 'none'}")


def _predictions_pane(pixels: RgbImage, records: Sequence[CocoRecord], style: Style) -> RgbImage:
    scores = [record["score"] for record in records]
    shown = [record for record in records if record["score"] > style.threshold]
    instances = list(_predictions(shown, style.class_index))
    best = max(scores, default=None)
    caption = found_caption(len(shown), len(scores), best, style.threshold)
    return titled(_draw(pixels, instances, style), f"predictions: {caption}")


def _draw(pixels: RgbImage, instances: Sequence[Instance], style: Style) -> RgbImage:
    names = [category.name for category in style.categories]
    return draw_instances(pixels, instances, names, style.colour_by)


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
