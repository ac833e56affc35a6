"""mIoU of label maps: pictures of one row of ten pixels, and random ones, pixel by pixel."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pycocotools import mask as rle_codec

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.dataset.class_splits import wanted_categories
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.scores import Scores
from no_time_to_train.evaluation.semantic import evaluate_coco20i, evaluate_label_maps
from tests.miniatures.coco import CATEGORY_IDS, NAMES

Truth = Callable[..., CocoAnnotations]


def encode(mask: NDArray[np.bool_]) -> dict:
    rle = rle_codec.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def row(pixels: str) -> NDArray[np.bool_]:
    """A picture of one row: # where the mask is."""
    return np.array([[pixel == "#" for pixel in pixels]])


def true(name: str, mask: NDArray[np.bool_], image_id: int = 1, iscrowd: int = 0) -> dict:
    entry = {"image_id": image_id, "category_id": CATEGORY_IDS[name], "bbox": [0, 0, 1, 1]}
    return entry | {"segmentation": encode(mask), "iscrowd": iscrowd}


def found(name: str, score: float, mask: NDArray[np.bool_], image_id: int = 1) -> CocoRecord:
    fields = {"image_id": image_id, "category_id": CATEGORY_IDS[name], "bbox": [0, 0, 1, 1]}
    return CocoRecord(**fields, score=score, segmentation=encode(mask))


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    """Writes annotations of pictures of one size, with COCO's 80 classes, and reads them."""

    def read(*annotations: dict, images: int = 1, size: tuple = (1, 10)) -> CocoAnnotations:
        height, width = size
        document = {
            "images": [
                {"id": key, "file_name": f"{key}.jpg", "height": height, "width": width}
                for key in range(1, images + 1)
            ],
            "categories": [{"id": key, "name": name} for name, key in CATEGORY_IDS.items()],
            "annotations": [{"id": n, **each} for n, each in enumerate(annotations, start=1)],
        }
        (tmp_path / "truth.json").write_text(json.dumps(document))
        return CocoAnnotations.read(tmp_path / "truth.json")

    return read


def evaluate(annotations: CocoAnnotations, fold: int, *records: CocoRecord) -> Scores:
    return evaluate_coco20i(annotations, ids_of(annotations, fold), records)


def ids_of(annotations: CocoAnnotations, fold: int) -> list[int]:
    wanted = wanted_categories(annotations, f"coco_semantic_split_{fold}", None)
    return [category.id for category in wanted]


def test_evaluate_coco20i__one_class_partly_found(truth: Truth) -> None:
    scores = evaluate(
        truth(true("airplane", row("####......"))), 1, found("airplane", 0.9, row(".####....."))
    )
    # Airplane: 3 pixels of 5. Background: 5 (the last ones) of 7 (all but three).
    assert scores.numbers == pytest.approx(
        {
            "mIoU": 3 / 5,
            "mIoU with background": (3 / 5 + 5 / 7) / 2,
            "FB-IoU": (3 / 5 + 5 / 7) / 2,
            "mIoU as published": (3 / 5 + 5 / 7) / 2,
        }
    )
    assert next(iter(scores.numbers)) == "mIoU"
    assert [each["IoU"] for each in scores.per_class if each["name"] == "airplane"] == [0.6]
    assert len(scores.per_class) == 20
    assert sum(each["IoU"] is None for each in scores.per_class) == 19


def test_evaluate_coco20i__pixels_are_summed_over_images(truth: Truth) -> None:
    annotations = truth(
        true("boat", row("########.."), 1), true("boat", row("#........."), 2), images=3
    )
    masks = {1: row("####......"), 2: row("##........"), 3: row("........##")}
    records = [found("boat", 0.8, mask, image_id) for image_id, mask in masks.items()]
    # Found 4 of 8, 1 and another pixel, and two that are none: 5 of 8 + 2 + 2.
    assert evaluate(annotations, 1, *records).numbers["mIoU"] == pytest.approx(5 / 12)


