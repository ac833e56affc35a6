"""Folders of small runs for tests of their pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as rle_codec

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.evaluation.coco import evaluate
from tests.unit.coco_files import document, write_images, write_json

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


def write_test_run(
    folder: Path, truths: Sequence[dict], records: Sequence[dict] | None, **changes: Any
) -> Path:
    """A log folder as `test` leaves it, of a.png (7) and b.png (3), with birds (16) and boats (9).

    Args:
        folder: To be made; the data lie beside it.
        truths: Annotations.
        records: COCO results; None where they were not kept.
        changes: Of metrics.json.
    """
    folder.mkdir(parents=True)
    data = folder.parent / "data"
    write_images(data)
    truth = write_json(data, document(annotations=list(truths)))
    annotations, ids = CocoAnnotations.read(truth), [9, 16]
    evaluation = evaluate(annotations, ids, records or [])
    if records is not None:
        write_json(data, list(records), "results.json")
    targets = {"root": str(data), "json_file": str(truth), "cat_names": ["bird", "boat"]}
    arguments = {
        "model_cfg": {"dataset_name": "birds", "test": {"vis_thr": 0.5}},
        "dataset_cfgs": {"test": targets, "fill_memory": {"json_file": "not used"}},
    }
    metrics = {
        "box": evaluation.box,
        "mask": evaluation.mask,
        "per_class": [asdict(row) for row in evaluation.per_class],
        "images": 2,
        "images_of_data_set": 2,
        "bad_images": [],
        "image_ids": None,
        "seconds": {"segment": 3.25},
        "seconds_per_image": 1.625,
        "versions": {"torch": "2.0"},
        "results": [] if records is None else [str(data / "results.json")],
        "config": {"model": {"init_args": arguments}, "ckpt_path": "memory.pth"},
    }
    write_json(folder, metrics | changes, "metrics.json")
    return folder
