"""Make a small custom data set out of COCO: one reference each of bird and boat, and ten targets.

    python scripts/make_custom_dataset.py

Reads coco/annotations/instances_train2017.json in the folder of data sets (./data, or where
DATASETS_ROOT points) and writes my_custom_dataset/ there. Images come from coco/train2017 where
they are on disk, else from the COCO server. References have boxes only, as people draw them;
sam_bbox_to_segm_batch.py adds masks.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote
from urllib.request import urlopen

import numpy as np

from no_time_to_train.coco.annotations import (
    Annotation,
    Category,
    CocoAnnotations,
    ImageInfo,
    image_path,
)
from no_time_to_train.coco.boxes import pixel_corners
from no_time_to_train.dataset.benchmarks import data_root
from no_time_to_train.dataset.images import read_entry
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.output_checks import Paths, prepare_outputs
from no_time_to_train.visualization.predictions import Instance, draw_instances, save_picture

REFERENCES = {"bird": 429819, "boat": 101435}
"""Class -> image that shows it."""
TARGETS = (98636, 361948, 456065, 42279, 517410, 439274, 407180, 459673, 481301, 460598)
# images.cocodataset.org itself shows the certificate of another host; this is the same storage.
SERVER = "https://s3.amazonaws.com/images.cocodataset.org/train2017"
TIMEOUT = 60  # seconds without a byte

logger = logging.getLogger(__name__)


def read_coco(path: Path) -> CocoAnnotations:
    """Read the training set and make sure that it is the one meant.

    Raises:
        InputError: It is missing, or lacks one of the images or classes.
    """
    if not path.is_file():
        raise InputError(
            f"there is no {path}; unpack COCO's annotations_trainval2017.zip there, or set "
            "DATASETS_ROOT to the folder that coco/ is in"
        )
    coco = CocoAnnotations.read(path)
    absent = [str(key) for key in (*REFERENCES.values(), *TARGETS) if key not in coco.images]
    absent += sorted(set(REFERENCES) - {category.name for category in coco.categories})
    if absent:
        raise InputError(f"{path} has no {', '.join(absent)}; it must be the one of COCO train2017")
    return coco


def reference_annotation(coco: CocoAnnotations, category: Category) -> Annotation:
    """The largest instance of a class in its reference image; crowds are no instances.

    Only one, since every annotation of the references becomes a shot.

    Raises:
        InputError: There is none.
    """
    image_id = REFERENCES[category.name]
    candidates = [
        annotation
        for annotation in coco.of_image(image_id)
        if annotation.category_id == category.id and not annotation.iscrowd
    ]
    if not candidates:
        raise InputError(
            f"{coco.path}: image {image_id} has no {category.name}; it must be the json of COCO "
            "train2017"
        )
    return max(candidates, key=lambda annotation: annotation.bbox[2] * annotation.bbox[3])


def fetch_image(image: ImageInfo, source_dir: Path, target_dir: Path) -> None:
    """Copy or download an image, unless it is there already.

    Raises:
        InputError: It cannot be had, something else comes in its place, or its name leads out of
            the folders.
    """
    target = image_path(target_dir, image.file_name)
    source = image_path(source_dir, image.file_name)
    if target.is_file():
        return
    on_disk = source.is_file()
    content = _read(source) if on_disk else _download(image.file_name, target_dir)
    with atomic_write(target, "wb") as file:
        file.write(content)
        file.flush()
        try:
            read_entry(image, file.name)
        except InputError:
            origin = source if on_disk else _address(image.file_name)
            raise InputError(f"{origin} is not the image that COCO has; replace it") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); replace the file") from None


def _address(file_name: str) -> str:
    return f"{SERVER}/{quote(file_name)}"


def _download(file_name: str, target_dir: Path) -> bytes:
    url = _address(file_name)
    logger.info("downloading %s", url)
    try:
        with urlopen(url, timeout=TIMEOUT) as response:
            content: bytes = response.read()  # fails if it is shorter than announced
    except (OSError, HTTPException) as error:
        raise InputError(
            f"{url} cannot be downloaded ({error}); put {file_name} of COCO train2017 into "
            f"{target_dir} by other means and run this again"
        ) from None
    return content


def write_coco(
    path: Path,
    images: Sequence[ImageInfo],
    annotations: Sequence[Annotation],
    categories: Sequence[Category],
) -> None:
    """Write a COCO json; annotations without a segmentation have no such field."""
    entries = [asdict(annotation) for annotation in annotations]
    for entry in entries:
        del entry["isimpossible"]
        if entry["segmentation"] is None:
            del entry["segmentation"]
    document = {
        "images": [asdict(image) for image in images],
        "annotations": entries,
        "categories": [{"id": each.id, "name": each.name} for each in categories],
    }
    with atomic_write(path) as file:
        file.write(json.dumps(document))


def draw_reference(
    image: ImageInfo, image_dir: Path, annotation: Annotation, name: str, target: Path
) -> None:
    """Write a picture of a reference with its box."""
    pixels = np.array(read_entry(image, image_dir / image.file_name)[0])
    box = pixel_corners(annotation.bbox)
    no_mask = np.zeros(pixels.shape[:2], dtype=bool)
    save_picture(target, draw_instances(pixels, [Instance(no_mask, box, 0)], [name]))


def make_data_set(coco: CocoAnnotations, source_dir: Path, folder: Path) -> None:
    """Fetch the images, then write both json files and the pictures of the references.

    Args:
        coco: The training set.
        source_dir: Where its images are, those that are on disk.
        folder: Of the new data set.

    Raises:
        InputError: Something is missing; what has been written by then is whole.
    """
    categories = sorted(
        (category for category in coco.categories if category.name in REFERENCES),
        key=lambda category: category.id,
    )
    references = {category.name: reference_annotation(coco, category) for category in categories}
    reference_images = [coco.images[key] for key in REFERENCES.values()]
    target_images = [coco.images[key] for key in TARGETS]
    images = (*reference_images, *target_images)
    pictures = folder / "annotations" / "references_visualisations"
    outputs: dict[str, Paths] = {
        "the references": folder / "annotations" / "custom_references.json",
        "the targets": folder / "annotations" / "custom_targets.json",
        "the picture": [pictures / f"{name}_1.jpg" for name in references],
    }
    sources = [image_path(source_dir, image.file_name) for image in images]
    prepare_outputs(outputs, {"the annotations": coco.path, "the image": sources})
    for image in images:
        fetch_image(image, source_dir, folder / "images")

    wanted = {category.id for category in categories}
    truths = [a for key in TARGETS for a in coco.of_image(key) if a.category_id in wanted]
    boxes = [replace(references[name], segmentation=None) for name in REFERENCES]
    annotations = folder / "annotations"
    for name, annotation in references.items():
        image = coco.images[annotation.image_id]
        draw_reference(image, folder / "images", annotation, name, pictures / f"{name}_1.jpg")
    write_coco(annotations / "custom_references.json", reference_images, boxes, categories)
    write_coco(annotations / "custom_targets.json", target_images, truths, categories)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(arguments)
    coco_dir, folder = data_root() / "coco", data_root() / "my_custom_dataset"
    coco = read_coco(coco_dir / "annotations" / "instances_train2017.json")
    make_data_set(coco, coco_dir / "train2017", folder)
    logger.info("%s: %d references, %d targets", folder, len(REFERENCES), len(TARGETS))


if __name__ == "__main__":
    run_script(main)