def test_evaluate_coco20i__two_classes_and_the_background(truth: Truth) -> None:
    annotations = truth(true("boat", row("####......")), true("dog", row("....##....")))
    records = found("boat", 0.9, row("##......##")), found("dog", 0.7, row("..####...."))
    scores = evaluate(annotations, 1, *records)
    # Boat 2 of 6, dog 2 of 4, background 2 (pixels 6 and 7) of 4; as foreground 6 pixels of 8.
    assert scores.numbers["mIoU"] == pytest.approx((2 / 6 + 2 / 4) / 2)
    assert scores.numbers["mIoU with background"] == pytest.approx((2 / 6 + 2 / 4 + 2 / 4) / 3)
    assert scores.numbers["FB-IoU"] == pytest.approx((6 / 8 + 2 / 4) / 2)


def test_published__background_and_person_are_one_value(truth: Truth) -> None:
    scores = evaluate(truth(true("person", row("####......"))), 1)
    assert scores.numbers["mIoU"] == 0.0
    assert scores.numbers["mIoU as published"] == 1.0  # both maps are 0 throughout


def test_published__classes_beyond_position_19_are_not_looked_at(truth: Truth) -> None:
    assert NAMES.index("toilet") == 61
    scores = evaluate(truth(true("toilet", row("####......"))), 2)
    assert scores.numbers["mIoU"] == 0.0
    assert scores.numbers["mIoU as published"] == pytest.approx(0.6)  # that of the background


def test_published__worse_predictions_lie_over_better_ones(truth: Truth) -> None:
    annotations = truth(true("airplane", row("#####.....")))
    same = row("#####.....")
    records = found("boat", 0.6, same), found("airplane", 0.9, same)
    scores = evaluate(annotations, 1, *records)
    assert scores.numbers["mIoU"] == 1.0
    # Airplane 0 of 5 and boat 0 of 5; the background is right.
    assert scores.numbers["mIoU as published"] == pytest.approx(1 / 3)


def test_published__crowds_are_background(truth: Truth) -> None:
    annotations = truth(
        true("airplane", row("####......")), true("airplane", row(".....#####"), iscrowd=1)
    )
    scores = evaluate(annotations, 1, found("airplane", 0.9, row("####.#####")))
    assert scores.numbers["mIoU"] == 1.0
    # Airplane 4 of 9, background 1 of 6.
    assert scores.numbers["mIoU as published"] == pytest.approx((4 / 9 + 1 / 6) / 2)


def test_evaluate_coco20i__crowds_of_other_classes_count(truth: Truth) -> None:
    annotations = truth(
        true("airplane", row("####......")), true("bicycle", row(".....#####"), iscrowd=1)
    )
    scores = evaluate(annotations, 1, found("airplane", 0.9, row("####.#####")))
    assert scores.numbers["mIoU"] == pytest.approx(4 / 9)


def test_evaluate_coco20i__of_equal_scores_the_first_lies_on_top(truth: Truth) -> None:
    annotations = truth(true("airplane", row("#####.....")))
    records = [found(name, 0.7, row("#####.....")) for name in ("airplane", "boat")]
    assert evaluate(annotations, 1, *records).numbers["mIoU"] == 1.0
    assert evaluate(annotations, 1, *reversed(records)).numbers["mIoU"] == 0.0


def test_evaluate_label_maps__the_threshold_counts_from_itself_on(truth: Truth) -> None:
    annotations = truth(true("boat", row("####......")))
    records = [found("boat", 0.5, row("##........")), found("boat", 0.25, row("..##......"))]
    fold = ids_of(annotations, 1)
    miou = {
        threshold: evaluate_label_maps(annotations, fold, records, threshold).numbers["mIoU"]
        for threshold in (0.2, 0.25, 0.26, 0.5, 0.51)
    }
    assert miou == {0.2: 1.0, 0.25: 1.0, 0.26: 0.5, 0.5: 0.5, 0.51: 0.0}
    published = evaluate_label_maps(annotations, fold, records, 0.2).numbers["mIoU as published"]
    assert published == pytest.approx((2 / 4 + 6 / 8) / 2)  # at 0.5, whatever was asked for


def test_evaluate_coco20i__without_ground_truth(truth: Truth) -> None:
    scores = evaluate(truth(), 2, found("bicycle", 0.9, row("##........")))
    assert scores.numbers == {
        "mIoU": None,
        "mIoU with background": None,
        "FB-IoU": None,
        "mIoU as published": pytest.approx((8 / 10 + 0) / 2),
    }


