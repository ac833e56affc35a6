"""References found by looking: COCO json, Labelme and YOLO, and why they cannot be read."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from no_time_to_train.coco.annotations import rasterise
from no_time_to_train.dataset.reference_layouts import (
    FoundReferences,
    find_references,
    with_masks,
)
from no_time_to_train.dataset.reference_layouts.found_dataset import FoundDataset
from no_time_to_train.errors import InputError
from no_time_to_train.exports.exporter import ExportTarget
from no_time_to_train.exports.formats import EXPORTS
from tests.unit.coco_files import annotation, document, image
from tests.unit.found import CLASSES, picture_of_shapes
from tests.unit.test_reference_layouts import BOX, boxes, found_in, picture, square, turned

PICTURES = {"images/a.png": picture((40, 60)), "images/b.png": picture((40, 60))}
TRIANGLE = [[10, 5], [30, 5], [10, 25]]


def coco(**changes: Any) -> str:
    return json.dumps(document(**changes))


def shape(label: str = "kea", **changes: Any) -> dict[str, Any]:
    entry = {"label": label, "points": TRIANGLE, "group_id": None, "shape_type": "polygon"}
    return {**entry, "flags": {}, **changes}


def labelme(*shapes: Any, **changes: Any) -> str:
    """As Labelme 5 writes it."""
    entry: dict[str, Any] = {"version": "5.8.1", "flags": {}, "shapes": list(shapes) or [shape()]}
    entry |= {"imagePath": "a.jpg", "imageData": None, "imageHeight": 30, "imageWidth": 40}
    return json.dumps({**entry, **changes})


def mask_of(found: FoundReferences, index: int = 0) -> np.ndarray:
    each = found.annotations.annotations[index]
    return rasterise(each, found.annotations.images[each.image_id])


def test_coco__takes_every_annotation_and_finds_the_images(tmp_path: Path) -> None:
    crowd = annotation(9, 7, 16, iscrowd=1)
    content = document()
    content["annotations"].append(crowd)
    content["categories"].append({"id": 2, "name": "none"})
    found = found_in(tmp_path, {**PICTURES, "annotations/all.json": json.dumps(content)})
    assert found.layout == "COCO json"
    assert [(each.id, each.name) for each in found.annotations.categories] == [
        (1, "boat"),
        (2, "bird"),
    ]
    used = [(each.id, each.image_id, each.category_id) for each in found.annotations.annotations]
    assert used == [(1, 7, 2), (2, 7, 1), (5, 3, 1)]
    names = {key: each.file_name for key, each in found.annotations.images.items()}
    assert names == {7: "images/a.png", 3: "images/b.png"}
    assert found.notes == [
        "annotations of crowds, which are no references: 1",
        "classes without a reference, left out: none",
    ]
    assert (found.counts, found.shots) == ([2, 1], 2)


def test_coco__may_be_named_itself_where_several_mark_the_same_images(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        path = tmp_path / "annotations" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(coco())
    with pytest.raises(InputError, match=r"one\.json and annotations/two\.json both mark"):
        found_in(tmp_path, PICTURES)
    assert find_references(path).counts == [2, 1]
    assert find_references(path).root == tmp_path


def test_coco__joins_several_by_the_names_of_classes(tmp_path: Path) -> None:
    one = coco(images=[image(1, "a.png")], annotations=[annotation(1, 1, 16)])
    other = coco(
        images=[image(1, "b.png")],
        annotations=[annotation(1, 1, 3)],
        categories=[{"id": 3, "name": "bird"}],
    )
    found = found_in(tmp_path, {**PICTURES, "one.json": one, "other.json": other})
    assert [(name, file) for name, file, _ in boxes(found)] == [
        ("bird", "images/a.png"),
        ("bird", "images/b.png"),
    ]
    assert [each.id for each in found.annotations.annotations] == ["one.json 1", "other.json 1"]
    assert "COCO json that have the references: one.json, other.json" in found.notes


def test_coco__takes_the_train_part_of_an_export(tmp_path: Path) -> None:
    files: dict[str, Any] = {"README.roboflow.txt": "made elsewhere"}
    for part in ("test", "train", "valid"):
        files[f"{part}/_annotations.coco.json"] = coco()
        files |= {f"{part}/{name}.png": picture((40, 60)) for name in "ab"}
    found = found_in(tmp_path, files)
    assert {name for _, name, _ in boxes(found)} == {"train/a.png", "train/b.png"}
    assert found.notes == [
        "COCO json that have the references: train/_annotations.coco.json",
        "COCO json that are left out: test/_annotations.coco.json, valid/_annotations.coco.json",
    ]


def test_coco__tells_references_from_targets(tmp_path: Path) -> None:
    other = coco(images=[image(1, "c.png")], annotations=[annotation(1, 1, 16)])
    files = {**PICTURES, "images/c.png": picture((40, 60)), "annotations/targets.json": other}
    found = found_in(tmp_path, {**files, "annotations/my_references.json": coco()})
    assert found.counts == [2, 1]
    assert found.notes[-1] == "COCO json that are left out: annotations/targets.json"


def test_coco__finds_names_that_windows_wrote(tmp_path: Path) -> None:
    content = coco(images=[image(7, "images\\a.png"), image(3, "upload/1/b.png")])
    found = found_in(tmp_path, {**PICTURES, "x/refs.json": content})
    names = [each.file_name for each in found.annotations.images.values()]
    assert names == ["images/a.png", "images/b.png"]


def test_labelme__reads_every_shape_that_encloses_something(tmp_path: Path) -> None:
    png = io.BytesIO()
    Image.fromarray(square()[5:13, 10:18] > 0).save(png, "PNG")
    mask = base64.b64encode(png.getvalue()).decode()
    shapes = [
        shape("kea"),
        shape("ara", shape_type="rectangle", points=[[30, 20], [20, 10]]),
        shape("ara", shape_type="circle", points=[[20, 15], [30, 15]]),
        shape("ara", shape_type="mask", points=[[10, 5], [17, 12]], mask=mask),
        shape("ara", shape_type="point", points=[[1, 1]]),
        shape("ara", shape_type="line", points=[[1, 1], [2, 2]]),
    ]
    found = found_in(tmp_path, {"x y/ä.jpg": picture(), "x y/ä.json": labelme(*shapes)})
    assert (found.layout, found.class_names) == ("Labelme", ["ara", "kea"])
    assert found.notes == [
        "shapes that enclose nothing, which are no references: 1 of kind line",
        "shapes that enclose nothing, which are no references: 1 of kind point",
    ]
    rows, columns = np.mgrid[:30, :40] + 0.5
    expected = (rows - 5 + columns - 10 <= 20) & (rows >= 5) & (columns >= 10)
    assert _iou(mask_of(found, 0), expected) > 0.9
    rectangle = found.annotations.annotations[1]
    assert (rectangle.bbox, rectangle.segmentation) == ((20, 10, 10, 10), None)
    disk = np.hypot(rows - 15, columns - 20) < 10
    assert _iou(mask_of(found, 2), disk) > 0.95
    np.testing.assert_array_equal(mask_of(found, 3), square() > 0)
    assert found.annotations.annotations[3].bbox == BOX


def _iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_labelme__makes_one_instance_of_a_group(tmp_path: Path) -> None:
    far = [[30, 20], [38, 20], [38, 28], [30, 28]]
    corners = {"shape_type": "rectangle", "points": [[0, 0], [4, 4]]}
    other = {"shape_type": "rectangle", "points": [[20, 20], [24, 26]]}
    shapes = [
        shape(group_id=1),
        shape(group_id=1, points=far),
        shape(group_id=1, **corners),
        shape(group_id=2, **corners),
        shape(group_id=2, **other),
        shape("ara", group_id=1, points=far),
    ]
    found = found_in(tmp_path, {"a.jpg": picture(), "a.json": labelme(*shapes)})
    assert [name for name, *_ in boxes(found)] == ["kea", "kea", "ara"]
    joined = mask_of(found, 0)
    assert joined[6, 12] and joined[24, 34] and joined[1, 1] and not joined[15, 30]
    second = found.annotations.annotations[1]
    assert (second.bbox, second.segmentation) == ((0, 0, 24, 26), None)


@pytest.mark.parametrize(
    "path", ["../photos/a.jpg", "..\\photos\\a.jpg", "C:\\old\\b.jpg", "/old/b.jpg", "gone.jpg"]
)
def test_labelme__finds_the_picture_that_a_json_means(tmp_path: Path, path: str) -> None:
    files = {
        "photos/a.jpg": picture(),
        "marks/b.jpg": picture(),
        "marks/b.json": labelme(imagePath=path),
    }
    expected = "photos/a.jpg" if "photos" in path else "marks/b.jpg"
    assert [name for _, name, _ in boxes(found_in(tmp_path, files))] == [expected]


def test_labelme__may_have_its_pictures_in_another_folder(tmp_path: Path) -> None:
    files = {"photos/a.jpg": picture(), "marks/a.json": labelme(imagePath="../photos/a.jpg")}
    found_in(tmp_path, files)
    found = find_references(tmp_path / "marks")
    (reference,) = FoundDataset(found, 0.2, 28)
    assert found.path(reference.image_id).resolve() == (tmp_path / "photos/a.jpg").resolve()


@pytest.mark.parametrize("name", ["labelme", "yolo", "coco"])
def test_exports__are_read_back_as_references(tmp_path: Path, name: str) -> None:
    source, result = tmp_path / "pictures" / "a ü.png", picture_of_shapes("a ü.png", 1)
    source.parent.mkdir()
    Image.new("RGB", (result.width, result.height)).save(source)
    exporter = EXPORTS[name](ExportTarget(tmp_path / "out" / name, CLASSES))
    exporter.write_picture(result, "a ü", source)
    exporter.finish([result])
    if name == "coco":  # its pictures stay where they are
        source.rename(tmp_path / "out" / name / "a ü.png")
    found = find_references(tmp_path / "out" / name)
    names = [CLASSES[each.label] for each in result.instances]
    assert sorted(name for name, *_ in boxes(found)) == sorted(names)
    for index, instance in enumerate(result.instances):
        assert _iou(mask_of(found, index), instance.mask) > 0.97


def yolo(folder: Path, labels: str, names: str = "[kea, ara]", more: str = "") -> FoundReferences:
    return found_in(
        folder,
        {
            "data.yaml": f"names: {names}\n{more}",
            "images/train/a.jpg": picture(),
            "labels/train/a.txt": labels,
        },
    )


def test_yolo__reads_boxes_and_polygons(tmp_path: Path) -> None:
    labels = "1 0.5 0.5 0.25 0.2\n\n0 0.25 0.1 0.75 0.1 0.75 0.5 0.25 0.5\n"
    found = yolo(tmp_path, labels, "{1: ara, 0: kea, 2: kaka}")
    assert (found.layout, found.class_names) == ("YOLO", ["kea", "ara"])
    box, polygon = found.annotations.annotations
    assert (box.bbox, box.segmentation, box.category_id) == ((15, 12, 10, 6), None, 2)
    assert (polygon.bbox, polygon.category_id) == ((10, 3, 20, 12), 1)
    assert polygon.segmentation == [[10, 3, 30, 3, 30, 15, 10, 15]]
    assert found.notes == ["classes without a reference, left out: kaka"]


@pytest.mark.parametrize(
    ("image_file", "label_file"),
    [
        ("train/images/a.jpg", "train/labels/a.txt"),
        ("images/a.jpg", "labels/a.txt"),
        ("a.jpg", "a.txt"),
        ("some/where/a.JPG", "some/where/a.txt"),
        ("images/images/a.jpg", "images/labels/a.txt"),
    ],
)
def test_yolo__finds_labels_where_they_are_put(
    tmp_path: Path, image_file: str, label_file: str
) -> None:
    files = {
        image_file: picture(),
        label_file: "0 0.5 0.5 0.25 0.2",
        "data.yml": "path: /home/x\ntrain: ../train/images\nnames:\n  - no\n",
        "b.jpg": picture(),
    }
    assert boxes(found_in(tmp_path, files)) == [("no", image_file, (15, 12, 10, 6))]


def test_yolo__takes_the_train_part(tmp_path: Path) -> None:
    files = {"images/val/b.jpg": picture(), "labels/val/b.txt": "0 0.5 0.5 0.25 0.2"}
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(content).save(path) if name.endswith("g") else path.write_text(content)
    found = yolo(tmp_path, "1 0.5 0.5 0.25 0.2", more="path: .\ntrain: images/train\n")
    assert [name for name, *_ in boxes(found)] == ["ara"]
    assert found.notes == [
        "train has the references; other pictures: 1",
        "classes without a reference, left out: kea",
    ]
    assert yolo(tmp_path, "1 0.5 0.5 0.25 0.2").counts == [1, 1]


def test_yolo__measures_by_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    files = {"data.yaml": "names: [kea]", "a.jpg": turned((40, 30)), "a.txt": "0 0.5 0.5 0.25 0.2"}
    assert [box for *_, box in boxes(found_in(tmp_path, files))] == [(15, 12, 10, 6)]


def test_with_masks__draws_those_that_are_only_boxes(tmp_path: Path) -> None:
    labels = "0 0.5 0.5 0.25 0.2\n1 0.25 0.1 0.75 0.1 0.75 0.5\n0 0.25 0.5 0.25 0.2"
    seen = []

    def draw(image: Image.Image, drawn: np.ndarray) -> np.ndarray:
        seen.append((image.size, drawn.tolist()))
        masks = np.zeros((len(drawn), image.height, image.width), bool)
        masks[0, 13:17, 16:22] = True
        return masks  # nothing in the second box

    found = yolo(tmp_path, labels)
    done = with_masks(found, draw)
    assert seen == [((40, 30), [[15, 12, 25, 18], [5, 12, 15, 18]])]
    assert [each.bbox for each in done.annotations.annotations] == [
        each.bbox for each in found.annotations.annotations
    ]
    first, second, third = done.annotations.annotations
    assert (first.segmentation, first.area) == ([[16, 13, 16, 16, 21, 16, 21, 13]], 24)
    assert second == found.annotations.annotations[1]
    assert third.segmentation == [[5, 12, 15, 12, 15, 18, 5, 18]]
    assert done.boxes == []


JPG = {"a.jpg": picture()}
YAML = {"data.yaml": "names: [kea]"}
BOXED = "0 0.5 0.5 0.25 0.2"
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two layouts": (
        {**JPG, "a.json": labelme(), **YAML, "a.txt": BOXED},
        "FOLDER holds references in more than one layout, Labelme (a.json) and YOLO (data.yaml); "
        "keep those of one there",
    ),
    "masks in no folder": (
        {**JPG, "a.png": square()},
        "FOLDER holds masks such as a.png, but not in a folder per class; name the folder that",
    ),
    "no yaml": (
        {**JPG, "a.txt": BOXED},
        "FOLDER holds 1 picture, 1 .txt file and no references that are recognised; lay them",
    ),
    "coco, cut off": (
        {**PICTURES, "x.json": coco()[:-20]},
        "FOLDER/x.json: the json is cut off after",
    ),
    "coco, image missing": (
        {"images/a.png": PICTURES["images/a.png"], "x.json": coco()},
        "1 of 2 images that FOLDER/x.json marks are not in FOLDER, the first is b.png; put",
    ),
    "coco, ambiguous": (
        {**PICTURES, "more/a.png": PICTURES["images/a.png"], "x.json": coco()},
        "FOLDER/x.json: image a.png may be any of images/a.png, more/a.png in FOLDER; give",
    ),
    "coco, leaves": (
        {**PICTURES, "x.json": coco(images=[image(7, "../a.png"), image(3, "b.png")])},
        "FOLDER/x.json: file_name '../a.png' does not stay inside the data set's folder",
    ),
    "coco, other size": (
        {**PICTURES, "x.json": coco(images=[image(7, "a.png", 41), image(3, "b.png")])},
        "image images/a.png in the json is 41 x 60 pixels (height x width), but its picture",
    ),
    "coco, mask outside": (
        {
            **PICTURES,
            "x.json": coco(
                annotations=[annotation(1, 7, 16, segmentation=[[90, 90, 99, 90, 99, 99]])]
            ),
        },
        "FOLDER/x.json: annotation 1 of image images/a.png: its mask has no pixel in the image",
    ),
    "coco, box outside": (
        {**PICTURES, "x.json": coco(annotations=[annotation(1, 7, 16, bbox=[90, 9, 5, 5])])},
        "the box [90, 9, 5, 5] (x, y, w, h) has no pixel in the image of 60 x 40; repair the json",
    ),
    "coco, none": (
        {**PICTURES, "x.json": coco(annotations=[])},
        "FOLDER is laid out as COCO json, but marks no instance; mark one",
    ),
    "labelme, twice": (
        {**JPG, "a.json": labelme(), "b.json": labelme()},
        "FOLDER/b.json: a.json marks the same picture, a.jpg; keep one of them",
    ),
    "labelme, embedded": (
        {"a.json": labelme(imageData="AAAA")},
        "its picture 'a.jpg' is not there (the json holds a copy of it as imageData); save it",
    ),
    "labelme, elsewhere": (
        {"x/a.json": labelme(imagePath="../../a.jpg")},
        "FOLDER/x/a.json: its picture '../../a.jpg' is not there; save it beside the json",
    ),
    "labelme, other size": (
        {**JPG, "a.json": labelme(imageHeight=31)},
        "FOLDER/a.json: the size in the json is 31 x 40 pixels (height x width), but its picture",
    ),
    "labelme, points": (
        {**JPG, "a.json": labelme(shape(points=[[1, 1], [2, 2]]))},
        "FOLDER/a.json: shape 0: a polygon of 2 points encloses nothing; repair or remove it",
    ),
    "labelme, number": (
        {**JPG, "a.json": labelme(shape(points=[[1, 1], [2, 2], [3, float("nan")]]))},
        'its "points" must be a list of [x, y] in pixels',
    ),
    "labelme, outside": (
        {**JPG, "a.json": labelme(shape(points=[[90, 90], [99, 90], [99, 99]]))},
        "the polygon 'kea' has no pixel in the picture of 30 x 40 (height x width); repair",
    ),
    "labelme, label": (
        {**JPG, "a.json": labelme(shape(label=3))},
        'its "label" must be the name of a class, got 3',
    ),
    "labelme, mask": (
        {
            **JPG,
            "a.json": labelme(shape(shape_type="mask", points=[[0, 0], [1, 1]], mask="abc=")),
        },
        "shape 0: its mask is no PNG in base64",
    ),
    "labelme, only points": (
        {**JPG, "a.json": labelme(shape(shape_type="point", points=[[0, 0]]))},
        "FOLDER is laid out as Labelme, but marks no instance; mark one",
    ),
    "yolo, two yamls": (
        {**JPG, **YAML, "other.yaml": "names: [x]", "a.txt": BOXED},
        "FOLDER has two lists of names, data.yaml and other.yaml; keep one of them there",
    ),
    "yolo, no labels": (
        {**JPG, **YAML},
        "no picture in FOLDER has labels; put images/NAME.jpg and labels/NAME.txt, or both in one",
    ),
    "yolo, names": (
        {**JPG, "data.yaml": "names: {1: kea}", "a.txt": BOXED},
        "FOLDER/data.yaml: `names` must be a list of class names, or give one to each number",
    ),
    "yolo, twice": (
        {**JPG, "data.yaml": "names: [kea, kea]", "a.txt": BOXED},
        "FOLDER/data.yaml: `names` gives a name twice",
    ),
    "yolo, class": (
        {**JPG, **YAML, "a.txt": "1 0.5 0.5 0.25 0.2"},
        "FOLDER/a.txt, line 1: the class must be a whole number from 0 to 0, as data.yaml numbers",
    ),
    "yolo, pixels": (
        {**JPG, **YAML, "a.txt": f"{BOXED}\n0 20 15 10 6"},
        "FOLDER/a.txt, line 2: coordinates must be shares of the picture's width and height",
    ),
    "yolo, confidence": (
        {**JPG, **YAML, "a.txt": f"{BOXED} 0.9"},
        "FOLDER/a.txt, line 1: it has 5 numbers behind the class; a box has 4",
    ),
    "yolo, thin": (
        {**JPG, **YAML, "a.txt": "0 0.5 0.5 0 0"},
        "line 1: it: the box from (20, 15) to (20, 15) has no pixel in the picture of 30 x 40",
    ),
    "yolo, same labels": (
        {**JPG, "a.png": picture(), **YAML, "a.txt": BOXED},
        "a.jpg and a.png in FOLDER have the same labels, a.txt; rename one of the pictures",
    ),
}


@pytest.mark.parametrize(("files", "piece"), WRONG.values(), ids=list(WRONG))
def test_find_references__says_why_it_cannot_read_them(
    tmp_path: Path, files: dict[str, Any], piece: str
) -> None:
    with pytest.raises(InputError) as caught:
        found_in(tmp_path, files)
    assert piece.replace("FOLDER", str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_find_references__takes_the_file_that_is_named(tmp_path: Path) -> None:
    files = {**JPG, "a.json": labelme(), **YAML, "a.txt": BOXED, "notes.md": "x"}
    with pytest.raises(InputError, match="more than one layout"):
        found_in(tmp_path, files)
    assert find_references(tmp_path / "data.yaml").layout == "YOLO"
    assert find_references(tmp_path / "a.json").layout == "Labelme"
    with pytest.raises(InputError, match=r"notes\.md is neither a COCO json nor one of Labelme"):
        find_references(tmp_path / "notes.md")
