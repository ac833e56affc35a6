"""A data set in COCO format, ready for training: the pictures where they are, masks as polygons."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from no_time_to_train.coco.polygons import piece_polygons
from no_time_to_train.exports.coco_document import write_coco
from no_time_to_train.exports.exporter import ExportTarget
from no_time_to_train.exports.picture_results import FoundInstance, PictureResult


class CocoExport:
    """`FOLDER/annotations/instances.json`; file names are relative to the folder of the pictures.

    Without links to them: some readers refuse pictures that lie elsewhere.
    """

    def __init__(self, target: ExportTarget) -> None:
        self._target = target

    def write_picture(self, result: PictureResult, output: str, source: Path) -> None:
        """Nothing: there is one file of the whole set."""

    def finish(self, results: Iterable[PictureResult]) -> None:
        """Write the json."""
        path = self._target.folder / "annotations" / "instances.json"
        write_coco(path, results, self._target.class_names, polygons)


def polygons(instance: FoundInstance) -> Any:
    """The mask as polygons, which trainers take for objects; run lengths some take for crowds."""
    return piece_polygons(instance.mask)
