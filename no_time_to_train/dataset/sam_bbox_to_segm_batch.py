"""Give every annotation of a COCO json the mask that SAM draws in its box.

    python no_time_to_train/dataset/sam_bbox_to_segm_batch.py --input_json references.json \
        --image_dir images --sam_checkpoint checkpoints/sam2_hiera_large.pt

Writes references_with_segm.json beside the input: the same file with polygons and areas. The
checkpoint is one of SAM 2 or, with the segment-anything package installed, one of the first SAM.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from no_time_to_train.coco.annotations import Category, CocoAnnotations, Id, ImageInfo
from no_time_to_train.coco.boxes import pixel_corners, xywh_to_xyxy
from no_time_to_train.coco.polygons import box_polygon, outer_polygons
from no_time_to_train.config import Orientation, Sam2Name
from no_time_to_train.dataset.script_entry import positive_int, run_script
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.output_checks import Paths, prepare_outputs
from no_time_to_train.signs_of_life import told

if TYPE_CHECKING:
    from torch import Tensor

    from no_time_to_train.dataset.box_segmenters import BoxSegmenter

SAM1_TYPES = ("vit_h", "vit_l", "vit_b")
SAM2_TYPES = tuple(name.removesuffix(".yaml") for name in get_args(Sam2Name))

logger = logging.getLogger(__name__)

Entry = dict[str, Any]  # an annotation, as in the json
Mask = npt.NDArray[np.bool_]  # (H, W)


@dataclass(frozen=True)
class BoxedImage:
    """An image and the boxes in it."""

    info: ImageInfo
    path: Path
    entries: list[Entry]
    """Its annotations, one or more; `complete` fills them in."""


@dataclass(frozen=True)
class Job:
    """What there is to segment, checked."""

    document: dict[str, Any]
    """The json with all its fields; the entries of `images` are parts of it."""
    categories: list[Category]
    images: list[BoxedImage]
    """Those with annotations."""


def read_job(input_json: Path, image_dir: Path) -> Job:
    """Read the json and look for its images.

    Raises:
        InputError: The json is missing or damaged, or images are missing.
    """
    from no_time_to_train.dataset.image_files import existing_paths

    annotations = CocoAnnotations.read(input_json)
    document = json.loads(input_json.read_text(encoding="utf-8-sig"))
    grouped: defaultdict[Id, list[Entry]] = defaultdict(list)
    for entry in document["annotations"]:
        grouped[entry["image_id"]].append(entry)
    infos = [annotations.images[image_id] for image_id in grouped]
    paths = existing_paths(image_dir, "--image_dir", infos)
    images = [
        BoxedImage(info, path, entries)
        for info, path, entries in zip(infos, paths, grouped.values(), strict=True)
    ]
    return Job(document, annotations.categories, images)


def load_segmenter(
    checkpoint: Path, model_type: str, device_name: str, batch_size: int
) -> BoxSegmenter:
    """Build the model that a checkpoint belongs to; its content decides between SAM 2 and SAM.

    Args:
        checkpoint: Official weights of either.
        model_type: Size of the first SAM, or SAM 2 preset; weights of SAM 2 tell their preset.
        device_name: As torch names devices.
        batch_size: Boxes decoded at once.

    Raises:
        InputError: The checkpoint is missing, damaged, or of another model.
    """
    from no_time_to_train.dataset.box_segmenters import (
        Sam2Boxes,
        load_sam1,
        read_checkpoint,
        usable_device,
    )
    from no_time_to_train.proposers.sam2_network import draw_boxes, encode_images
    from sam2 import build_sam2, identify_preset

    device = usable_device(device_name)
    content = read_checkpoint(checkpoint)
    preset = model_type if model_type in SAM2_TYPES else identify_preset(content)
    if preset is None:
        return load_sam1(checkpoint, content, model_type, device, batch_size)
    logger.info("%s: weights of SAM 2, %s; --model_type is not needed", checkpoint, preset)
    try:
        network = build_sam2(preset, checkpoint).to(device)
    except ValueError as error:
        raise InputError(f"--sam_checkpoint {checkpoint}: {error}") from None

    def draw(image: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        features = encode_images(network, image.to(device))
        return draw_boxes(network, features, boxes, size, batch_size)

    return Sam2Boxes(draw, network.image_size, batch_size)


def complete_images(
    job: Job,
    segment: BoxSegmenter,
    picture_dir: Path | None,
    orientation: Orientation = "auto",
) -> None:
    """Give all annotations their masks, image by image.

    Args:
        job: Its document is completed in place.
        segment: Draws the masks.
        picture_dir: Where a picture of each image with its masks is written, if at all.
        orientation: Of images with an EXIF orientation, as in the settings of the data sets.

    Raises:
        InputError: An image is damaged, or has another size than the json says.
    """
    from no_time_to_train.dataset.images import read_entry

    for boxed in told(job.images, "images"):
        image, _ = read_entry(boxed.info, boxed.path, orientation)
        columns = np.array([entry["bbox"] for entry in boxed.entries], np.float32).T
        masks = segment(image, np.stack(xywh_to_xyxy(columns), axis=1))
        for entry, mask in zip(boxed.entries, masks, strict=True):
            complete(entry, mask)
        if picture_dir:
            _save_picture(picture_dir, np.array(image), boxed, masks, job.categories)


def complete(entry: Entry, mask: Mask) -> None:
    """Write a mask into an annotation: polygons, and the area in pixels.

    A mask too thin for a polygon is replaced by the annotation's box.
    """
    entry["segmentation"] = outer_polygons(mask)
    entry["area"] = int(mask.sum())
    if not entry["segmentation"]:
        logger.warning(
            "annotation %r of image %r: SAM finds nothing in the box %s, so the box is its mask",
            entry["id"],
            entry["image_id"],
            entry["bbox"],
        )
        entry["segmentation"] = [box_polygon(*entry["bbox"])]
        entry["area"] = entry["bbox"][2] * entry["bbox"][3]


def _picture_paths(folder: Path, job: Job) -> list[Path]:
    from no_time_to_train.coco.annotations import image_path

    return [image_path(folder, boxed.info.file_name) for boxed in job.images]


def _save_picture(
    folder: Path,
    image: npt.NDArray[np.uint8],
    boxed: BoxedImage,
    masks: npt.NDArray[np.bool_],
    categories: Sequence[Category],
) -> None:
    from no_time_to_train.visualization.predictions import (
        Instance,
        draw_instances,
        picture_path,
        save_picture,
    )

    class_index = {category.id: index for index, category in enumerate(categories)}
    instances = []
    for entry, mask in zip(boxed.entries, masks, strict=True):
        box = pixel_corners(entry["bbox"])
        instances.append(Instance(mask, box, class_index[entry["category_id"]]))
    drawn = draw_instances(image, instances, [category.name for category in categories])
    save_picture(picture_path(folder, boxed.info.file_name), drawn)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: see the options."""
    options = _parser().parse_args(arguments)
    source: Path = options.input_json
    target = source.with_name(f"{source.stem}_with_segm.json")
    outputs: dict[str, Paths] = {"the result": target}
    inputs: dict[str, Paths] = {
        "--input_json": source,
        "--sam_checkpoint": options.sam_checkpoint,
    }
    prepare_outputs(outputs, inputs)
    job = read_job(source, options.image_dir)
    pictures = source.with_name(f"{source.stem}_with_SAM_segm") if options.visualize else None
    outputs["the picture"] = _picture_paths(pictures, job) if pictures else []
    prepare_outputs(outputs, inputs | {"the image": [boxed.path for boxed in job.images]})
    segment = load_segmenter(
        options.sam_checkpoint, options.model_type, options.device, options.batch_size
    )
    with atomic_write(target) as file:
        complete_images(job, segment, pictures, options.orientation)
        file.write(json.dumps(job.document))
    logger.info("%s: %d annotations with masks", target, len(job.document["annotations"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--input_json", type=Path, required=True, help="boxes, in COCO format")
    parser.add_argument(
        "--image_dir", type=Path, required=True, help="the folder that file_name starts from"
    )
    parser.add_argument(
        "--sam_checkpoint", type=Path, required=True, help="official weights of SAM 2 or SAM"
    )
    parser.add_argument(
        "--model_type",
        choices=(*SAM1_TYPES, *SAM2_TYPES),
        default="vit_h",
        help="needed for the first SAM (default vit_h); SAM 2 weights tell their size themselves",
    )
    parser.add_argument("--device", default="cuda", help="cuda (the default), cuda:1, cpu, ...")
    parser.add_argument(
        "--batch_size", type=positive_int, default=8, help="boxes decoded at once (default 8)"
    )
    parser.add_argument(
        "--orientation",
        choices=get_args(Orientation),
        default="auto",
        help="photographs with an EXIF orientation: shown as viewers turn them, stored, or auto "
        "(the default), which is shown, but stored where that alone has the json's size",
    )
    parser.add_argument(
        "--visualize", action="store_true", help="write pictures to <input>_with_SAM_segm/"
    )
    return parser


if __name__ == "__main__":
    run_script(main)
