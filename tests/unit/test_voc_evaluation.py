"""nAP50 of Pascal VOC: by hand, and by plain pycocotools."""

import copy
import json
from pathlib import Path

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from no_time_to_train.evaluation import EVALUATORS
from no_time_to_train.evaluation.voc import evaluate_voc
from tests.unit.test_coco_evaluation import Folder, found, polygon, random_case, truth

BIRD, BUS = 9, 16
FAR = [80, 80, 20, 20]


@pytest.fixture
def data_set(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def outline(x: int, y: int, w: int, h: int) -> list[list[int]]:
    """A box as pascal_voc_to_coco.py writes it."""
    return [[x, y, x, y + h, x + w, y + h, x + w, y]]


def test_evaluators__have_it() -> None:
    assert EVALUATORS["voc"].load() is evaluate_voc


@pytest.mark.parametrize("first_id", [0, 1])
def test_evaluate_voc__one_case_by_hand(data_set: Folder, first_id: int) -> None:
    # Image 1: two birds, of which one is difficult; image 2: a bird and a bus, which is missed.
    boxes = [[10, 10, 40, 50], [60, 60, 40, 40], [20, 20, 50, 50], [70, 5, 30, 30]]
    truths = [
        truth(boxes[0]),
        truth(boxes[1], iscrowd=1),
        truth(boxes[2], 2),
        truth(boxes[3], 2, BUS),
    ]
    truths = [{**each, "id": first_id + n} for n, each in enumerate(truths)]
    records = [
        found(boxes[1], 0.9),  # the difficult one: neither right nor wrong
        found([10, 10, 40, 40], 0.8),  # IoU 1600 / 2000 = 0.8 with the bird
        found([0, 100, 10, 10], 0.7),  # nothing there
        found(boxes[2], 0.6, 2),
    ]
    scores = evaluate_voc(data_set(*truths), [BIRD, BUS], records)
    # Birds: recall 0.5 at precision 1 (thresholds 0 to 0.50, 51 of 101), then 1 at 2 of 3.
    bird = (51 * 1 + 50 * 2 / 3) / 101
    assert scores.numbers["nAP50"] == pytest.approx((bird + 0) / 2)
    assert next(iter(scores.numbers)) == "nAP50"
    assert scores.numbers["box AP75"] == pytest.approx(bird / 2)
    # Beyond IoU 0.8 only the second bird is found, as one of two: precision 1 of 3 (thresholds
    # 0.85, 0.9, 0.95; at 0.8 itself, 0.8 is enough).
    strict = 51 * 1 / 3 / 101
    assert scores.numbers["box AP"] == pytest.approx((7 * bird + 3 * strict) / 10 / 2)
    rows = [(row["name"], row["instances"], row["box_ap50"]) for row in scores.per_class]
    assert rows == [("class 9", 2, pytest.approx(bird)), ("class 16", 1, 0)]


@pytest.mark.parametrize("seed", range(3))
def test_evaluate_voc__equals_plain_pycocotools(data_set: Folder, seed: int) -> None:
    truths, records = random_case(seed)
    truths = [{**each, "iscrowd": int(n % 4 == 1)} for n, each in enumerate(truths)]
    # To pycocotools id 0 would mean "not matched": it gets ids from 1, we get ids from 0.
    images = (1, 2, 3, 10, 11, 12)
    ours = data_set(*({**each, "id": n} for n, each in enumerate(truths)), images=images)
    numbers = evaluate_voc(ours, [BIRD, BUS], copy.deepcopy(records)).numbers
    theirs = COCO(data_set(*truths, images=images).path)
    plain = COCOeval(theirs, theirs.loadRes(records), "bbox")
    plain.evaluate()
    plain.accumulate()
    plain.summarize()
    ap, ap50, ap75 = plain.stats[:3]
    assert 0.04 < ap < ap50 < 0.9
    assert (numbers["box AP"], numbers["nAP50"], numbers["box AP75"]) == (ap, ap50, ap75)


def test_evaluate_voc__masks_are_named_after_what_they_are_compared_with(
    data_set: Folder,
) -> None:
    box = [10, 10, 40, 40]
    left_half = truth(box, segmentation=polygon(10, 10, 20, 40))
    scores = evaluate_voc(data_set(left_half), [BIRD], [found(box)])
    assert scores.numbers["nAP50"] == pytest.approx(1)
    # The mask of the result covers the box, twice as much: IoU 0.5 exactly.
    assert scores.numbers["AP50 against SAM masks"] == pytest.approx(1)
    assert scores.numbers["AP75 against SAM masks"] == 0
    assert scores.per_class[0]["AP50 against SAM masks"] == pytest.approx(1)
    assert not [name for name in scores.numbers if "mask" in name and "SAM" not in name]


@pytest.mark.parametrize("segmentation", [[], outline(10, 10, 40, 40), polygon(10, 10, 40, 40)])
def test_evaluate_voc__boxes_are_no_masks(data_set: Folder, segmentation: list) -> None:
    box = [10, 10, 40, 40]
    annotations = data_set(truth(box, segmentation=segmentation))
    scores = evaluate_voc(annotations, [BIRD], [found(box)])
    assert list(scores.numbers) == ["nAP50", "box AP", "box AP75"]
    assert "mask" not in json.dumps([scores.per_class[0], scores.text])


def test_evaluate_voc__a_class_without_ground_truth_is_left_out(data_set: Folder) -> None:
    box = [10, 10, 40, 40]
    scores = evaluate_voc(data_set(truth(box)), [BIRD, BUS], [found(box), found(FAR, 0.5, 1, BUS)])
    assert scores.numbers["nAP50"] == pytest.approx(1)
    assert scores.per_class[1]["box_ap50"] is None
    lines = scores.text.splitlines()
    assert lines[0].split() == ["nAP50", "1.000"]
    assert lines[-1].split() == ["class", "16", "-", "-", "0"]


def test_evaluate_voc__only_difficult_objects_give_a_sentence(data_set: Folder) -> None:
    scores = evaluate_voc(data_set(truth(FAR, iscrowd=1)), [BIRD], [found(FAR)])
    assert scores.numbers == {"nAP50": None, "box AP": None, "box AP75": None}
    assert scores.text.startswith("No ground truth: ")
