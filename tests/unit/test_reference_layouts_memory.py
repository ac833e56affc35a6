"""Each layout gives the memory that the same references give in COCO json, bit by bit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from torch.utils.data import Dataset

from no_time_to_train.config import ClassNames, FillMemoryDataConfig
from no_time_to_train.dataset.box_segmenters import BoxSegmenter
from no_time_to_train.dataset.reference_layouts import find_references, with_masks
from no_time_to_train.dataset.reference_layouts.found_dataset import FoundDataset
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.dataset.sam_bbox_to_segm_batch import load_segmenter, main
from no_time_to_train.encoders import build_encoder
from no_time_to_train.memory.bank import Memory
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.settings import read_configs
from no_time_to_train.structures import Reference

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "photos" / "images"
CONTEXT, SIDE = 0.2, 252
CLASSES = ["coin", "motorcycle"]
# Two coins in one picture, one motorcycle in another, by polygons of whole pixels.
MARKS: list[tuple[str, str, list[list[int]]]] = [
    ("coin", "coins_top.png", [[305, 40], [320, 18], [350, 17], [364, 45], [350, 70], [315, 68]]),
    ("coin", "coins_top.png", [[132, 50], [145, 30], [170, 32], [178, 55], [160, 73], [138, 68]]),
    (
        "motorcycle",
        "motorcycle_left.jpg",
        [[85, 200], [200, 80], [400, 70], [540, 190], [500, 350], [150, 355]],
    ),
]


def size(file: str) -> tuple[int, int]:
    """(height, width)."""
    with Image.open(IMAGES / file) as picture:
        return picture.height, picture.width


def mask(file: str, points: list[list[int]]) -> np.ndarray:
    flat = [float(value) for point in points for value in point]
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([flat], *size(file))))


def box(file: str, points: list[list[int]]) -> list[float]:
    """[x, y, w, h] as pycocotools gives it."""
    return coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask(file, points)))).tolist()


def put(file: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(IMAGES / file, target)


def coco_json(folder: Path, boxes_alone: bool = False) -> Path:
    """As one writes it by hand."""
    files = sorted({file for _, file, _ in MARKS})
    for file in files:
        put(file, folder / "images" / file)
    sizes = {file: dict(zip(("height", "width"), size(file), strict=True)) for file in files}
    annotations: list[dict[str, Any]] = []
    for number, (name, file, points) in enumerate(MARKS, start=1):
        entry = {"id": number, "image_id": files.index(file), "bbox": box(file, points)}
        entry["category_id"] = 10 * (1 + CLASSES.index(name))
        if not boxes_alone:
            entry["segmentation"] = [[value for point in points for value in point]]
        annotations.append(entry)
    document = {
        "images": [{"id": files.index(f), "file_name": f, **sizes[f]} for f in files],
        "annotations": annotations,
        "categories": [{"id": 10, "name": "coin"}, {"id": 20, "name": "motorcycle"}],
    }
    path = folder / "references.json"
    path.write_text(json.dumps(document))
    return path


def class_folders(folder: Path) -> None:
    labels: dict[tuple[str, str], np.ndarray] = {}
    for name, file, points in MARKS:
        put(file, folder / name / file)
        inside = mask(file, points)
        drawn = labels.setdefault((name, file), np.zeros_like(inside))
        drawn += inside * (1 + drawn.max())
    for (name, file), drawn in labels.items():
        Image.fromarray(drawn).save(folder / name / f"{Path(file).stem}_mask.png")


def labelme(folder: Path, boxes_alone: bool = False) -> None:
    for file in {file for _, file, _ in MARKS}:
        put(file, folder / file)
        shapes = []
        for name, other, points in MARKS:
            x, y, w, h = box(other, points)
            corners = [[x + w, y], [x, y + h]]
            kind = "rectangle" if boxes_alone else "polygon"
            entry = {"label": name, "points": corners if boxes_alone else points}
            if other == file:
                shapes.append({**entry, "shape_type": kind, "group_id": None})
        height, width = size(file)
        content = {"shapes": shapes, "imagePath": file, "imageData": None}
        content |= {"imageHeight": height, "imageWidth": width}
        (folder / file).with_suffix(".json").write_text(json.dumps(content))


def yolo(folder: Path, boxes_alone: bool = False) -> None:
    """With six digits, as converters write them."""
    (folder / "data.yaml").write_text("train: images\nnames: {0: coin, 1: motorcycle}\n")
    (folder / "labels").mkdir()
    for name, file, points in MARKS:
        put(file, folder / "images" / file)
        height, width = size(file)
        x, y, w, h = box(file, points)
        centre = [(x + w / 2, y + h / 2), (w, h)] if boxes_alone else points
        shares = [f"{a / width:.6f} {b / height:.6f}" for a, b in centre]
        with (folder / "labels" / file).with_suffix(".txt").open("a") as labels:
            labels.write(f"{CLASSES.index(name)} {' '.join(shares)}\n")


@pytest.fixture(scope="module")
def network() -> Segmenter:
    settings = read_configs([ROOT / "configs/demo.yaml"])
    weights = {"encoder_ckpt_path": str(ROOT / settings.model.encoder_ckpt_path)}
    model = type(settings.model)(**{**vars(settings.model), **weights})
    return Segmenter(model.sam2_infer_cfgs, build_encoder(model), None).eval()


@pytest.fixture(scope="module")
def segment_boxes() -> BoxSegmenter:
    return load_segmenter(ROOT / "demo_models/sam2_hiera_demo.pt", "vit_h", "cpu", 8)


def fill(network: Segmenter, dataset: Dataset[Reference]) -> Memory:
    network.set_memory(Memory(shots=2))
    for index in range(len(dataset)):  # type: ignore[arg-type]
        network.remember([dataset[index]])
    network.finalise()
    return network.memory


def by_the_stages(path: Path) -> ReferenceDataset:
    """The references of a COCO json as `fill_memory` reads them."""
    picks = {"10": [1, 2], "20": [3]}
    images = {1: 0, 2: 0, 3: 1}
    reference_set = path.with_name("set.json")
    entries = {k: [{"img_id": images[i], "ann_ids": [i]} for i in v] for k, v in picks.items()}
    reference_set.write_text(json.dumps(entries))
    config = FillMemoryDataConfig(
        root=str(path.parent / "images"),
        json_file=str(path),
        memory_pkl=str(reference_set),
        memory_length=2,
        image_size=SIDE,
        context_ratio=CONTEXT,
        cat_names=ClassNames(CLASSES),
    )
    return ReferenceDataset(config)


def assert_same(one: Memory, other: Memory) -> None:
    assert one.references.keys() == other.references.keys() == {(0, 0), (0, 1), (1, 0)}
    for key, reference in one.references.items():
        assert torch.equal(reference.mean, other.references[key].mean)
        assert torch.equal(reference.patches, other.references[key].patches)
    assert torch.equal(one.statistics.prototypes, other.statistics.prototypes)


def test_memories__of_other_references_differ(network: Segmenter, tmp_path: Path) -> None:
    path = coco_json(tmp_path)
    document = json.loads(path.read_text())
    document["annotations"][0]["segmentation"][0][0] += 8
    memory = fill(network, by_the_stages(path))
    path.write_text(json.dumps(document))
    with pytest.raises(AssertionError):
        assert_same(memory, fill(network, by_the_stages(path)))


LAYOUTS: dict[str, Callable[[Path], Any]] = {
    "class folders": class_folders,
    "Labelme": labelme,
    "YOLO": yolo,
    "COCO json": coco_json,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts__give_the_memory_of_the_same_coco_json(
    network: Segmenter, tmp_path: Path, layout: str
) -> None:
    for folder in ("expected", "found"):
        (tmp_path / folder).mkdir()
    expected = fill(network, by_the_stages(coco_json(tmp_path / "expected")))
    LAYOUTS[layout](tmp_path / "found")
    found = find_references(tmp_path / "found")
    assert (found.layout, found.class_names, found.counts) == (layout, CLASSES, [2, 1])
    assert_same(expected, fill(network, FoundDataset(found, CONTEXT, SIDE)))


@pytest.mark.parametrize("layout", [coco_json, labelme, yolo])
def test_layouts_of_boxes__give_the_memory_of_the_masks_that_sam_writes(
    network: Segmenter,
    segment_boxes: BoxSegmenter,
    tmp_path: Path,
    layout: Callable[[Path, bool], Any],
) -> None:
    for folder in ("expected", "found"):
        (tmp_path / folder).mkdir()
    path = coco_json(tmp_path / "expected", boxes_alone=True)
    checkpoint = str(ROOT / "demo_models/sam2_hiera_demo.pt")
    images = ("--image_dir", str(path.parent / "images"), "--device", "cpu")
    main(["--input_json", str(path), *images, "--sam_checkpoint", checkpoint])
    expected = fill(network, by_the_stages(path.with_name("references_with_segm.json")))
    layout(tmp_path / "found", True)
    found = find_references(tmp_path / "found")
    assert len(found.boxes) == 3
    drawn = with_masks(found, segment_boxes)
    assert_same(expected, fill(network, FoundDataset(drawn, CONTEXT, SIDE)))
