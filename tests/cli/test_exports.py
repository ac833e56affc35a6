"""What one run of `predict` writes, read by other libraries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas
import pytest
import supervision
from numpy.typing import NDArray
from PIL import Image
from pycocotools.coco import COCO

from tests.cli.test_predict import CLASSES, copy_pictures, predict, write_scenes_dir
from tests.unit.found import iou

Masks = NDArray[np.bool_]


@pytest.fixture
def truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> COCO:
    """The results as pycocotools reads them, of a run with every output."""
    write_scenes_dir(tmp_path)
    copy_pictures(tmp_path / "pics", 4)
    monkeypatch.chdir(tmp_path)
    Path("pics/target_00.jpg").rename("pics/ä =b.jpg")
    more = ("--export", "yolo,labelme,coco", "--instances")
    outcome = predict("--out", "out", *more, source=("--references", "refs"))
    assert outcome.code == 0, outcome.err
    results = COCO("out/results.json")
    assert len(results.anns) >= 4
    return results


def pictures(truth: COCO) -> Iterator[tuple[str, list[dict[str, Any]], Masks]]:
    """Name, entries and masks of each picture."""
    for image in truth.imgs.values():
        entries = truth.loadAnns(truth.getAnnIds(imgIds=[image["id"]]))
        masks = [truth.annToMask(each).astype(bool) for each in entries]
        yield image["file_name"], entries, np.array(masks)


def test_predict__is_read_by_other_libraries_as_the_same_instances(truth: COCO) -> None:
    table = pandas.read_csv("out/instances.csv")
    assert len(table) == len(truth.anns)
    yolo = detections(
        supervision.DetectionDataset.from_yolo(
            "out/yolo/images", "out/yolo/labels", "out/yolo/data.yaml", force_masks=True
        )
    )
    coco = detections(
        supervision.DetectionDataset.from_coco(
            "pics", "out/coco/annotations/instances.json", force_masks=True
        )
    )
    for name, entries, masks in pictures(truth):
        check_table(table[table.picture == name], entries, masks)
        check_label_map(Path("out/masks", name).with_suffix(".png"), masks)
        check_labelme(Path("out/labelme", name).with_suffix(".json"), entries, masks)
        for read in (yolo[name], coco[name]):
            check_detections(read, entries, masks)


def detections(data: supervision.DetectionDataset) -> dict[str, supervision.Detections]:
    assert data.classes == list(CLASSES)
    return {Path(path).name: found for path, _, found in data}


def check_table(rows: pandas.DataFrame, entries: list[dict[str, Any]], masks: Masks) -> None:
    assert rows.instance.tolist() == list(range(1, len(masks) + 1))
    assert rows["class"].tolist() == [CLASSES[each["category_id"] - 1] for each in entries]
    boxes = rows[["x", "y", "width", "height"]].to_numpy().tolist()
    assert boxes == [each["bbox"] for each in entries]
    assert rows.area.tolist() == [mask.sum() for mask in masks]
    for path, mask in zip(rows["mask"], masks, strict=True):
        assert np.array_equal(np.array(Image.open(Path("out", path))) == 255, mask)


def check_label_map(path: Path, masks: Masks) -> None:
    values = np.array(Image.open(path))
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), values)
    free = np.ones(values.shape, dtype=bool)
    for number, mask in enumerate(masks, start=1):
        assert np.array_equal(values == number, mask & free)
        free &= ~mask
    assert np.array_equal(values == 0, free)


def check_labelme(path: Path, entries: list[dict[str, Any]], masks: Masks) -> None:
    content = json.loads(path.read_text())
    with Image.open(path.parent / content["imagePath"]) as image:
        assert image.size == (content["imageWidth"], content["imageHeight"])
    labels = {shape["label"] for shape in content["shapes"]}
    assert labels == {CLASSES[each["category_id"] - 1] for each in entries}
    drawn = np.zeros((content["imageHeight"], content["imageWidth"]), np.uint8)
    for shape in content["shapes"]:
        cv2.fillPoly(drawn, [np.int32(shape["points"])], 1)
    if len(masks):
        assert iou(drawn.astype(bool), masks.any(axis=0)) > 0.95


def check_detections(
    read: supervision.Detections, entries: list[dict[str, Any]], masks: Masks
) -> None:
    assert len(read) == len(entries)
    for number, annotation in enumerate(entries):
        x, y, width, height = annotation["bbox"]
        assert read.class_id[number] == annotation["category_id"] - 1
        assert np.abs(read.xyxy[number] - [x, y, x + width, y + height]).max() < 0.26
        assert iou(read.mask[number], masks[number]) > 0.8  # it rounds coordinates up
