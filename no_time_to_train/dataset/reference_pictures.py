"""Draw sampled references, so that a person can look them over."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from no_time_to_train.dataset.annotations import (
    Annotation,
    CocoAnnotations,
    ImageInfo,
    rasterise,
)
from no_time_to_train.dataset.images import existing_paths, read_entry
from no_time_to_train.dataset.reference_set import ReferencePick
from no_time_to_train.visualization.predictions import Instance, draw_instances, save_picture


def write_reference_pictures(
    annotations: CocoAnnotations,
    references: Mapping[int, Sequence[ReferencePick]],
    images_root: Path,
    out_dir: Path,
) -> list[Path]:
    """Write one picture per reference, the instance outlined.

    Returns:
        The pictures, `<category id>_<class name>_<position>.jpg`, in the order of the references.

    Raises:
        InputError: An image is missing or damaged.
    """
    names = {category.id: category.name for category in annotations.categories}
    found = {(entry.image_id, entry.id): entry for entry in annotations.annotations}
    picks = [
        (found[pick.img_id, pick.ann_ids[0]], position)
        for group in references.values()
        for position, pick in enumerate(group)
    ]
    images = [annotations.images[annotation.image_id] for annotation, _ in picks]
    paths = existing_paths(images_root, "--img-dir", images)
    written = []
    for (annotation, position), image, path in zip(picks, images, paths, strict=True):
        name = names[annotation.category_id]
        stem = re.sub(r"[^\w.-]+", "_", f"{annotation.category_id}_{name}_{position}")
        outlined = _outlined(annotation, image, path, name)
        written.append(save_picture(out_dir / f"{stem}.jpg", outlined))
    return written


def _outlined(
    annotation: Annotation, image: ImageInfo, path: Path, name: str
) -> npt.NDArray[np.uint8]:
    """The image with its instance drawn over it, (H, W, 3); without a mask the box alone."""
    picture, image = read_entry(image, path)
    mask = np.zeros((picture.height, picture.width), dtype=bool)
    if annotation.segmentation is not None:
        mask = rasterise(annotation, image)
    x, y, w, h = annotation.bbox
    instance = Instance(mask, box=(x, y, x + w - 1, y + h - 1), label=0)
    return draw_instances(np.array(picture), [instance], [name])
