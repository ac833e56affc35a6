"""The images to segment."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from no_time_to_train.config import ClassNames, TestDataConfig
from no_time_to_train.dataset.targets import TargetDataset
from no_time_to_train.errors import InputError
from no_time_to_train.structures import BadImage
from tests.unit.bad_images import BREAK, modes_respected, write_frames
from tests.unit.coco_files import annotation, document, image, write_images, write_json


def settings(folder: Path, content: Any = None, **changes: Any) -> TestDataConfig:
    values = {
        "root": str(write_images(folder / "images")),
        "json_file": str(write_json(folder, content or document())),
        "image_size": 32,
        "cat_names": ClassNames(["bird", "boat"]),
    }
    return TestDataConfig(**{**values, **changes})


def test_dataset__gives_all_images_in_file_order(tmp_path: Path) -> None:
    dataset = TargetDataset(settings(tmp_path))
    assert [(target.image_id, target.index) for target in dataset] == [(7, 0), (3, 1)]
    assert [target.original_size for target in dataset] == [(40, 60), (40, 60)]
    assert dataset[0].image.shape == (3, 32, 32)
    torch.testing.assert_close(dataset[0].image, torch.full((3, 32, 32), 128 / 255))
    assert dataset.class_names == ["boat", "bird"]
    assert [category.id for category in dataset.categories] == [9, 16]


def test_dataset__keeps_images_without_wanted_instances(tmp_path: Path) -> None:
    config = settings(tmp_path, document(annotations=[]), cat_names=ClassNames(["bird"]))
    assert len(TargetDataset(config)) == 2


def test_has_truth__is_about_annotations_of_wanted_classes(tmp_path: Path) -> None:
    assert TargetDataset(settings(tmp_path)).has_truth
    assert not TargetDataset(settings(tmp_path, document(annotations=[]))).has_truth
    of_boats = document(annotations=[annotation(1, 7, 9)])
    assert not TargetDataset(settings(tmp_path, of_boats, cat_names=ClassNames(["bird"]))).has_truth


def test_dataset__does_not_keep_the_aspect_ratio(tmp_path: Path) -> None:
    config = settings(tmp_path, image_size=32)
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[:, 30:] = (255, 0, 51)
    Image.fromarray(pixels).save(tmp_path / "images" / "a.png")
    squeezed = TargetDataset(config)[0].image  # the border between black and colour in the middle
    torch.testing.assert_close(squeezed[:, 0, 0], torch.tensor([0.0, 0.0, 0.0]))
    torch.testing.assert_close(squeezed[:, 31, 31], torch.tensor([1.0, 0.0, 0.2]))
    assert squeezed[0, 0, 15] < 0.5 < squeezed[0, 0, 16]


def test_dataset__takes_the_original_size_from_the_file(tmp_path: Path) -> None:
    images = [{"id": "x", "file_name": "a.png"}]
    target = TargetDataset(settings(tmp_path, document(images=images, annotations=[])))[0]
    assert (target.image_id, target.original_size) == ("x", (40, 60))


def test_dataset__refuses_a_file_of_another_size(tmp_path: Path) -> None:
    images = [image(7, "a.png", 60, 40), image(3, "b.png")]
    dataset = TargetDataset(settings(tmp_path, document(images=images)))
    with pytest.raises(InputError, match=r"a\.png \(id 7\) has 40 x 60 pixels .* says 60 x 40"):
        dataset[0]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no images": (
        {"content": document(images=[], annotations=[])},
        'FOLDER/coco.json: "images" is empty; list the images to segment',
    ),
    "missing image": (
        {"content": document(images=[image(7, "a.png"), image(3, "c.png")])},
        "dataset_cfgs.test.root: 1 of 2 images are not in FOLDER/images, the first is",
    ),
    "root": ({"root": "nowhere"}, "dataset_cfgs.test.root: there is no folder nowhere"),
    "json": ({"json_file": "nowhere.json"}, "nowhere.json: there is no such file"),
    "split": ({"cat_names": None, "class_split": "coco2"}, "there is no class split 'coco2'"),
    "classes": ({"cat_names": None}, "asked for by the 80 COCO classes; set cat_names or class"),
}


@pytest.mark.parametrize(("changes", "piece"), WRONG.values(), ids=list(WRONG))
def test_dataset__says_at_once_why_it_cannot_be(
    tmp_path: Path, changes: dict[str, Any], piece: str
) -> None:
    config = settings(tmp_path, **changes)
    with pytest.raises(InputError) as caught:
        TargetDataset(config)
    assert piece.replace("FOLDER", str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("way", BREAK)
def test_bad_image__is_skipped_with_a_warning_or_ends_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    breaking, reason = BREAK[way]
    skip, fail = (settings(tmp_path, on_bad_image=choice) for choice in ("skip", "fail"))
    breaking(tmp_path / "images" / "b.png")
    with modes_respected():
        good, bad = TargetDataset(skip)
        with pytest.raises(InputError, match=r"b\.png.*, or let such .*: --on_bad_image skip$"):
            list(TargetDataset(fail))
    assert good.image_id == 7
    assert isinstance(bad, BadImage)
    assert (bad.index, bad.image_id, bad.file_name) == (1, 3, "b.png")
    assert reason in bad.reason
    assert "b.png" in bad.reason
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert [w.getMessage() for w in warnings] == [f"Counts as without detections: {bad.reason}"]


def test_bad_image__of_another_size_than_in_the_json_is_skipped(tmp_path: Path) -> None:
    images = [image(7, "a.png", 60, 40), image(3, "b.png")]
    config = settings(tmp_path, document(images=images), on_bad_image="skip")
    bad, good = TargetDataset(config)
    assert isinstance(bad, BadImage)
    assert "has 40 x 60 pixels (height x width), the json says 60 x 40" in bad.reason
    assert good.image_id == 3


@pytest.mark.parametrize("choice", ["skip", "fail"])
def test_dataset__without_any_of_its_images_has_the_wrong_folder(
    tmp_path: Path, choice: str
) -> None:
    config = settings(tmp_path, root=str(tmp_path), on_bad_image=choice)
    with pytest.raises(InputError, match=r"2 of 2 images .* json's file_name starts from$"):
        TargetDataset(config)


def test_image_of_two_frames__is_its_first_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(tmp_path)
    write_frames(tmp_path / "images" / "a.png")
    red, green, _ = TargetDataset(config)[0].image.mean(dim=(1, 2))
    assert red > 0.9 and green < 0.1
    assert "a.png has several frames, of which the first is taken" in caplog.text


def test_dataset__travels_to_workers_without_the_json(tmp_path: Path) -> None:
    dataset = TargetDataset(settings(tmp_path))
    sent = pickle.dumps(dataset)
    assert b"segmentation" not in sent
    assert len(sent) < 2000
    arrived = pickle.loads(sent)
    assert arrived[1].image_id == 3
    assert arrived.annotations == dataset.annotations
