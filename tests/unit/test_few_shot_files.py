"""Few-shot files of TFA and DeFRCN, written by hand, as reference sets."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from no_time_to_train.dataset import pascal_voc_to_coco
from no_time_to_train.dataset.class_splits import class_names
from no_time_to_train.dataset.few_shot_files import main
from no_time_to_train.dataset.reference_set import ReferencePick, read_reference_set
from no_time_to_train.errors import InputError
from tests.miniatures import voc
from tests.unit.coco_files import annotation, image, write_json

NAMES = class_names("few_shot_classes")
IDS = {name: number for number, name in enumerate(NAMES, start=1)}


@pytest.fixture
def coco(tmp_path: Path) -> Path:
    """A data set with five images, each with one object of every class; files for two shots.

    The object of class c in image i has the id 100 c + i; the files have images 3 and 1.
    """
    images = [image(number, f"{number:012}.jpg", 100, 100) for number in range(5)]
    objects = [
        annotation(100 * c + i, i, c, bbox=[10.25 + i, 10, 40, 50])
        for i in range(5)
        for c in IDS.values()
    ]
    categories = [{"id": number, "name": name} for name, number in IDS.items()]
    write_json(
        tmp_path, {"images": images, "annotations": objects, "categories": categories}, "train.json"
    )
    for name, number in IDS.items():
        wanted = [each for i in (3, 1) for each in objects if each["id"] == 100 * number + i]
        write_class(tmp_path, name, wanted)
    return tmp_path


def write_class(folder: Path, name: str, annotations: list[dict]) -> None:
    document = {"info": {}, "images": [], "categories": [], "annotations": annotations}
    write_json(folder, document, f"full_box_2shot_{name}_trainval.json")


def run(folder: Path, dataset: str = "few_shot_classes", n_shot: int = 2) -> dict[int, Any]:
    words = f"{folder} --n-shot {n_shot} --dataset {dataset} --json-file {folder}/train.json"
    main([*words.split(), "--out-path", str(folder / "set.pkl")])
    return read_reference_set(folder / "set.pkl")


def test_coco__annotations_by_id(coco: Path) -> None:
    assert "dining table" in NAMES  # a name with a space, in a file's name
    expected = {c: [ReferencePick(i, [100 * c + i]) for i in (3, 1)] for c in IDS.values()}
    assert run(coco) == expected


def test_coco__boxes_may_be_rounded(coco: Path) -> None:
    write_class(
        coco, "boat", [annotation(100 * IDS["boat"], 0, IDS["boat"], bbox=[10, 10, 40, 50])]
    )
    assert run(coco)[IDS["boat"]] == [ReferencePick(0, [100 * IDS["boat"]])]


BOAT = IDS["boat"]
WRONG = {
    "val": (
        [annotation(7, 42, BOAT), annotation(100 * BOAT, 0, BOAT, bbox=[10.25, 10, 40, 50])],
        r"1 of 2 annotations, the first of image 42, are not in .*train\.json: .*trainvalno5k",
    ),
    "box": (
        [annotation(100 * BOAT, 0, BOAT, bbox=[10.25, 10, 40, 52])],
        r"annotation \d+ has image 0, category \d+ and box \[10.25, 10, 40, 52\], in .*40, 50\]",
    ),
    "image": (
        [annotation(100 * BOAT, 1, BOAT, bbox=[10.25, 10, 40, 50])],
        "has image 1, .* image 0,",
    ),
    "class": (
        [annotation(100 * IDS["cat"], 0, IDS["cat"], bbox=[10.25, 10, 40, 50])],
        rf"has category {IDS['cat']}, but boat is {BOAT}",
    ),
    "entry": ([{"id": 3, "image_id": 1}], '"category_id" must be a whole number'),
    "no list": ("none", 'it has no list "annotations"'),
}


@pytest.mark.parametrize(("annotations", "message"), WRONG.values(), ids=list(WRONG))
def test_coco__what_does_not_agree_is_a_sentence(
    coco: Path, annotations: Any, message: str
) -> None:
    write_class(coco, "boat", annotations)
    with pytest.raises(InputError, match=rf"full_box_2shot_boat_trainval\.json: .*{message}"):
        run(coco)
    assert not (coco / "set.pkl").exists()


def test_coco__a_missing_class_or_number_of_shots(coco: Path) -> None:
    with pytest.raises(InputError, match=r"has neither full_box_3shot_<class>_trainval\.json nor"):
        run(coco, n_shot=3)
    (coco / "full_box_2shot_boat_trainval.json").unlink()
    with pytest.raises(InputError, match=r"lacks full_box_2shot_boat_trainval\.json; choose"):
        run(coco)


def test_coco__a_file_is_not_overwritten(coco: Path) -> None:
    path = coco / "full_box_2shot_boat_trainval.json"
    before = path.read_bytes()
    words = f"{coco} --n-shot 2 --dataset few_shot_classes --json-file {coco}/train.json"
    with pytest.raises(InputError, match=r"--out-path .* would replace the few-shot file"):
        main([*words.split(), "--out-path", str(path)])
    assert path.read_bytes() == before


SOFA_IMAGE = "datasets/VOC2012/JPEGImages/2008_000001.jpg"
"""Sofa, bird, bus, cow; image 3 of the annotations, after three of 2007."""
BIRD_IMAGES = ("datasets/VOC2007/JPEGImages/000001.jpg", "datasets/VOC2007/JPEGImages/000002.jpg")
"""Bird, bus, cow, motorbike (image 0); motorbike, sofa, bird, bus (image 1)."""
LISTS = {
    "bird": (SOFA_IMAGE, BIRD_IMAGES[1]),
    "bus": (BIRD_IMAGES[1], SOFA_IMAGE),
    "cow": (SOFA_IMAGE, BIRD_IMAGES[0]),
    "motorbike": BIRD_IMAGES,
    "sofa": (SOFA_IMAGE, BIRD_IMAGES[1]),
}


@pytest.fixture
def vocsplit(tmp_path: Path) -> Path:
    """The miniature's annotations, and lists of two images a class."""
    devkit = voc.write(tmp_path, shots=2)
    pascal_voc_to_coco.main([str(devkit), "--flat"])
    (devkit / "voc0712_trainval.json").rename(tmp_path / "train.json")
    for name, lines in LISTS.items():
        (tmp_path / f"box_2shot_{name}_train.txt").write_text("\n".join([*lines, ""]))
    return tmp_path


