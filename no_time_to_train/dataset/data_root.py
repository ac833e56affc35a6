"""Where the public data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path


def data_root() -> Path:
    """The folder of all data sets: the environment variable DATASETS_ROOT, or ./data."""
    return Path(os.environ.get("DATASETS_ROOT") or "./data")


def training_json(split: str) -> Path:
    """The annotations that references of a class split are drawn from."""
    if split.startswith("lvis"):
        return data_root() / "lvis" / "lvis_v1_train.json"
    if split.startswith("pascal_voc"):
        return data_root() / "pascal_voc" / "annotations" / "voc0712_trainval_with_segm.json"
    return data_root() / "coco" / "annotations" / "instances_train2017.json"
