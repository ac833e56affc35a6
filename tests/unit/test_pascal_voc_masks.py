"""Pascal VOC from its archives to references and ground truth, with the demo's SAM 2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from no_time_to_train.coco.annotations import CocoAnnotations, run_lengths
from no_time_to_train.config import FillMemoryDataConfig
from no_time_to_train.dataset import (
    few_shot_sampling,
    pascal_voc_images,
    pascal_voc_to_coco,
    sam_bbox_to_segm_batch,
)
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.evaluation.voc import evaluate_voc
from tests.miniatures import voc

ROOT = Path(__file__).parents[2]
NOVEL = [2, 5, 9, 13, 17]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pascal_voc` with flat json files, all images in one folder, and masks."""
    root = tmp_path_factory.mktemp("data")
    devkit = voc.write(root, shots=1)
    folder = root / "pascal_voc"
    pascal_voc_to_coco.main([str(devkit), "-o", str(folder / "annotations"), "--flat"])
    pascal_voc_images.main([str(devkit)])
    for name in ("voc0712_trainval", "voc07_test"):
        words = f"--input_json {folder}/annotations/{name}.json --image_dir {devkit}/allimages"
        sam = f"--sam_checkpoint {ROOT}/demo_models/sam2_hiera_demo.pt --model_type vit_h"
        sam_bbox_to_segm_batch.main(f"{words} {sam} --device cpu --batch_size 8".split())
    return folder


def entries(data: Path, name: str) -> list[dict[str, Any]]:
    return json.loads((data / "annotations" / f"{name}.json").read_text())["annotations"]


def test_masks__every_object_keeps_what_it_was(data: Path) -> None:
    masked = ("segmentation", "area")
    for name in ("voc0712_trainval", "voc07_test"):
        before, after = entries(data, name), entries(data, f"{name}_with_segm")
        assert any(each["iscrowd"] for each in before)
        assert [{**each, **dict.fromkeys(masked)} for each in before] == [
            {**each, **dict.fromkeys(masked)} for each in after
        ]
        # The birds are ellipses, which cover pi / 4 of their boxes.
        shares = [
            each["area"] / (each["bbox"][2] * each["bbox"][3])
            for each in after
            if each["category_id"] == 2 and not each["iscrowd"]
        ]
        assert shares == pytest.approx([0.785] * len(shares), abs=0.1)


def test_masks__references_are_read_from_them(data: Path) -> None:
    json_file = data / "annotations/voc0712_trainval_with_segm.json"
    root, picks = data / "VOCdevkit/allimages", data / "references.pkl"
    words = f"--n-shot 1 --seed 33 --dataset pascal_voc_split_1 --json-file {json_file}"
    few_shot_sampling.main([*words.split(), "--out-path", str(picks)])
    references = ReferenceDataset(
        FillMemoryDataConfig(
            name="pascal_voc",
            root=str(root),
            json_file=str(json_file),
            memory_pkl=str(picks),
            memory_length=1,
            class_split="pascal_voc_split_1",
        )
    )
    assert references.class_names == list(voc.NOVEL)
    assert all(reference.mask.any() for reference in map(references.__getitem__, range(5)))


def test_masks__the_truth_itself_scores_1_and_difficult_objects_change_nothing(data: Path) -> None:
    annotations = CocoAnnotations.read(data / "annotations/voc07_test_with_segm.json")
    records = [
        {
            "image_id": each.image_id,
            "category_id": each.category_id,
            "bbox": list(each.bbox),
            # The difficult ones come first: as false detections they would cost most.
            "score": 0.9 if each.iscrowd else 0.8,
            "segmentation": _text(run_lengths(each, annotations.images[each.image_id])),
        }
        for each in annotations.annotations
    ]
    numbers = evaluate_voc(annotations, NOVEL, records).numbers
    assert numbers["nAP50"] == numbers["box AP"] == pytest.approx(1)
    assert numbers["AP50 against SAM masks"] == pytest.approx(1)


def _text(mask: dict[str, Any]) -> dict[str, Any]:
    return {**mask, "counts": mask["counts"].decode()}


def test_images__have_the_colours_of_their_classes(data: Path) -> None:
    with Image.open(data / "VOCdevkit/allimages/000104.jpg") as picture:
        assert picture.getpixel((50, 50)) == pytest.approx(voc.COLOURS["motorbike"], abs=12)
