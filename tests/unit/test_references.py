"""The references that fill the memory, and every reason why they cannot."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from no_time_to_train.config import ClassNames, FillMemoryDataConfig
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.errors import InputError
from tests.unit.coco_files import SQUARE, annotation, document, image, write_images, write_json

BIRD = {"img_id": 7, "ann_ids": [1]}
BOAT = {"img_id": 7, "ann_ids": [2, 99]}
OTHER_BOAT = {"img_id": 3, "ann_ids": [5]}


def settings(
    folder: Path, content: Any = None, references: Any = None, **changes: Any
) -> FillMemoryDataConfig:
    """Two images, one bird and one boat as references."""
    values = {
        "root": write_images(folder / "images"),
        "json_file": write_json(folder, document() if content is None else content),
        "memory_pkl": write_json(folder, references or {"16": [BIRD], "9": [BOAT]}, "set.json"),
    }
    numbers = {"image_size": 28, "memory_length": 1, "cat_names": ClassNames(["bird", "boat"])}
    paths = {key: str(path) for key, path in values.items()}
    return FillMemoryDataConfig(**{**paths, **numbers, **changes})


def test_dataset__gives_references_in_the_order_of_the_set(tmp_path: Path) -> None:
    references = {"9": [OTHER_BOAT, BOAT], "16": [BIRD, BIRD]}
    dataset = ReferenceDataset(settings(tmp_path, references=references, memory_length=2))
    assert dataset.class_names == ["boat", "bird"]
    assert [category.id for category in dataset.categories] == [9, 16]
    found = [(item.class_index, item.slot, item.image_id, item.index) for item in dataset]
    assert found == [(0, 0, 3, 0), (0, 1, 7, 1), (1, 0, 7, 2), (1, 1, 7, 3)]
    assert dataset[0].source == "annotation 5 of image b.png"


def test_picture_names__of_repetitions_are_that_of_the_first(tmp_path: Path) -> None:
    another = {"img_id": 7, "ann_ids": [4]}
    content = document(
        annotations=[annotation(1, 7, 16), annotation(4, 7, 16), annotation(2, 7, 9)]
    )
    references = {"16": [BIRD, another, BIRD, BIRD], "9": [BOAT]}
    dataset = ReferenceDataset(settings(tmp_path, content, references, memory_length=4))
    assert dataset.picture_names == ["1_7.png", "1_7_1.png", "1_7.png", "1_7.png", "0_7.png"]


def test_dataset__crops_image_and_mask_around_the_instance(tmp_path: Path) -> None:
    reference = ReferenceDataset(settings(tmp_path, context_ratio=1.8))[0]
    assert (reference.image.shape, reference.mask.shape) == ((3, 28, 28), (28, 28))
    torch.testing.assert_close(reference.image, torch.full((3, 28, 28), 128 / 255))
    # The 28 x 28 square from (1, 1) on is the crop, pixel for pixel.
    expected = torch.zeros(28, 28)
    expected[9:19, 9:19] = 1
    torch.testing.assert_close(reference.mask, expected)


def test_dataset__ignores_classes_that_are_not_wanted(tmp_path: Path) -> None:
    references = {"16": [BIRD, BIRD, BIRD], "9": [BOAT], "77": []}
    config = settings(tmp_path, references=references, cat_names=ClassNames(["boat"]))
    dataset = ReferenceDataset(config)
    assert [(item.class_index, item.source) for item in dataset] == [
        (0, "annotation 2 of image a.png")
    ]


def test_dataset__tells_repeated_annotation_ids_apart(tmp_path: Path) -> None:
    repeated = document(annotations=[annotation(1, 7, 16), annotation(1, 3, 9)])
    references = {"16": [BIRD], "9": [{"img_id": 3, "ann_ids": [1]}]}
    dataset = ReferenceDataset(settings(tmp_path, repeated, references))
    assert [item.image_id for item in dataset] == [7, 3]


def test_dataset__takes_sizes_from_the_files_where_the_json_has_none(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.png"}, {"id": 3, "coco_url": "http://x/b.png"}]
    dataset = ReferenceDataset(settings(tmp_path, document(images=images)))
    assert [item.mask.shape for item in dataset] == [(28, 28), (28, 28)]


def test_dataset__needs_only_the_images_of_references(tmp_path: Path) -> None:
    config = settings(tmp_path)
    (tmp_path / "images" / "b.png").unlink()
    assert len(ReferenceDataset(config)) == 2


def changed(number: int, **changes: Any) -> dict[str, Any]:
    """The document with another annotation in the place of annotation `number`."""
    entries = {1: annotation(1, 7, 16), 2: annotation(2, 7, 9), 5: annotation(5, 3, 9)}
    entries[number] = {**entries[number], **changes}
    return document(annotations=list(entries.values()))


SEGMENT = (
    "annotation 1 of image a.png has a box but no segmentation; run `python "
    "no_time_to_train/dataset/sam_bbox_to_segm_batch.py --input_json FOLDER/coco.json "
    "--image_dir FOLDER/images --sam_checkpoint CHECKPOINT` and use the json that it writes"
)
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no references": (
        {"references": {"16": [BIRD]}},
        "FOLDER/set.json holds no references for boat; make it for these classes",
    ),
    "other counts": (
        {"references": {"16": [BIRD] * 3, "9": [BOAT, OTHER_BOAT]}, "memory_length": 2},
        "memory_length is 2 references per class, but in FOLDER/set.json bird has 3; set",
    ),
    "unknown image": (
        {"references": {"16": [{"img_id": 8, "ann_ids": [1]}], "9": [BOAT]}},
        "FOLDER/set.json refers to annotation 1 of image 8, which FOLDER/coco.json does not have",
    ),
    "unknown annotation": (
        {"references": {"16": [BIRD], "9": [{"img_id": 3, "ann_ids": [2]}]}},
        "refers to annotation 2 of image 3, which",
    ),
    "other category": (
        {"references": {"16": [OTHER_BOAT], "9": [BOAT]}},
        "gives annotation 5 of image b.png to category 16, in FOLDER/coco.json it has category 9",
    ),
    "no segmentation": ({"content": changed(1, segmentation=[])}, SEGMENT),
    "broken segmentation": (
        {"content": changed(1, segmentation=[[1, 2, 3, 4, 5, 6, 7]])},
        "annotation 1 of image a.png: its segmentation holds a polygon with an odd number",
    ),
    "box outside": (
        {"content": changed(2, bbox=[500, 10, 10, 10])},
        "annotation 2 of image a.png: the box [500, 10, 10, 10] (x, y, w, h) has no pixel in",
    ),
    "file name": (
        {"content": document(images=[image(7, "../a.png"), image(3, "b.png")])},
        "file_name '../a.png' does not stay inside the data set's folder FOLDER/images",
    ),
    "missing image": (
        {"content": document(images=[image(7, "c.png"), image(3, "b.png")])},
        "dataset_cfgs.fill_memory.root: 1 of 1 images are not in FOLDER/images, the first is",
    ),
    "class": ({"cat_names": ClassNames(["boot"])}, "no category 'boot' (did you mean 'boat'?)"),
    "root": ({"root": "nowhere"}, "dataset_cfgs.fill_memory.root: there is no folder nowhere"),
    "json": ({"json_file": "nowhere.json"}, "nowhere.json: there is no such file"),
    "set": ({"memory_pkl": "nowhere.pkl"}, "nowhere.pkl: there is no such reference set"),
}


@pytest.mark.parametrize(("changes", "piece"), WRONG.values(), ids=list(WRONG))
def test_dataset__says_at_once_why_it_cannot_be(
    tmp_path: Path, changes: dict[str, Any], piece: str
) -> None:
    config = settings(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        ReferenceDataset(config)
    assert piece.replace("FOLDER", str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dataset__refuses_a_file_of_another_size(tmp_path: Path) -> None:
    dataset = ReferenceDataset(settings(tmp_path))
    Image.new("RGB", (60, 41)).save(tmp_path / "images" / "a.png")
    with pytest.raises(InputError, match=r"a\.png \(id 7\) has 41 x 60 .* says 40 x 60"):
        dataset[0]


def test_dataset__refuses_a_mask_outside_its_box(tmp_path: Path) -> None:
    far = [[50, 30, 55, 30, 55, 35]]
    dataset = ReferenceDataset(settings(tmp_path, changed(1, segmentation=far)))
    with pytest.raises(InputError, match=r"annotation 1 of image a\.png: its mask has no pixel in"):
        dataset[0]


def test_dataset__travels_to_workers_without_the_json(tmp_path: Path) -> None:
    many = [annotation(number, 3, 9, segmentation=SQUARE * 9) for number in range(100, 600)]
    content = document(annotations=[annotation(1, 7, 16), annotation(2, 7, 9), *many])
    dataset = ReferenceDataset(settings(tmp_path, content))
    sent = pickle.dumps(dataset)
    assert len(sent) < 3000
    torch.testing.assert_close(pickle.loads(sent)[1].mask, dataset[1].mask)


def test_dataset__keeps_its_sentence_when_a_worker_fails(tmp_path: Path) -> None:
    dataset = ReferenceDataset(settings(tmp_path))
    (tmp_path / "images" / "a.png").write_bytes(b"")
    loader = DataLoader(dataset, batch_size=None, num_workers=1)
    with pytest.raises(InputError, match=r"InputError: .*a\.png is no image in a known format"):
        list(loader)
