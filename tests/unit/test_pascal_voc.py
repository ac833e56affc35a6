"""From Pascal VOC's devkit to COCO json and to one folder of images."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.dataset import change_filename_pascal, pascal_voc_images, pascal_voc_to_coco
from no_time_to_train.dataset.few_shot_sampling import sample_references
from no_time_to_train.dataset.pascal_voc import CLASSES, read_annotation
from no_time_to_train.errors import InputError
from tests.miniatures import voc

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult><bndbox><ymin>{1}</ymin>
<xmin>{0}</xmin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""
SIZE = "<size><width>60</width><height>40</height><depth>3</depth></size>"


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """An empty VOC2007; `write_xml` fills it."""
    (tmp_path / "VOC2007/Annotations").mkdir(parents=True)
    (tmp_path / "VOC2007/ImageSets/Main").mkdir(parents=True)
    return tmp_path


def one(*corners: object, name: str = "cat", difficult: int = 0) -> str:
    return OBJECT.format(*corners, name=name, difficult=difficult)


def write_xml(devkit: Path, *objects: str, name: str = "000005", size: str = SIZE) -> None:
    path = devkit / f"VOC2007/Annotations/{name}.xml"
    path.write_text(f"<annotation><filename>x.jpg</filename>{size}{''.join(objects)}</annotation>")
    (devkit / "VOC2007/ImageSets/Main/trainval.txt").write_text(f"{name}\n")


def convert(devkit: Path, *options: str) -> dict[str, Any]:
    pascal_voc_to_coco.main([str(devkit), *options])
    return json.loads((devkit / "voc07_trainval.json").read_text())


def test_convert__an_image_by_hand(devkit: Path) -> None:
    write_xml(
        devkit,
        one(11, 21, 31, 36, difficult=1),
        one(1, 1, 60, 40, name="person"),
        one(2, 3, 4, 6),
    )
    document = convert(devkit)
    assert document["type"] == "instance"
    size = {"height": 40, "width": 60}
    assert document["images"] == [{"file_name": "VOC2007/JPEGImages/000005.jpg", "id": 0, **size}]
    assert document["annotations"] == [
        {
            "id": number,
            "image_id": 0,
            "category_id": category_id,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "segmentation": [[x1, y1, x1, y2, x2, y2, x2, y1]],
            "iscrowd": iscrowd,
            "ignore": 0,
        }
        for number, category_id, (x1, y1, x2, y2), iscrowd in (
            (1, 14, (0, 0, 59, 39), 0),
            (2, 7, (1, 2, 3, 5), 0),
            (3, 7, (10, 20, 30, 35), 1),
        )
    ]


def test_convert__categories_are_alphabetical_from_0(devkit: Path) -> None:
    write_xml(devkit)
    categories = convert(devkit)["categories"]
    assert [category["id"] for category in categories] == list(range(20))
    names = [category["name"] for category in categories]
    assert names == sorted(names) and names[2] == "bird" and names[19] == "tvmonitor"
    assert {category["supercategory"] for category in categories} == {"none"}


@pytest.mark.parametrize(
    ("text", "pixel"), [("45.7", 45), ("45.4", 44), ("45.5", 45), ("46.5", 46), ("46.0", 45)]
)
def test_convert__rounds_coordinates_and_says_so(
    devkit: Path, caplog: pytest.LogCaptureFixture, text: str, pixel: int
) -> None:
    write_xml(devkit, one(text, 1, 60, 40))
    with caplog.at_level(logging.INFO):
        assert convert(devkit)["annotations"][0]["bbox"] == [pixel, 0, 59 - pixel, 39]
    assert ("1 coordinates are no whole numbers and are rounded" in caplog.text) == (text != "46.0")


@pytest.mark.parametrize(
    "size", ["", "<size><width>0</width></size>", SIZE.replace("60", "6" * 5000)]
)
def test_convert__what_the_xml_leaves_out(devkit: Path, size: str) -> None:
    (devkit / "VOC2007/JPEGImages").mkdir()
    Image.new("RGB", (50, 30)).save(devkit / "VOC2007/JPEGImages/000005.jpg")
    write_xml(devkit, one(1, 1, 9, 9).replace("<difficult>0</difficult>", ""), size=size)
    document = convert(devkit)
    assert (document["images"][0]["width"], document["images"][0]["height"]) == (50, 30)
    assert document["annotations"][0]["iscrowd"] == 0


def test_convert__sets_of_both_years(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    devkit = voc.write(tmp_path, shots=2)
    out = tmp_path / "pascal_voc/annotations"
    with caplog.at_level(logging.INFO):
        pascal_voc_to_coco.main([str(devkit), "-o", str(out), "--out-format", "coco", "--flat"])
    splits = ("train", "trainval", "val")
    names = [f"voc{years}_{split}.json" for years in ("0712", "07", "12") for split in splits]
    assert sorted(path.name for path in out.iterdir()) == sorted([*names, "voc07_test.json"])
    assert "voc12_test is not written: there is no VOC2012/ImageSets/Main/test.txt" in caplog.text
    documents = {path.stem: json.loads(path.read_text()) for path in out.iterdir()}
    first, second, both = (documents[f"voc{years}_trainval"] for years in ("07", "12", "0712"))
    files = [image["file_name"] for image in both["images"]]
    assert files == ["000001.jpg", "000002.jpg", "000003.jpg", "2008_000001.jpg", "2008_000002.jpg"]
    assert [image["id"] for image in both["images"]] == [0, 1, 2, 3, 4]
    boxes = [[each["bbox"] for each in part["annotations"]] for part in (first, second, both)]
    assert boxes[0] + boxes[1] == boxes[2]
    assert [each["id"] for each in both["annotations"]] == list(range(1, len(boxes[2]) + 1))
    # The parts of an object (the person's head) are none themselves; the dog's sides are rounded.
    assert both["annotations"][-1]["bbox"] == [19, 30, 26, 32]
    persons = [each["bbox"] for each in both["annotations"] if each["category_id"] == 14]
    assert persons == [[19, 8, 40, 81]]


def test_miniature__each_novel_class_has_its_shots(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path)
    pascal_voc_to_coco.main([str(devkit)])
    annotations = CocoAnnotations.read(devkit / "voc0712_trainval.json")
    novel = [each for each in annotations.categories if each.name in voc.NOVEL]
    assert [category.name for category in novel] == list(voc.NOVEL)
    picks = sample_references(annotations, novel, n_shot=10, seed=33)
    assert [len(group) for group in picks.values()] == [10] * 5
    for image in annotations.images.values():
        with Image.open(devkit / image.file_name) as picture:
            assert picture.size == (image.width, image.height)


def test_convert__ids_from_0_would_draw_the_same_references(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path, shots=4)
    pascal_voc_to_coco.main([str(devkit)])
    path = devkit / "voc0712_trainval.json"
    published = json.loads(path.read_text())
    for each in published["annotations"]:
        each["id"] -= 1
    (devkit / "published.json").write_text(json.dumps(published))
    draws = []
    for name, first in ((path, 1), (devkit / "published.json", 0)):
        annotations = CocoAnnotations.read(name)
        novel = [each for each in annotations.categories if each.name in voc.NOVEL]
        picks = sample_references(annotations, novel, n_shot=3, seed=33)
        draws.append([[(p.img_id, p.ann_ids[0] - first) for p in picks[each.id]] for each in novel])
    assert draws[0] == draws[1]


def test_convert__one_year_alone(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path, shots=1)
    shutil.rmtree(devkit / "VOC2007")
    pascal_voc_to_coco.main([str(devkit)])
    written = sorted(path.name for path in devkit.glob("*.json"))
    assert written == ["voc12_train.json", "voc12_trainval.json", "voc12_val.json"]


WRONG = {
    "class": (one(1, 1, 9, 9, name="zebra"), r"'zebra' is no class of Pascal VOC"),
    "coordinate": (
        one("", 1, 9, 9),
        "xmin of an object is '', where there should be a number of pixels",
    ),
    "infinite": (one(1, 1, "inf", 9), "xmax of an object is 'inf'"),
    "huge": (one(1, 1, 9, "1e300"), "ymax of an object is '1e300'"),
    "no box": ("<object><name>cat</name></object>", "xmin of an object is None"),
    "turned": (one(9, 1, 8, 9), "the box of a cat ends before it begins"),
    "cut off": ("<object>", "cannot be read .*mismatched tag"),
}


@pytest.mark.parametrize(("content", "message"), WRONG.values(), ids=list(WRONG))
def test_convert__a_wrong_xml_is_named_and_nothing_is_written(
    devkit: Path, content: str, message: str
) -> None:
    write_xml(devkit, content)
    with pytest.raises(InputError, match=rf"000005\.xml: {message}"):
        convert(devkit)
    assert not list(devkit.glob("*.json"))


def test_convert__a_missing_xml_is_named(devkit: Path) -> None:
    write_xml(devkit)
    (devkit / "VOC2007/Annotations/000005.xml").unlink()
    with pytest.raises(InputError, match=r"000005\.xml: there is no such file"):
        convert(devkit)


def test_convert__wrong_devkits_and_formats(devkit: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere has no folder VOC2007 and no VOC2012"):
        pascal_voc_to_coco.main([str(tmp_path / "nowhere")])
    with pytest.raises(InputError, match="has no list of images"):
        pascal_voc_to_coco.main([str(devkit)])
    with pytest.raises(InputError, match=r"--out-format pkl .* give --out-format coco"):
        pascal_voc_to_coco.main([str(devkit), "--out-format", "pkl"])


def test_read_annotation__counts_what_it_rounds(devkit: Path) -> None:
    write_xml(devkit, one("1.5", "2.25", 9, "9.0"))
    assert read_annotation(devkit, "2007", "000005").rounded == 2


def test_change_filename__writes_short_names_one_folder_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATASETS_ROOT", str(tmp_path))
    devkit = voc.write(tmp_path, shots=1)
    annotations = tmp_path / "pascal_voc/annotations"
    with pytest.raises(InputError, match=r"no voc\*\.json in .*long_filenames; .* --flat"):
        change_filename_pascal.main([])
    pascal_voc_to_coco.main([str(devkit), "-o", str(annotations / "long_filenames")])
    change_filename_pascal.main([])
    shortened = {path.name: path.read_bytes() for path in annotations.glob("*.json")}
    assert len(shortened) == 10
    pascal_voc_to_coco.main([str(devkit), "-o", str(annotations), "--flat"])
    assert {path.name: path.read_bytes() for path in annotations.glob("*.json")} == shortened


def all_images(devkit: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in devkit.glob("VOC20*/JPEGImages/*.jpg")}


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_gather_images__links_that_survive_a_move(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path, shots=1)
    expected = all_images(devkit)
    pascal_voc_images.main([str(devkit)])
    assert content(devkit / "allimages") == expected
    assert all(path.is_symlink() for path in (devkit / "allimages").iterdir())
    moved = tmp_path / "elsewhere"
    devkit.rename(moved)
    assert content(moved / "allimages") == expected
    pascal_voc_images.main([str(moved)])
    assert content(moved / "allimages") == expected


def test_gather_images__copies_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devkit = voc.write(tmp_path, shots=1)

    def refuse(*_: Any) -> None:
        raise PermissionError("no links on this file system")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    pascal_voc_images.main([str(devkit)])
    assert content(devkit / "allimages") == all_images(devkit)
    assert not any(path.is_symlink() for path in (devkit / "allimages").iterdir())


def test_gather_images__the_other_place_is_used_and_completed(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path, shots=1)
    beside = devkit.parent / "allimages"
    beside.mkdir()
    shutil.copy(devkit / "VOC2007/JPEGImages/000101.jpg", beside)
    pascal_voc_images.main([str(devkit)])
    assert (devkit / "allimages").resolve() == beside.resolve()
    assert content(beside) == all_images(devkit)
    assert not (beside / "000101.jpg").is_symlink()


def test_gather_images__replaces_links_that_lead_nowhere(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path, shots=1)
    (devkit / "allimages").mkdir()
    (devkit / "allimages/000101.jpg").symlink_to("/nowhere/000101.jpg")
    pascal_voc_images.main([str(devkit)])
    assert content(devkit / "allimages") == all_images(devkit)


def test_gather_images__never_overwrites_another_file(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path, shots=1)
    (devkit / "allimages").mkdir()
    (devkit / "allimages/000103.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"allimages/000103\.jpg is another file than .*VOC2007"):
        pascal_voc_images.main([str(devkit)])
    assert content(devkit / "allimages") == {"000103.jpg": b"mine"}


def test_gather_images__needs_a_folder(tmp_path: Path) -> None:
    devkit = voc.write(tmp_path, shots=1)
    (devkit / "allimages").write_text("")
    with pytest.raises(InputError, match="allimages is a file, not a folder"):
        pascal_voc_images.main([str(devkit)])


def test_gather_images__needs_images(devkit: Path) -> None:
    with pytest.raises(InputError, match="has no images"):
        pascal_voc_images.main([str(devkit)])
    (devkit / "allimages").mkdir()
    pascal_voc_images.main([str(devkit)])  # the archives may have been removed since


def test_classes__are_those_of_the_splits() -> None:
    assert len(CLASSES) == 20 and set(voc.NOVEL) < set(CLASSES)
