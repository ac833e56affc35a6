"""The miniature COCO is read like the real one."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from no_time_to_train.coco.annotations import CocoAnnotations, rasterise
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.dataset.few_shot_sampling import sample_references
from tests.miniatures import coco


def test_category_ids__are_cocos_own() -> None:
    ids = coco.CATEGORY_IDS
    assert [ids[name] for name in ("person", "stop sign", "bench", "backpack")] == [1, 13, 15, 27]
    assert [ids[name] for name in ("dining table", "tv", "book", "toothbrush")] == [67, 72, 84, 90]


def test_write__every_class_has_its_shots_on_images_of_their_own(tmp_path: Path) -> None:
    coco.write(tmp_path, shots=5)
    train = CocoAnnotations.read(tmp_path / "coco/annotations/instances_train2017.json")
    drawn = sample_references(train, train.categories, n_shot=5, seed=42)
    assert len(drawn) == 80
    assert all(len({pick.img_id for pick in picks}) == 5 for picks in drawn.values())


@pytest.mark.parametrize("fold", [1, 2, 3, 4])
def test_write__val_images_have_overlapping_objects_and_crowds(tmp_path: Path, fold: int) -> None:
    coco.write(tmp_path, targets=5, references=["person"])
    val = CocoAnnotations.read(tmp_path / "coco/annotations/instances_val2017.json")
    wanted = {c.id for c in wanted_categories(val, f"coco_semantic_split_{fold}", None)}
    for image in val.images.values():
        with Image.open(tmp_path / "coco/val2017" / image.file_name) as picture:
            assert picture.size == (96, 96)
        instances = val.of_image(image.id)
        assert any(each.category_id in wanted for each in instances)
        assert [each.iscrowd for each in instances] == [0, 0, 0, 0, 1]
        assert sum(rasterise(each, image).astype(int) for each in instances).max() > 1
