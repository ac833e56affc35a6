"""Small COCO documents and image files for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SQUARE = [[10, 10, 20, 10, 20, 20, 10, 20]]
"""A polygon of 10 x 10 pixels, columns and rows 10 to 19."""


def annotation(number: int, image_id: int | str, category_id: int, **changes: Any) -> dict:
    entry = {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [10, 10, 10, 10],
        "segmentation": SQUARE,
        "area": 100,
        "iscrowd": 0,
    }
    return {**entry, **changes}


def image(number: int | str, file_name: str, height: int = 40, width: int = 60) -> dict:
    return {"id": number, "file_name": file_name, "height": height, "width": width}


def document(**changes: Any) -> dict:
    """Two images of 40 x 60 pixels; a bird (16) in the first, a boat (9) in each."""
    entry = {
        "images": [image(7, "a.png"), image(3, "b.png")],
        "annotations": [annotation(1, 7, 16), annotation(2, 7, 9), annotation(5, 3, 9)],
        "categories": [{"id": 16, "name": "bird"}, {"id": 9, "name": "boat"}],
    }
    return {**entry, **changes}


def write_json(folder: Path, content: Any, name: str = "coco.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_images(
    folder: Path, names: Sequence[str] = ("a.png", "b.png"), size: tuple[int, int] = (40, 60)
) -> Path:
    """Grey images of (height, width) pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.fromarray(np.full((*size, 3), 128, dtype=np.uint8)).save(folder / name)
    return folder