def test_voc__objects_of_the_class_in_the_listed_images(vocsplit: Path) -> None:
    picks = run(vocsplit, "pascal_voc_split_1")
    assert {key: [pick.img_id for pick in group] for key, group in picks.items()} == {
        2: [3, 1],
        5: [1, 3],
        9: [3, 0],
        13: [0, 1],
        17: [3, 1],
    }
    document = json.loads((vocsplit / "train.json").read_text())
    category_of = {each["id"]: each["category_id"] for each in document["annotations"]}
    for key, group in picks.items():
        assert [category_of[pick.ann_ids[0]] for pick in group] == [key, key]


def test_voc__every_object_counts_until_there_are_enough(vocsplit: Path) -> None:
    path = vocsplit / "box_2shot_bird_train.txt"
    path.write_text("VOC2007/JPEGImages/000003.jpg\ndatasets/pascal_voc/VOC2007/000001.jpg\n")
    document = json.loads((vocsplit / "train.json").read_text())
    birds = [each for each in document["annotations"] if each["category_id"] == 2]
    difficult = next(each for each in birds if each["iscrowd"])
    plain = next(each for each in birds if each["image_id"] == 0)
    assert run(vocsplit, "pascal_voc_split_1")[2] == [
        ReferencePick(2, [difficult["id"]]),
        ReferencePick(0, [plain["id"]]),
    ]
    document["annotations"].insert(0, {**difficult, "id": 1000, "iscrowd": 0})
    write_json(vocsplit, document, "train.json")
    picks = run(vocsplit, "pascal_voc_split_1")[2]
    assert [pick.ann_ids for pick in picks] == [[1000], [difficult["id"]]]


def test_voc__too_few_objects_are_said(vocsplit: Path, caplog: pytest.LogCaptureFixture) -> None:
    (vocsplit / "box_2shot_bird_train.txt").write_text("VOC2007/JPEGImages/000001.jpg\n")
    with caplog.at_level(logging.WARNING):
        assert len(run(vocsplit, "pascal_voc_split_1")[2]) == 1
    assert "box_2shot_bird_train.txt has 1 references, not 2" in caplog.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("VOC2007/JPEGImages/000999.jpg", r"000999\.jpg is not in .*train\.json; give the json of"),
        ("VOC2012/JPEGImages/2008_000002.jpg", r"has no bird in 2008_000002\.jpg"),
    ],
)
def test_voc__what_does_not_agree_is_a_sentence(vocsplit: Path, line: str, message: str) -> None:
    (vocsplit / "box_2shot_bird_train.txt").write_text(f"{line}\n")
    with pytest.raises(InputError, match=rf"box_2shot_bird_train\.txt: .*{message}"):
        run(vocsplit, "pascal_voc_split_1")
    assert not (vocsplit / "set.pkl").exists()