def test_evaluate_coco20i__image_without_a_size(truth: Truth) -> None:
    annotations = truth(size=(None, None))
    with pytest.raises(InputError, match=r"gives image 1\.jpg no height and width; add them"):
        evaluate(annotations, 1)


def random_case(rng: np.random.Generator, truth: Truth) -> tuple[CocoAnnotations, list[CocoRecord]]:
    """Boxes of a few classes of the second fold, some beyond position 19, some of them crowds."""
    names = ["bicycle", "bus", "cat", "toilet", "scissors", "person"]  # the last is of another fold

    def box() -> NDArray[np.bool_]:
        mask = np.zeros((12, 16), bool)
        (top, left), (height, width) = rng.integers(0, 9, 2), rng.integers(2, 9, 2)
        mask[top : top + height, left : left + width] = True
        return mask

    entries = [
        true(str(rng.choice(names)), box(), image_id, int(rng.random() < 0.2))
        for image_id in (1, 2, 3)
        for _ in range(4)
    ]
    records = [
        found(str(rng.choice(names)), round(rng.random(), 3), box(), int(rng.integers(1, 4)))
        for _ in range(12)
    ]
    return truth(*entries, images=4, size=(12, 16)), records


def layers(entries: list, image_id: int, fold: list[int]) -> list[tuple[dict, NDArray[np.bool_]]]:
    return [
        (entry, rle_codec.decode(entry["segmentation"]).astype(bool))
        for entry in entries
        if entry["image_id"] == image_id and entry["category_id"] in fold
    ]


@pytest.mark.parametrize("seed", range(5))
def test_evaluate_label_maps__random_maps_pixel_by_pixel(truth: Truth, seed: int) -> None:
    annotations, records = random_case(np.random.default_rng(seed), truth)
    fold, published = ids_of(annotations, 2), PublishedMaps()
    document = json.loads(annotations.path.read_text())["annotations"]
    for threshold in (0.1, 0.5, 0.8):
        flat_truth, flat_found = [], []
        for image_id in (1, 2, 3, 4):
            there = layers(document, image_id, fold)
            got = [(r, m) for r, m in layers(records, image_id, fold) if r["score"] >= threshold]
            counted = ~sum((m for e, m in there if e["iscrowd"]), np.zeros((12, 16), bool))
            for y, x in zip(*counted.nonzero(), strict=True):
                over = [e["category_id"] for e, m in there if m[y, x] and not e["iscrowd"]]
                best = max((r["score"], r["category_id"]) for r, m in [NOTHING, *got] if m[y, x])
                flat_truth.append(([0, *over])[-1])
                flat_found.append(best[1])
            if threshold == 0.5:
                published.add(there, got)
        there, got = np.array(flat_truth), np.array(flat_found)
        iou = [jaccard(there == label, got == label) for label in np.unique(there)]  # 0 first
        numbers = evaluate_label_maps(annotations, fold, records, threshold).numbers
        assert numbers["mIoU"] == pytest.approx(np.mean(iou[1:]))
        assert numbers["mIoU with background"] == pytest.approx(np.mean(iou))
        assert numbers["FB-IoU"] == pytest.approx((iou[0] + jaccard(there > 0, got > 0)) / 2)
    assert numbers["mIoU as published"] == pytest.approx(published.miou())


NOTHING = ({"score": -1.0, "category_id": 0}, np.ones((12, 16), bool))


def jaccard(there: NDArray[np.bool_], got: NDArray[np.bool_]) -> float:
    return (there & got).sum() / (there | got).sum()


class PublishedMaps:
    """Whole label maps of bytes, painted as published."""

    def __init__(self) -> None:
        self.truth: list[int] = []
        self.found: list[int] = []

    def add(self, there: list, got: list) -> None:
        got = sorted(got, key=lambda layer: -layer[0]["score"])
        for flat, painted in ((self.truth, there), (self.found, got)):
            labels = np.zeros((12, 16), np.uint8)
            for entry, mask in painted:
                if not entry.get("iscrowd"):
                    labels[mask] = list(CATEGORY_IDS.values()).index(entry["category_id"])
            flat.extend(labels.ravel().tolist())

    def miou(self) -> float:
        there, got = np.array(self.truth), np.array(self.found)
        seen = [value for value in range(20) if value in {*self.truth, *self.found}]
        return float(np.mean([jaccard(there == value, got == value) for value in seen]))
