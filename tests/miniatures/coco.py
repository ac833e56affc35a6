"""A miniature COCO: official layout, categories and file names, a few small made-up pictures."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from no_time_to_train.dataset.class_splits import class_names

NAMES = class_names("default_classes")
GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
"""Category ids that COCO gave to classes of which it then annotated nothing."""
CATEGORY_IDS = dict(zip(NAMES, (i for i in range(1, 91) if i not in GAPS), strict=True))
WIDTH, HEIGHT = 96, 96
QUARTERS = ((32, 30), (62, 30), (32, 58), (62, 58))
"""Centres of the four objects of a val image, so near that neighbours overlap."""


def write(
    root: Path, shots: int = 1, targets: int = 2, references: Sequence[str] | None = None
) -> None:
    """Lay out `coco/annotations`, `coco/train2017` and `coco/val2017`.

    Val image n has one object of each of the classes n to n+3 by category id (hence of every
    fold of COCO-20i), which overlap, and a crowd of class n+4.

    Args:
        root: The folder of all data sets.
        shots: Train images per class, each with one valid reference and a neighbour that is none.
        targets: Val images, 76 at most.
        references: Classes that have train images; by default all 80.
    """
    _write_split(root / "coco", "train2017", _train_images(shots, references or NAMES))
    _write_split(root / "coco", "val2017", map(_val_objects, range(targets)))


def _train_images(shots: int, names: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    for name in names:
        position = NAMES.index(name)
        for shot in range(shots):
            # Wide and clear of the border: valid; the neighbour's sides are below 32 pixels.
            valid = _object(position, (44 + 2 * (shot % 5), 44), radius=22)
            yield [valid, _object((position + 1) % len(NAMES), (70, 70), radius=13)]


def _val_objects(first: int) -> list[dict[str, Any]]:
    objects = [_object(first + n, centre, radius=20) for n, centre in enumerate(QUARTERS)]
    return [*objects, _crowd(first + 4)]


def _object(position: int, centre: tuple[int, int], radius: int) -> dict[str, Any]:
    """A regular polygon whose corners and colour tell its class."""
    corners = 3 + position % 6
    angles = 2 * np.pi * np.arange(corners) / corners + position
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + centre  # (P, 2)
    outline = np.rint(points).astype(np.int32)
    mask = cv2.fillPoly(np.zeros((HEIGHT, WIDTH), np.uint8), [outline], 1)
    entry = _entry(position, mask)
    return entry | {"segmentation": [outline.ravel().tolist()], "iscrowd": 0}


def _crowd(position: int) -> dict[str, Any]:
    """A row of dots along the lower border, as uncompressed run lengths."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    for x in range(6, WIDTH, 12):
        cv2.circle(mask, (x, HEIGHT - 8), 4, 1, -1)
    columns = mask.T.ravel()
    borders = np.flatnonzero(np.diff(columns)) + 1
    counts = np.diff([0, *borders, columns.size]).tolist()
    rle = {"size": [HEIGHT, WIDTH], "counts": counts}
    return _entry(position, mask) | {"segmentation": rle, "iscrowd": 1}


def _entry(position: int, mask: NDArray[np.uint8]) -> dict[str, Any]:
    ys, xs = mask.nonzero()
    left, top = int(xs.min()), int(ys.min())
    return {
        "category_id": CATEGORY_IDS[NAMES[position]],
        "bbox": [left, top, int(xs.max()) + 1 - left, int(ys.max()) + 1 - top],
        "area": float(mask.sum()),
    }


def _write_split(coco: Path, split: str, pictures: Iterator[list[dict[str, Any]]]) -> None:
    (coco / split).mkdir(parents=True)
    images, annotations = [], []
    for image_id, objects in enumerate(pictures, start=1):
        name = f"{image_id:012d}.jpg"
        images.append({"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH})
        cv2.imwrite(str(coco / split / name), _draw(objects, image_id))
        for entry in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id} | entry)
    categories = [{"id": category_id, "name": name} for name, category_id in CATEGORY_IDS.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (coco / "annotations").mkdir(exist_ok=True)
    (coco / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))


def _draw(objects: list[dict[str, Any]], seed: int) -> NDArray[np.uint8]:
    """The objects on grey noise, later ones over earlier ones."""
    noise = np.random.default_rng(seed).integers(100, 140, (HEIGHT, WIDTH, 1), np.uint8)
    picture = np.repeat(noise, 3, axis=2)
    for entry in objects:
        colour = _colour(entry["category_id"])
        if entry["iscrowd"]:
            picture[_decoded(entry["segmentation"])] = colour
        else:
            outline = np.reshape(entry["segmentation"][0], (-1, 2))
            cv2.fillPoly(picture, [outline], colour)
    return picture


def _decoded(rle: dict[str, Any]) -> NDArray[np.bool_]:
    values = np.arange(len(rle["counts"])) % 2 == 1
    return np.repeat(values, rle["counts"]).reshape(WIDTH, HEIGHT).T


def _colour(category_id: int) -> tuple[int, int, int]:
    hue, value = category_id * 37 % 180, 255 - 90 * (category_id % 2)
    blue, green, red = cv2.cvtColor(np.array([[[hue, 230, value]]], np.uint8), cv2.COLOR_HSV2BGR)[
        0, 0
    ]
    return int(blue), int(green), int(red)
