"""CD-FSOD in little: the six data sets with their classes, one coloured shape a class."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from no_time_to_train.dataset.class_splits import class_names

SIDE = 96
"""Of every image, in pixels."""
FOLDERS = {"NEU-DET": "NEUDET"}
"""Data sets whose folder has another name."""
SUBFOLDERS = {"DIOR": {"train": "new_train", "test": "new_test"}}
"""Folders of images that have them one level further down."""
Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""
LARGE: Box = (20, 22, 72, 74)
PAIR: tuple[Box, Box] = ((8, 10, 46, 50), (50, 44, 90, 88))


def write(root: Path, name: str, shots: Sequence[int] = (1, 5, 10), targets: int = 3) -> None:
    """Lay out one data set: train/, test/, annotations/{<k>_shot,test}.json, of boxes alone.

    Test image n shows the classes n and n + 1.

    Args:
        root: The folder of all data sets.
        name: As papers write it; see FOLDERS and SUBFOLDERS.
        shots: Numbers of references that there are files for.
        targets: Test images.
    """
    folder = root / FOLDERS.get(name, name)
    names = class_names(name)
    (folder / "annotations").mkdir(parents=True)
    for number in shots:
        pictures = [[(position, LARGE)] for position in range(len(names)) for _ in range(number)]
        _write_part(folder, name, "train", f"{number}_shot", pictures)
    pairs = [
        [((first + n) % len(names), box) for n, box in enumerate(PAIR)] for first in range(targets)
    ]
    _write_part(folder, name, "test", "test", pairs)


def _write_part(
    folder: Path, name: str, part: str, json_name: str, pictures: Sequence[list[tuple[int, Box]]]
) -> None:
    images, annotations = [], []
    image_folder = folder / part / SUBFOLDERS.get(name, {}).get(part, "")
    image_folder.mkdir(parents=True, exist_ok=True)
    for image_id, shapes in enumerate(pictures, start=1):
        file_name = f"{json_name}_{image_id}.jpg"
        images.append({"id": image_id, "file_name": file_name, "height": SIDE, "width": SIDE})
        _drawn(shapes, image_id).save(image_folder / file_name, quality=95, subsampling=0)
        for position, box in shapes:
            annotations.append(_entry(len(annotations) + 1, image_id, position, box))
    categories = [{"id": 1 + n, "name": each} for n, each in enumerate(class_names(name))]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations" / f"{json_name}.json").write_text(json.dumps(content))


def _entry(number: int, image_id: int, position: int, box: Box) -> dict[str, Any]:
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    return {
        "id": number,
        "image_id": image_id,
        "category_id": 1 + position,
        "bbox": [left, top, width, height],
        "area": width * height,
        "iscrowd": 0,
    }


def _drawn(shapes: Sequence[tuple[int, Box]], seed: int) -> Image.Image:
    """The shapes on grey noise; number of corners and colour tell the class."""
    noise = np.random.default_rng(seed).integers(100, 140, (SIDE, SIDE, 1), dtype=np.uint8)
    picture = Image.fromarray(np.repeat(noise, 3, axis=2))
    draw = ImageDraw.Draw(picture)
    for position, (left, top, right, bottom) in shapes:
        centre, radius = ((left + right) / 2, (top + bottom) / 2), (right - left) / 2
        colour = f"hsl({position * 67 % 360}, 80%, {40 + 15 * (position % 3)}%)"
        draw.regular_polygon((centre, radius), 3 + position % 5, fill=colour)
    return picture
