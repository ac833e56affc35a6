"""A made-up LVIS v1: all 1203 categories, eight pictures of 96 x 96 pixels.

As in the official files, images have `coco_url` and no `file_name`, annotations no `iscrowd`, and
images say which classes were looked for in vain and which are not annotated to the last instance.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from no_time_to_train.dataset.class_splits import class_names

SIDE = 96
URL = "http://images.cocodataset.org/{folder}/{number:012d}.jpg"
FREQUENCIES = {"r": "lvis_rare", "c": "lvis_common", "f": "lvis_frequent"}

Outline = Sequence[tuple[int, int]]
Shape = tuple[str, int, int, int]
"""Kind, column and row of its centre, and half its width, in pixels."""

COLOURS = {"disc": (40, 60, 220), "square": (210, 120, 30), "triangle": (60, 190, 60)}
"""Of each kind of thing, blue first."""

CLASSES = tuple(class_names("lvis_rare"))
"""Those that have annotations in the training set: the first is that of discs, the second that of
squares, the last has only one that no rule would choose, all others are triangles."""


def write(root: Path, classes: Sequence[str] = CLASSES) -> None:
    """Lay out lvis/original and coco/allimages.

    The pictures of val: a disc and a square, of which the disc is not annotated, and nobody has
    looked for discs; the same, annotated; two discs, of which one is annotated, where not all are
    said to be; a square where discs were looked for in vain. The first two are minival, without
    masks.

    Args:
        root: The folder of all data sets.
        classes: Names with an annotation in the training set, three or more.
    """
    folder = root / "lvis" / "original"
    folder.mkdir(parents=True)
    (root / "coco" / "allimages").mkdir(parents=True)
    ids = {name: number for number, name in enumerate(class_names("lvis"), start=1)}
    disc, square = ids[classes[0]], ids[classes[1]]
    _write_json(folder / "lvis_v1_train.json", _train(root, [ids[name] for name in classes]))
    val = _val(root, disc, square)
    _write_json(folder / "lvis_v1_val.json", val)
    _write_json(folder / "lvis_v1_minival_just_bbox.json", _minival(val))


def _train(root: Path, class_ids: Sequence[int]) -> dict[str, Any]:
    shapes: list[Shape] = [
        ("disc", 48, 48, 24),
        ("square", 48, 48, 22),
        ("triangle", 48, 48, 24),
        ("triangle", 12, 80, 10),
    ]
    images = [_image(root, 1 + n, "train2017", [shape]) for n, shape in enumerate(shapes)]
    last = len(class_ids) - 1
    # A class's position among the classes is that of its picture, as far as there are pictures.
    pictures = [3 if position == last else min(position, 2) for position in range(last + 1)]
    annotations = [
        _annotation(1 + position, 1 + picture, class_ids[position], shapes[picture])
        for position, picture in enumerate(pictures)
    ]
    return _document(images, annotations)


def _val(root: Path, disc: int, square: int) -> dict[str, Any]:
    both: list[Shape] = [("disc", 28, 30, 20), ("square", 66, 66, 18)]
    two_discs: list[Shape] = [("disc", 28, 30, 20), ("disc", 68, 64, 21)]
    lone: list[Shape] = [("square", 46, 50, 20)]
    images = [
        _image(root, 11, "val2017", both),
        _image(root, 12, "train2017", both),
        _image(root, 13, "val2017", two_discs, not_exhaustive=[disc]),
        _image(root, 14, "val2017", lone, negative=[disc]),
    ]
    found = [
        (11, square, both[1]),
        (12, disc, both[0]),
        (12, square, both[1]),
        (13, disc, two_discs[0]),
        (14, square, lone[0]),
    ]
    annotations = [_annotation(1 + n, *instance) for n, instance in enumerate(found)]
    return _document(images, annotations)


def _minival(val: dict[str, Any]) -> dict[str, Any]:
    images = val["images"][:2]
    kept = {image["id"] for image in images}
    annotations = [
        {key: value for key, value in annotation.items() if key != "segmentation"}
        for annotation in val["annotations"]
        if annotation["image_id"] in kept
    ]
    return {**val, "images": images, "annotations": annotations}


def _document(images: list[dict], annotations: list[dict]) -> dict[str, Any]:
    groups = {name: key for key, split in FREQUENCIES.items() for name in class_names(split)}
    categories = [
        {"id": number, "name": name, "frequency": groups[name], "synonyms": [name]}
        for number, name in enumerate(class_names("lvis"), start=1)
    ]
    return {
        "info": {"description": "made up"},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }


def _image(
    root: Path,
    number: int,
    folder: str,
    shapes: Iterable[Shape],
    negative: Sequence[int] = (),
    not_exhaustive: Sequence[int] = (),
) -> dict[str, Any]:
    """Draw a picture on grey, and describe it."""
    picture = np.full((SIDE, SIDE, 3), 150, dtype=np.uint8)
    for shape in shapes:
        cv2.fillPoly(picture, [_outline(shape)], COLOURS[shape[0]])
    url = URL.format(folder=folder, number=number)
    assert cv2.imwrite(str(root / "coco" / "allimages" / url.rsplit("/", 1)[-1]), picture)
    return {
        "id": number,
        "coco_url": url,
        "height": SIDE,
        "width": SIDE,
        "neg_category_ids": list(negative),
        "not_exhaustive_category_ids": list(not_exhaustive),
    }


def _annotation(number: int, image_id: int, category_id: int, shape: Shape) -> dict[str, Any]:
    outline = _outline(shape)
    left, top = outline.min(axis=0).tolist()
    right, bottom = outline.max(axis=0).tolist()
    return {
        "id": number,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [left, top, right - left, bottom - top],
        "area": float(cv2.contourArea(outline)),
        "segmentation": [outline.ravel().astype(float).tolist()],
    }


def _outline(shape: Shape) -> np.ndarray:
    """Corners (P, 2) as column and row."""
    kind, x, y, half = shape
    if kind == "disc":
        return np.array(cv2.ellipse2Poly((x, y), (half, half), 0, 0, 360, 10), dtype=np.int32)
    corners = [(x - half, y + half), (x + half, y + half)]
    corners += [(x + half, y - half), (x - half, y - half)] if kind == "square" else [(x, y - half)]
    return np.array(corners, dtype=np.int32)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content))
