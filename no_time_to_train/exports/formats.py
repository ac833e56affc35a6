"""The formats of `predict --export`.

An entry is a class in EXPORTS, found by its name.
"""

from __future__ import annotations

from collections.abc import Callable

from no_time_to_train.exports.coco_dataset import CocoExport
from no_time_to_train.exports.exporter import Exporter, ExportTarget
from no_time_to_train.exports.labelme import LabelmeExport
from no_time_to_train.exports.yolo import YoloExport

EXPORTS: dict[str, Callable[[ExportTarget], Exporter]] = {
    "coco": CocoExport,
    "labelme": LabelmeExport,
    "yolo": YoloExport,
}
"""By the name that the user gives; each goes to a folder of this name."""
