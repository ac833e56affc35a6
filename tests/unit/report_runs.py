"""Folders of small runs for tests of their pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle_codec

HOSTILE = '<script>alert("1")</script>'
"""A name that breaks out of text, attributes and scripts where it is not escaped."""


def square(x: int, y: int = 10, side: int = 10) -> dict[str, Any]:
    """A mask in a picture of 40 x 60 pixels."""
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[y : y + side, x : x + side] = 1
    encoded = rle_codec.encode(np.asfortranarray(mask))
    return {"size": [40, 60], "counts": encoded["counts"].decode()}


def instance(number: int, image_id: int, score: float, x: int = 10, category: int = 1) -> dict:
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category,
        "bbox": [x, 10, 10, 10],
        "area": 100,
        "iscrowd": 0,
        "score": score,
        "segmentation": square(x),
    }


def write_predict_run(
    folder: Path,
    instances: Sequence[dict],
    names: Sequence[str],
    classes: Sequence[str],
    **run: Any,
) -> Path:
    """A folder as `predict` leaves it; pictures without a name that a file can have are not there.

    Args:
        folder: To be made.
        instances: Picture by picture.
        names: Of the pictures, whose ids count from 1.
        classes: Whose ids count from 1.
        run: Changes of run.json.
    """
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    for name in names:
        if "/" not in name:
            Image.fromarray(np.full((40, 60, 3), 128, np.uint8)).save(pictures / name, "PNG")
    images = [
        {"id": number, "file_name": name, "height": 40, "width": 60}
        for number, name in enumerate(names, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    content = {"categories": categories, "images": images, "annotations": list(instances)}
    (folder / "results.json").write_text(json.dumps(content))
    about = {
        "kind": "predict",
        "command": ["no-time-to-train", "predict"],
        "settings": {},
        "threshold": 0.5,
        "images_root": str(pictures),
        "bad_pictures": [],
        "classes": [{"name": name, "references": 2} for name in classes],
    }
    (folder / "run.json").write_text(json.dumps(about | run))
    return folder
