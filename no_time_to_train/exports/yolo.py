"""A data set for YOLO: polygons in text files, beside links to the pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from no_time_to_train.coco.polygons import one_polygon, piece_polygons
from no_time_to_train.exports.exporter import ExportTarget
from no_time_to_train.exports.picture_links import provide_picture
from no_time_to_train.exports.picture_results import FoundInstance, PictureResult
from no_time_to_train.files import atomic_write


class YoloExport:
    """`FOLDER/images/a/b.jpg`, a link, `FOLDER/labels/a/b.txt`, and `FOLDER/data.yaml`.

    Links, for trainers look for the labels of `images/a/b.jpg` in `labels/a/b.txt`, in the same
    folder, and nothing is to be written among the pictures.
    """

    def __init__(self, target: ExportTarget) -> None:
        self._target = target

    def write_picture(self, result: PictureResult, output: str, source: Path) -> None:
        """Write the labels of a picture, and link it."""
        image = self._target.folder / "images" / f"{output}{Path(result.file_name).suffix}"
        provide_picture(source, image)
        with atomic_write(label_path(image), is_result=False) as file:
            for instance in result.instances:
                file.write(f"{label_line(instance, result)}\n")

    def finish(self, results: Iterable[PictureResult]) -> None:
        """Write data.yaml, with all pictures for training and for validation."""
        names = dict(enumerate(self._target.class_names))
        with atomic_write(self._target.folder / "data.yaml") as file:
            file.write(
                "# Paths are relative to this file. Validate on pictures of your own choice.\n"
            )
            file.write("train: images\nval: images\nnames:\n")
            # A string of json is one of YAML, whatever it holds.
            file.writelines(f"  {label}: {json.dumps(name)}\n" for label, name in names.items())


def label_path(image: Path) -> Path:
    """Where trainers look for the labels of a picture: in `labels` for the last `images`."""
    *folders, name = image.parts
    last = len(folders) - 1 - folders[::-1].index("images")
    return Path(*folders[:last], "labels", *folders[last + 1 :], name).with_suffix(".txt")


def label_line(instance: FoundInstance, result: PictureResult) -> str:
    """Class and outline of an instance, x and y as shares of the picture's width and height.

    The pieces of a mask are connected by slits: a line is an instance, and has one polygon.
    """
    polygon = one_polygon(piece_polygons(instance.mask))
    sizes = [result.width, result.height] * (len(polygon) // 2)
    numbers = (f"{value / size:.7g}" for value, size in zip(polygon, sizes, strict=True))
    return f"{instance.label} {' '.join(numbers)}"
