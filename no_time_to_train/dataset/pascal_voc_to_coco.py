"""Turn Pascal VOC's XML into COCO json.

    python no_time_to_train/dataset/pascal_voc_to_coco.py data/pascal_voc/VOCdevkit \
        --out-dir data/pascal_voc/annotations --out-format coco

Writes voc07, voc12 and, of both years, voc0712: <set>_train.json, _val, _trainval, and voc07_test,
as far as the devkit has their lists. Ids of images and categories begin at 0, as in the published
files. Those of annotations begin at 1, there at 0, which COCOeval takes for "not matched":
reference sets made from a published file need that file.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from no_time_to_train.dataset.pascal_voc import (
    CLASSES,
    VocImage,
    VocObject,
    image_set,
    read_annotation,
    years_of,
)
from no_time_to_train.dataset.script_entry import run_script
from no_time_to_train.errors import InputError
from no_time_to_train.files import atomic_write
from no_time_to_train.output_checks import prepare_outputs

SPLITS = ("train", "val", "trainval")

logger = logging.getLogger(__name__)


def to_coco(images: Iterable[VocImage], flat: bool = False) -> dict[str, Any]:
    """A COCO document of these images, in their order.

    Args:
        images: From the devkit.
        flat: Whether file names lose their folder, for a folder that holds all images.
    """
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images):
        name = PurePosixPath(image.file_name).name if flat else image.file_name
        size = {"height": image.height, "width": image.width}
        entries.append({"file_name": name, "id": image_id, **size})
        # Stable: within each kind, objects keep the order of the XML.
        for found in sorted(image.objects, key=lambda each: each.difficult):
            annotations.append(_annotation(found, image_id, len(annotations) + 1))
    return {
        "images": entries,
        "type": "instance",
        "categories": [
            {"supercategory": "none", "id": number, "name": name}
            for number, name in enumerate(CLASSES)
        ],
        "annotations": annotations,
    }


def _annotation(found: VocObject, image_id: int, number: int) -> dict[str, Any]:
    left, top, width, height = found.bbox
    right, bottom = left + width, top + height
    return {
        "segmentation": [[left, top, left, bottom, right, bottom, right, top]],
        "area": width * height,
        "ignore": 0,
        "iscrowd": int(found.difficult),
        "image_id": image_id,
        "bbox": found.bbox,
        "category_id": found.category_id,
        "id": number,
    }


def image_sets(devkit: Path) -> dict[str, list[tuple[str, str]]]:
    """The sets that the devkit has the lists of, such as voc0712_trainval.

    Returns:
        Name -> (year, name) of each image, 2007 first.

    Raises:
        InputError: There is no year, or no list.
    """
    years = years_of(devkit)
    wanted = [([year], split) for year in years for split in (*SPLITS, "test")]
    wanted += [(years, split) for split in SPLITS] if len(years) > 1 else []
    sets = {}
    for together, split in wanted:
        name = f"voc{''.join(year[2:] for year in together)}_{split}"
        lists = {year: image_set(devkit, year, split) for year in together}
        missing = [f"VOC{year}/ImageSets/Main/{split}.txt" for year in lists if lists[year] is None]
        if missing:
            logger.info("%s is not written: there is no %s", name, " and no ".join(missing))
        else:
            sets[name] = [(year, each) for year in lists for each in lists[year] or ()]
    if not sets:
        raise InputError(f"{devkit} has no list of images; unpack the archives of Pascal VOC again")
    return sets


def _read(devkit: Path, sets: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, list[VocImage]]:
    """All images, each file once."""
    read = cache(lambda year, name: read_annotation(devkit, year, name))
    images = {name: [read(*key) for key in keys] for name, keys in sets.items()}
    rounded = {image.file_name: image.rounded for group in images.values() for image in group}
    if count := sum(rounded.values()):
        first = next(name for name, number in rounded.items() if number)
        logger.info(
            "%d coordinates are no whole numbers and are rounded, halves away from zero; the first "
            "belongs to %s",
            count,
            first,
        )
    return images


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line; see --help."""
    options = _parser().parse_args(arguments)
    if options.out_format == "pkl":
        raise InputError(
            "--out-format pkl (the lists of OpenMMLab) is read by nothing here and not written; "
            "give --out-format coco"
        )
    sets = image_sets(options.devkit)
    folder = options.out_dir or options.devkit
    paths = {name: folder / f"{name}.json" for name in sets}
    prepare_outputs({"--out-dir": list(paths.values())}, {})
    for name, images in _read(options.devkit, sets).items():
        document = to_coco(images, options.flat)
        with atomic_write(paths[name]) as file:
            file.write(json.dumps(document))
        logger.info(
            "%s: %d images, %d objects", paths[name], len(images), len(document["annotations"])
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("devkit", type=Path, metavar="DEVKIT", help="the folder of VOC2007 and VOC2012")
    add("-o", "--out-dir", type=Path, help="folder of the json files (default: DEVKIT)")
    add("--out-format", choices=("coco", "pkl"), default="coco", help="coco (the default)")
    add("--flat", action="store_true", help="file names without folders, for allimages/")
    return parser


if __name__ == "__main__":
    run_script(main)
