"""Draw sampled references, so that a person can look them over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.annotations import (
    Annotation,
    CocoAnnotations,
    ImageInfo,
    rasterise,
)
from no_time_to_train.dataset.image_files import existing_paths
from no_time_to_train.dataset.images import read_entry
from no_time_to_train.dataset.reference_set import ReferencePick


@dataclass(frozen=True)
class PlannedPicture:
    """A reference and where its picture goes."""

    annotation: Annotation
    image: ImageInfo
    class_name: str
    source: Path
    target: Path


def plan_pictures(
    annotations: CocoAnnotations,
    references: Mapping[int, Sequence[ReferencePick]],
    images_root: Path,
    out_dir: Path,
) -> list[PlannedPicture]:
    """One picture per reference, named `<category id>_<class name>_<position>.jpg`.

    Returns:
        In the order of the references; nothing is written yet.

    Raises:
        InputError: An image is missing.
    """
    names = {category.id: category.name for category in annotations.categories}
    found = {(entry.image_id, entry.id): entry for entry in annotations.annotations}
    picks = [
        (found[pick.img_id, pick.ann_ids[0]], position)
        for group in references.values()
        for position, pick in enumerate(group)
    ]
    images = [annotations.images[annotation.image_id] for annotation, _ in picks]
    sources = existing_paths(images_root, "--img-dir", images)
    plan = []
    for (annotation, position), image, source in zip(picks, images, sources, strict=True):
        name = names[annotation.category_id]
        stem = re.sub(r"[^\w.-]+", "_", f"{annotation.category_id}_{name}_{position}")
        plan.append(PlannedPicture(annotation, image, name, source, out_dir / f"{stem}.jpg"))
    return plan


def read_instance(
    reference: PlannedPicture,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """The image of a reference and its mask, which is empty where the json has a box alone.

    Returns:
        (H, W, 3) RGB and (H, W).

    Raises:
        InputError: The image is damaged.
    """
    annotation = reference.annotation
    picture, image = read_entry(reference.image, reference.source)
    mask = np.zeros((picture.height, picture.width), dtype=bool)
    if annotation.segmentation is not None:
        mask = rasterise(annotation, image)
    return np.array(picture), mask
