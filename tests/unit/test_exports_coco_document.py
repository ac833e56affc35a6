from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import supervision
from PIL import Image
from pycocotools.coco import COCO

from no_time_to_train.exports.coco_document import write_coco
from no_time_to_train.exports.picture_results import PictureResult
from tests.unit.found import BAR, CLASSES, CORNER, SQUARE, two_pictures


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    write_coco(path, two_pictures(), CLASSES)
    return path


def test_write_coco__describes_every_picture_and_instance(document: Path) -> None:
    content = json.loads(document.read_text())
    assert set(content) == {"info", "licenses", "images", "categories", "annotations"}
    assert content["categories"] == [{"id": 1, "name": "cell"}, {"id": 2, "name": "nucleus"}]
    assert content["images"] == [
        {"id": 1, "file_name": "a/b.png", "height": 4, "width": 6},
        {"id": 2, "file_name": "ä ö.jpg", "height": 5, "width": 3},
    ]
    first, second, third = content["annotations"]
    assert [first["id"], second["id"], third["id"]] == [1, 2, 3]
    assert (first["bbox"], first["area"]) == ([1, 1, 2, 2], 4)
    assert (second["bbox"], second["area"]) == ([2, 2, 4, 1], 4)
    assert (third["bbox"], third["area"]) == ([5, 3, 1, 1], 1)
    assert [each["category_id"] for each in content["annotations"]] == [1, 2, 1]
    assert [each["score"] for each in content["annotations"]] == [0.9375, 0.5, 0.25]
    assert {(each["image_id"], each["iscrowd"]) for each in content["annotations"]} == {(1, 0)}


def test_write_coco__pycocotools_gives_the_masks_back(document: Path) -> None:
    truth = COCO(str(document))
    masks = [truth.annToMask(each) for each in truth.loadAnns(truth.getAnnIds(imgIds=[1]))]
    assert np.array_equal(masks, [SQUARE, BAR, CORNER])
    assert truth.getAnnIds(imgIds=[2]) == []


def test_write_coco__its_annotations_are_results(document: Path) -> None:
    truth = COCO(str(document))
    loaded = truth.loadRes(json.loads(document.read_text())["annotations"])
    scores = [each["score"] for each in loaded.loadAnns(loaded.getAnnIds(catIds=[1]))]
    assert scores == [0.9375, 0.25]
    assert np.array_equal(loaded.annToMask(loaded.anns[2]), BAR)


def test_write_coco__supervision_reads_it(document: Path, tmp_path: Path) -> None:
    for picture in two_pictures():
        path = tmp_path / picture.file_name
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (picture.width, picture.height)).save(path)
    data = supervision.DetectionDataset.from_coco(
        str(tmp_path), str(document), force_masks=True, use_iscrowd=False
    )
    assert data.classes == list(CLASSES)
    detections = {Path(path).name: each for path, _, each in data}
    assert np.array_equal(detections["b.png"].mask, [SQUARE, BAR, CORNER])
    assert detections["b.png"].class_id.tolist() == [0, 1, 0]
    assert detections["b.png"].xyxy.tolist() == [[1, 1, 3, 3], [2, 2, 6, 3], [5, 3, 6, 4]]
    assert len(detections["ä ö.jpg"]) == 0


class ReadAnew:
    """Results that are read each time they are gone through, and let go of."""

    def __init__(self) -> None:
        self.rounds = 0

    def __iter__(self) -> Iterator[PictureResult]:
        self.rounds += 1
        yield from two_pictures()


def test_write_coco__goes_through_results_twice_and_writes_the_same_bytes(
    document: Path, tmp_path: Path
) -> None:
    results = ReadAnew()
    write_coco(tmp_path / "again.json", results, CLASSES)
    assert results.rounds == 2
    assert (tmp_path / "again.json").read_bytes() == document.read_bytes()


def test_write_coco__of_nothing_is_a_document_too(tmp_path: Path) -> None:
    write_coco(tmp_path / "none.json", [], CLASSES)
    content = json.loads((tmp_path / "none.json").read_text())
    assert content["images"] == content["annotations"] == []


def test_write_coco__refuses_results_that_can_be_gone_through_once(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        write_coco(tmp_path / "half.json", iter(two_pictures()), CLASSES)
    assert not (tmp_path / "half.json").exists()
