"""Reading COCO json: what is kept, what is tolerated, and the sentence for everything else."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from no_time_to_train.coco.annotations import (
    Annotation,
    CocoAnnotations,
    ImageInfo,
    check_truths,
    image_path,
    instance_area,
    rasterise,
)
from no_time_to_train.errors import InputError
from tests.unit.coco_files import annotation, document, image, write_json

ROOT = Path(__file__).resolve().parents[2]


def read(folder: Path, content: Any) -> CocoAnnotations:
    return CocoAnnotations.read(write_json(folder, content))


def instance(segmentation: Any, **changes: Any) -> Annotation:
    fields = {"iscrowd": 0, "area": None, "isimpossible": 0, **changes}
    return Annotation(1, 7, 9, (0, 0, 4, 3), segmentation, **fields)


def test_read__keeps_everything_in_file_order(tmp_path: Path) -> None:
    coco = read(tmp_path, document())
    assert list(coco.images) == [7, 3]
    assert coco.images[7] == ImageInfo(id=7, file_name="a.png", height=40, width=60)
    assert [(entry.id, entry.image_id) for entry in coco.annotations] == [(1, 7), (2, 7), (5, 3)]
    assert coco.annotations[0].bbox == (10, 10, 10, 10)
    assert [(entry.id, entry.name) for entry in coco.categories] == [(16, "bird"), (9, "boat")]


def test_of_image__gives_the_instances_of_one_image(tmp_path: Path) -> None:
    content = document(images=[image(7, "a.png"), image(3, "b.png"), image(4, "empty.png")])
    coco = read(tmp_path, content)
    assert [entry.id for entry in coco.of_image(7)] == [1, 2]
    assert coco.of_image(4) == []


def test_read__tolerates_what_lvis_leaves_out(tmp_path: Path) -> None:
    url = "http://images.cocodataset.org/train2017/000000391895.jpg"
    coco = read(
        tmp_path,
        {
            "images": [{"id": 1, "coco_url": url, "neg_category_ids": []}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, 1.5, 1]}],
            "categories": [{"id": 2, "name": "mug"}],
        },
    )
    assert coco.images[1] == ImageInfo(1, "000000391895.jpg", None, None, ())
    only = coco.annotations[0]
    assert (only.iscrowd, only.isimpossible, only.area, only.segmentation) == (0, 0, None, None)


def test_read__keeps_what_the_lvis_protocol_needs(tmp_path: Path) -> None:
    lists = {"neg_category_ids": [9, 3], "not_exhaustive_category_ids": []}
    content = document(images=[image(7, "a.png") | lists, image(3, "b.png")])
    content["categories"][0]["frequency"] = "r"
    content["categories"][1]["frequency"] = 0.5  # of some other data set
    coco = read(tmp_path, content)
    first, second = coco.images.values()
    assert (first.neg_category_ids, first.not_exhaustive_category_ids) == ((9, 3), ())
    assert (second.neg_category_ids, second.not_exhaustive_category_ids) == (None, None)
    assert [category.frequency for category in coco.categories] == ["r", None]


@pytest.mark.parametrize("empty", [[], [[]], {}, None])
def test_read__takes_an_empty_segmentation_for_none(tmp_path: Path, empty: Any) -> None:
    content = document(annotations=[annotation(1, 7, 16, segmentation=empty)])
    assert read(tmp_path, content).annotations[0].segmentation is None


def test_read__warns_once_of_repeated_annotation_ids(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    repeats = [annotation(1, 7, 16), annotation(1, 3, 9), annotation(1, 7, 9)]
    with caplog.at_level(logging.WARNING):
        coco = read(tmp_path, document(annotations=repeats))
    assert len(coco.annotations) == 3
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'coco.json'}: 2 annotations repeat the id of another one"
    ]


ONE = annotation(1, 7, 16)
WRONG = {
    "empty file": ("", "is empty"),
    "no json": ("hello, world", "not valid json at line 1, column 1"),
    "a list": ([], "got a list"),
    "no images": ({"annotations": [], "categories": []}, 'no "images"'),
    "no annotations": ({"images": [], "categories": []}, 'no "annotations"'),
    "no categories": ({"images": [], "annotations": []}, 'no "categories"'),
    "images no list": (document(images={}), '"images" must be a list, got an object'),
    "image no object": (document(images=[image(7, "a"), 3]), 'entry 1 of "images" must be an obj'),
    "image without id": (document(images=[{"file_name": "a"}]), '"id" must be a whole number'),
    "image without name": (document(images=[{"id": 7}]), '(id 7): "file_name"'),
    "image without height": (document(images=[image(7, "a", height=0)]), '"height" must be a pos'),
    "image twice": (document(images=[image(7, "a"), image(7, "b")]), "image id 7 is given to 2"),
    "negative classes": (
        document(images=[image(7, "a") | {"neg_category_ids": ["9"]}]),
        '"neg_category_ids" must be a list of category ids',
    ),
    "not exhaustive classes": (
        document(images=[image(7, "a") | {"not_exhaustive_category_ids": 9}]),
        '"not_exhaustive_category_ids" must be a list of category ids',
    ),
    "category id": (document(categories=[{"id": "9", "name": "x"}]), '"id" must be a whole'),
    "category name": (document(categories=[{"id": 9}]), '"name" must be the name of the class'),
    "category twice": (
        document(categories=[{"id": 9, "name": "x"}, {"id": 9, "name": "y"}]),
        "category id 9 is given to 2",
    ),
    "annotation no object": (document(annotations=["x"]), 'entry 0 of "annotations" must be'),
    "annotation without image": (document(annotations=[annotation(4, 99, 16)]), "image 99, which"),
    "annotation without category": (
        document(annotations=[annotation(4, 7, 5)]),
        "annotation 4 has category 5, which",
    ),
    "no box": (document(annotations=[{**ONE, "bbox": None}]), '(id 1): "bbox" must be four'),
    "short box": (document(annotations=[{**ONE, "bbox": [1, 2, 3]}]), "got [1, 2, 3]"),
    "text box": (document(annotations=[{**ONE, "bbox": [1, 2, 3, "4"]}]), "four finite numbers"),
    "nan box": (
        document(annotations=[{**ONE, "bbox": [1, 2, 3, float("nan")]}]),
        "got [1, 2, 3, n",
    ),
    "infinite box": (document(annotations=[{**ONE, "bbox": [0, 0, 1, 1e999]}]), "four finite"),
    "far box": (document(annotations=[{**ONE, "bbox": [0, 0, 1, 1e200]}]), "more than 1000000 px"),
    "long side": (document(images=[image(7, "a", height=10**9)]), "up to 1000000, got 1000000000"),
    "huge box": (document(annotations=[{**ONE, "bbox": [0, 0, 1, 10**400]}]), "four finite"),
    "crowd": (document(annotations=[{**ONE, "iscrowd": "yes"}]), '"iscrowd" must be 0 or 1'),
    "area": (document(annotations=[{**ONE, "area": "big"}]), '"area" must be a number'),
    "segmentation": (document(annotations=[{**ONE, "segmentation": "x"}]), "got a string"),
    "deep": ("[" * 100_000, "nest too deep"),
}


@pytest.mark.parametrize(("content", "piece"), WRONG.values(), ids=list(WRONG))
def test_read__says_in_one_line_what_is_wrong(tmp_path: Path, content: Any, piece: str) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'coco.json'}: ")
    assert piece in message
    assert "\n" not in message


def test_read__says_so_of_a_truncated_file(tmp_path: Path) -> None:
    text = json.dumps(document())
    for length in range(2, len(text) - 1, 3):
        with pytest.raises(InputError, match="cut off after"):
            read(tmp_path, text[:length])


def test_read__names_a_missing_a_binary_and_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.json: there is no such file"):
        CocoAnnotations.read(tmp_path / "nowhere.json")
    with pytest.raises(InputError, match="is a folder"):
        CocoAnnotations.read(tmp_path)
    (tmp_path / "picture.json").write_bytes(b"\x89PNG\xff\xfe\x00")
    with pytest.raises(InputError, match="not a json file but a binary one"):
        CocoAnnotations.read(tmp_path / "picture.json")


def test_rasterise__fills_a_polygon() -> None:
    mask = rasterise(instance([[1, 1, 3, 1, 3, 3, 1, 3]]), ImageInfo(7, "a.png", 4, 5))
    assert mask.dtype == bool
    np.testing.assert_array_equal(
        mask.astype(int), [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]]
    )


def test_rasterise__unites_polygons_and_drops_those_without_area() -> None:
    parts = [[0, 0], [0, 0, 1, 1], [0, 0, 1, 0, 1, 1, 0, 1], [3, 2, 5, 2, 5, 3, 3, 3]]
    mask = rasterise(instance(parts), ImageInfo(7, "a.png", 3, 5))
    np.testing.assert_array_equal(mask.astype(int), [[1, 0, 0, 0, 0], [0] * 5, [0, 0, 0, 1, 1]])


def test_rasterise__runs_down_the_columns() -> None:
    runs = {"size": [3, 2], "counts": [1, 2, 1, 2]}
    mask = rasterise(instance(runs), ImageInfo(7, "a.png", 3, 2))
    np.testing.assert_array_equal(mask.astype(int), [[0, 0], [1, 1], [1, 1]])


def test_rasterise__reads_the_compressed_strings_of_pycocotools() -> None:
    generator = np.random.default_rng(0)
    for density in (0.0, 0.01, 0.3, 0.9, 1.0):
        expected = generator.random((60, 47)) < density
        rle = coco_mask.encode(np.asfortranarray(expected, dtype=np.uint8))
        for counts in (rle["counts"], rle["counts"].decode()):
            segmentation = {"size": [60, 47], "counts": counts}
            mask = rasterise(instance(segmentation), ImageInfo(7, "a.png", 60, 47))
            np.testing.assert_array_equal(mask, expected)


BAD_SEGMENTATIONS = {
    "flat list": ([1, 1, 3, 1, 3, 3], "must be a list of polygons"),
    "odd": ([[1, 1, 3, 1, 3, 3, 2]], "odd number of coordinates"),
    "text": ([[1, 1, 3, 1, 3, "3"]], "not a finite number: '3'"),
    "nan": ([[1, 1, 3, 1, 3, float("nan")]], "not a finite number: nan"),
    "far": ([[1, 1, 1e9, 1, 3, 3]], "beyond 100000 px"),
    "no counts": ({"size": [3, 2]}, "neither a string nor a list"),
    "size": ({"size": [2, 3], "counts": [6]}, "RLE size [2, 3], the image has [3, 2]"),
    "sum": ({"size": [3, 2], "counts": [1, 2]}, "counts for 3 pixels, the image 6"),
    "negative": ({"size": [3, 2], "counts": [7, -1]}, "neither a string nor a list"),
    "damaged": ({"size": [3, 2], "counts": "\n"}, "damaged RLE"),
    "overlong": ({"size": [3, 2], "counts": "o" * 100}, "damaged RLE"),
    "cut off": ({"size": [3, 2], "counts": "o"}, "cut off"),
}


@pytest.mark.parametrize(
    ("segmentation", "piece"), BAD_SEGMENTATIONS.values(), ids=list(BAD_SEGMENTATIONS)
)
def test_rasterise__says_what_is_malformed(segmentation: Any, piece: str) -> None:
    with pytest.raises(InputError) as caught:
        rasterise(instance(segmentation), ImageInfo(7, "a.png", 3, 2))
    assert str(caught.value).startswith("annotation 1 of image a.png: its segmentation ")
    assert piece in str(caught.value)


def test_rasterise__needs_a_segmentation_and_a_size() -> None:
    with pytest.raises(InputError, match="no segmentation; make one with sam_bbox_to_segm_batch"):
        rasterise(instance(None), ImageInfo(7, "a.png", 3, 2))
    with pytest.raises(InputError, match="no height and width"):
        rasterise(instance([[0, 0, 1, 0, 1, 1]]), ImageInfo(7, "a.png", None, 2))


def test_instance_area__is_given_or_that_of_the_mask_or_of_the_box() -> None:
    picture = ImageInfo(7, "a.png", 5, 5)
    square = [[1, 1, 3, 1, 3, 3, 1, 3]]
    assert instance_area(instance(square, area=3.5), picture) == 3.5
    assert instance_area(instance(square), picture) == 4
    assert instance_area(instance(None), picture) == 12


@pytest.mark.parametrize("name", ["/etc/passwd", "../a.png", "b/../../a.png", "", ".", "a\0b"])
def test_image_path__refuses_to_leave_the_folder(name: str) -> None:
    with pytest.raises(InputError, match="does not stay inside the data set's folder data"):
        image_path("data", name)


def test_image_path__joins_folders_below(tmp_path: Path) -> None:
    assert image_path(tmp_path, "train/a..b.png") == tmp_path / "train" / "a..b.png"


def test_import__loads_neither_networks_nor_mask_code() -> None:
    code = (
        "import sys, no_time_to_train.coco.annotations; "
        "print({'torch', 'lightning', 'pycocotools', 'PIL'} & set(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


BEFORE_A_RUN = {  # the outline has 24 sides of 99,999 px
    "image": ([image(7, "a.png", 60_000, 60_000), image(3, "b.png")], {}, "a.png .* 60000 x 60000"),
    "far": (None, {"segmentation": [[0, 0, 2e5, 0, 9, 9]]}, "annotation 1 of a.png: .* 200000.0"),
    "nan": (None, {"segmentation": [[0, 0, float("nan"), 0, 9, 9]]}, "annotation 1 .* finite"),
    "outline": (None, {"segmentation": [[0, 0, 99_999, 0] * 12]}, "outline of 2399976 px"),
    "size": (None, {"segmentation": {"size": [9, 9], "counts": [81]}}, r"RLE size \[9, 9\]"),
}


@pytest.mark.parametrize(
    ("images", "change", "message"), BEFORE_A_RUN.values(), ids=list(BEFORE_A_RUN)
)
def test_check_truths__names_what_cannot_be_evaluated(
    tmp_path: Path, images: Any, change: dict, message: str
) -> None:
    content = document(annotations=[annotation(1, 7, 16, **change)])
    coco = read(tmp_path, {**content, "images": images or content["images"]})
    with pytest.raises(InputError, match=message):
        check_truths(coco, [16])


def test_check_truths__leaves_other_classes_alone(tmp_path: Path) -> None:
    coco = read(tmp_path, document(annotations=[annotation(1, 7, 16, segmentation=[[1e9] * 6])]))
    check_truths(coco, [9])


def test_rasterise__takes_no_memory_for_a_mask_too_large() -> None:
    with pytest.raises(InputError, match="60000 x 60000 pixels, the limit"):
        rasterise(instance([[0, 0, 9, 9]]), ImageInfo(7, "a.png", 60_000, 60_000))


@pytest.mark.parametrize(
    "text", ['{"images": [],}', '{"images": [1,]}', '{"images": [{"id": 1,}]}']
)
def test_read__does_not_call_a_trailing_comma_cut_off(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"not valid json at line 1.*comma"):
        read(tmp_path, text)


def test_read__refuses_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="is a named pipe"):
        CocoAnnotations.read(tmp_path / "pipe.json")
