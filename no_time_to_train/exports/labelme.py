"""Labelme json, one file a picture, for looking through and correcting by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from no_time_to_train.coco.polygons import EXACT_TOLERANCE, piece_polygons
from no_time_to_train.exports.exporter import ExportTarget
from no_time_to_train.exports.picture_results import FoundInstance, PictureResult
from no_time_to_train.files import atomic_write

VERSION = "6.3.1"
"""Of Labelme, that read these files."""
COARSE_TOLERANCE = 0.75
"""In pixels, for outlines with a fifth of the points: people drag them one by one."""
MIN_COARSE_AREA = 1000
"""Pixels of a mask; smaller ones have few points anyway."""


class LabelmeExport:
    """`FOLDER/a/b.json` for the picture `a/b.jpg`."""

    def __init__(self, target: ExportTarget) -> None:
        self._target = target

    def write_picture(self, result: PictureResult, output: str, source: Path) -> None:
        """Write the json of a picture."""
        path = self._target.folder / f"{output}.json"
        write_labelme(path, result, self._target.class_names, source)

    def finish(self, results: Iterable[PictureResult]) -> None:
        """Nothing: there is no file of the whole set."""


def write_labelme(
    path: Path, result: PictureResult, class_names: Sequence[str], source: Path
) -> None:
    """Write the json of one picture.

    Args:
        path: Of the json.
        result: What was found.
        class_names: By label.
        source: The picture, which the json points to by a relative path.

    Raises:
        InputError: The file cannot be written.
    """
    image = os.path.relpath(os.path.realpath(source), os.path.realpath(path.parent))
    with atomic_write(path, is_result=False) as file:
        json.dump(labelme_document(result, class_names, image), file, indent=2)
        file.write("\n")


def labelme_document(
    result: PictureResult, class_names: Sequence[str], image: str
) -> dict[str, Any]:
    """What Labelme reads: polygons, with the score in their description.

    Args:
        result: What was found.
        class_names: By label.
        image: Path of the picture, relative to the folder of the json.
    """
    return {
        "version": VERSION,
        "flags": {},
        "shapes": [
            shape
            for number, instance in enumerate(result.instances, start=1)
            for shape in _shapes(instance, class_names[instance.label], number)
        ],
        "imagePath": image,
        "imageData": None,
        "imageHeight": result.height,
        "imageWidth": result.width,
    }


def _shapes(instance: FoundInstance, name: str, number: int) -> Iterator[dict[str, Any]]:
    """One polygon per piece of the mask; pieces of an instance share a group."""
    coarse = instance.area >= MIN_COARSE_AREA
    polygons = piece_polygons(instance.mask, COARSE_TOLERANCE if coarse else EXACT_TOLERANCE)
    for polygon in polygons:
        yield {
            "label": name,
            "points": [list(point) for point in zip(polygon[::2], polygon[1::2], strict=True)],
            "group_id": number if len(polygons) > 1 else None,
            "description": f"score {instance.score:.4f}",
            "shape_type": "polygon",
            "flags": {},
            "mask": None,
        }
