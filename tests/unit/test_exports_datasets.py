"""What --export writes: sets of polygons for YOLO and in COCO format, read by supervision."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import supervision
import yaml
from PIL import Image
from pycocotools.coco import COCO

from no_time_to_train.exports.exporter import ExportTarget
from no_time_to_train.exports.formats import EXPORTS
from no_time_to_train.exports.output_names import OutputNames
from no_time_to_train.exports.picture_links import provide_picture
from no_time_to_train.exports.picture_results import PictureResult
from no_time_to_train.exports.yolo import label_path
from tests.unit.found import CLASSES, SHAPES, iou, picture_of_shapes, result

Export = Callable[..., Path]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """Export pictures to `tmp_path/out/FORMAT`; they lie in `tmp_path/pictures`."""

    def export(
        name: str, results: Sequence[PictureResult], classes: Sequence[str] = CLASSES
    ) -> Path:
        folder = tmp_path / "out" / name
        names = OutputNames(each.file_name for each in results)
        exporter = EXPORTS[name](ExportTarget(folder, classes))
        for each in results:
            source = tmp_path / "pictures" / each.file_name
            source.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (each.width, each.height), (each.image_id, 0, 0)).save(source)
            exporter.write_picture(each, names.of(each.file_name), source)
        exporter.finish(results)
        return folder

    return export


def contents(folder: Path) -> dict[str, bytes]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def two_pictures() -> list[PictureResult]:
    return [picture_of_shapes("a.png", 1), result([], "b ü.jpg", 2, (50, 60))]


@pytest.mark.parametrize("name", EXPORTS)
def test_exports__written_again_are_the_same(export: Export, name: str) -> None:
    first = contents(export(name, two_pictures()))
    assert first and contents(export(name, two_pictures())) == first


def test_yolo__supervision_reads_classes_boxes_and_masks(export: Export) -> None:
    folder = export("yolo", two_pictures())
    data = supervision.DetectionDataset.from_yolo(
        str(folder / "images"), str(folder / "labels"), str(folder / "data.yaml"), force_masks=True
    )
    assert data.classes == list(CLASSES)
    detections = {Path(path).name: each for path, _, each in data}
    assert len(detections["b ü.jpg"]) == 0
    read = detections["a.png"]
    assert read.class_id.tolist() == [0, 1, 0]
    for instance, box, mask in zip(
        picture_of_shapes().instances, read.xyxy, read.mask, strict=True
    ):
        x, y, width, height = instance.bbox
        assert np.abs(box - [x, y, x + width, y + height]).max() < 0.251
        assert iou(mask, instance.mask) > 0.87  # supervision rounds up: a pixel at right and below


def test_yolo__drawn_as_its_trainers_do_gives_the_masks_back(export: Export) -> None:
    lines = (export("yolo", two_pictures()) / "labels/a.txt").read_text().splitlines()
    drawn = []
    for line in lines:
        values = np.array(line.split()[1:], dtype=np.float32).reshape(-1, 2)
        assert values.min() >= 0 and values.max() <= 1
        canvas = np.zeros((80, 120), np.uint8)
        cv2.fillPoly(canvas, [(values * [120, 80]).astype(np.int32)], 1)
        drawn.append(canvas.astype(bool))
    for mask, original in zip(drawn, SHAPES, strict=True):
        assert iou(mask, original) > 0.97  # the slit between two pieces is drawn
    assert np.array_equal(drawn[2], SHAPES[2])


def test_yolo__describes_the_set_with_any_class_name(export: Export) -> None:
    classes = ['cell: "a"', "no", "ä 细\n"]
    content = yaml.safe_load((export("yolo", [], classes) / "data.yaml").read_text())
    assert content == {"train": "images", "val": "images", "names": dict(enumerate(classes))}


def test_yolo__a_picture_without_instances_has_empty_labels(export: Export) -> None:
    assert (export("yolo", two_pictures()) / "labels/b ü.txt").read_bytes() == b""


def test_yolo__pictures_that_differ_in_their_suffix_have_labels_of_their_own(
    export: Export,
) -> None:
    pictures = [result([], "a.jpg", 1), picture_of_shapes("a.png", 2)]
    folder = export("yolo", pictures)
    assert sorted(path.name for path in (folder / "images").iterdir()) == ["a.jpg.jpg", "a.png.png"]
    assert (folder / "labels/a.jpg.txt").read_text() == ""
    assert len((folder / "labels/a.png.txt").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        ("out/images/a.jpg", "out/labels/a.txt"),
        ("images/out/images/x/a.b.tif", "images/out/labels/x/a.b.txt"),
        ("out/images/train/images/a.jpg", "out/images/train/labels/a.txt"),
        ("out/images/images", "out/labels/images.txt"),
    ],
)
def test_label_path__is_where_trainers_look(image: str, labels: str) -> None:
    assert label_path(Path(image)) == Path(labels)


def test_coco__supervision_reads_classes_boxes_and_masks(export: Export, tmp_path: Path) -> None:
    folder = export("coco", two_pictures())
    data = supervision.DetectionDataset.from_coco(
        str(tmp_path / "pictures"), str(folder / "annotations/instances.json"), force_masks=True
    )
    assert data.classes == list(CLASSES)
    detections = {Path(path).name: each for path, _, each in data}
    assert len(detections["b ü.jpg"]) == 0
    read = detections["a.png"]
    assert read.class_id.tolist() == [0, 1, 0]
    for instance, box, mask in zip(
        picture_of_shapes().instances, read.xyxy, read.mask, strict=True
    ):
        x, y, width, height = instance.bbox
        assert box.tolist() == [x, y, x + width, y + height]
        assert iou(mask, instance.mask) > 0.87


def test_coco__pycocotools_draws_its_polygons_pixel_for_pixel(export: Export) -> None:
    truth = COCO(str(export("coco", two_pictures()) / "annotations/instances.json"))
    annotations = truth.loadAnns(truth.getAnnIds(imgIds=[1]))
    assert [len(each["segmentation"]) for each in annotations] == [1, 2, 1]  # pieces
    assert all(isinstance(each["segmentation"], list) for each in annotations)
    assert np.array_equal([truth.annToMask(each) for each in annotations], SHAPES)


def test_yolo__links_lead_to_the_pictures_also_after_a_move(export: Export, tmp_path: Path) -> None:
    export("yolo", [picture_of_shapes("x/y/a.png", 7)])
    (tmp_path / "moved").mkdir()
    for folder in ("out", "pictures"):
        (tmp_path / folder).rename(tmp_path / "moved" / folder)
    picture = tmp_path / "moved/out/yolo/images/x/y/a.png"
    assert picture.is_symlink() and not Path(os.readlink(picture)).is_absolute()
    with Image.open(picture) as image:
        assert image.getpixel((0, 0)) == (7, 0, 0)


def test_provide_picture__copies_where_there_can_be_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    (tmp_path / "a.png").write_bytes(b"picture")
    for _ in range(2):
        provide_picture(tmp_path / "a.png", tmp_path / "set/images/a.png")
    assert not (tmp_path / "set/images/a.png").is_symlink()
    assert (tmp_path / "set/images/a.png").read_bytes() == b"picture"


def labelme_content(folder: Path, name: str = "a.json") -> dict:
    return json.loads((folder / name).read_text())


def test_labelme__holds_what_its_documentation_asks_for(export: Export, tmp_path: Path) -> None:
    folder = export("labelme", [picture_of_shapes("x/a.png")])
    content = labelme_content(folder, "x/a.json")
    assert list(content) == [
        *("version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"),
    ]
    assert (content["imageHeight"], content["imageWidth"]) == (80, 120)
    assert content["imageData"] is None and content["flags"] == {}
    assert content["imagePath"] == "../../../pictures/x/a.png"
    assert (folder / "x" / content["imagePath"]).resolve() == tmp_path / "pictures/x/a.png"
    for shape in content["shapes"]:
        assert set(shape) == {
            *("label", "points", "group_id", "description", "shape_type", "flags", "mask"),
        }
        assert isinstance(shape["label"], str) and isinstance(shape["description"], str)
        assert shape["shape_type"] == "polygon" and shape["flags"] == {} and shape["mask"] is None
        assert len(shape["points"]) >= 3
        assert all(type(value) is float for point in shape["points"] for value in point)


def test_labelme__says_class_score_and_which_pieces_belong_together(export: Export) -> None:
    shapes = labelme_content(export("labelme", two_pictures()))["shapes"]
    assert [shape["label"] for shape in shapes] == ["cell", "nucleus", "nucleus", "cell"]
    assert [shape["group_id"] for shape in shapes] == [None, 2, 2, None]
    assert [shape["description"] for shape in shapes] == [
        *("score 0.9375", "score 0.7500", "score 0.7500", "score 0.5000"),
    ]


def test_labelme__its_polygons_drawn_as_labelme_does_are_the_masks(export: Export) -> None:
    shapes = labelme_content(export("labelme", two_pictures()))["shapes"]
    for number, pieces in enumerate((shapes[:1], shapes[1:3], shapes[3:])):
        drawn = np.zeros((80, 120), dtype=bool)
        for shape in pieces:
            drawn |= labelme_mask(shape["points"])
        assert iou(drawn, SHAPES[number]) > 0.97


def labelme_mask(points: list[list[float]]) -> np.ndarray:
    from PIL import ImageDraw

    canvas = Image.new("1", (120, 80))
    ImageDraw.Draw(canvas).polygon([tuple(point) for point in points], outline=1, fill=1)
    return np.array(canvas)


def test_labelme__a_picture_without_instances_has_a_file_without_shapes(export: Export) -> None:
    assert labelme_content(export("labelme", two_pictures()), "b ü.json")["shapes"] == []
