"""Detections matched with ground truth of any class: boxes that a reader can compare by eye."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.evaluation.average_precision import curves
from no_time_to_train.evaluation.confusions import f1_score, match, match_images
from tests.unit.coco_files import SQUARE, annotation, document

BIRD, BOAT = 16, 9


def truth(x: int, category_id: int = BIRD, width: int = 10, iscrowd: int = 0) -> dict:
    return {"category_id": category_id, "bbox": [x, 0, width, 10], "iscrowd": iscrowd}


def found(x: int, score: float, category_id: int = BIRD) -> dict:
    return {"category_id": category_id, "bbox": [x, 0, 10, 10], "score": score}


def pairs(truths: list[dict], detections: list[dict], threshold: float = 0.5) -> list:
    return match(truths, detections, "bbox").pairs(threshold)


def test_match__a_detection_is_taken_for_what_it_overlaps_by_half() -> None:
    # 10 wide each, moved by 3: 7 / 13 = 0.54; by 4: 6 / 14 = 0.43.
    assert pairs([truth(0, BOAT)], [found(3, 0.9)]) == [(BOAT, BIRD)]
    assert pairs([truth(0, BOAT)], [found(4, 0.9)]) == [(None, BIRD), (BOAT, None)]


def test_match__the_best_detection_chooses_first_whatever_its_class() -> None:
    detections = [found(0, 0.7, BIRD), found(0, 0.8, BOAT)]
    assert pairs([truth(0, BIRD)], detections) == [(BIRD, BOAT), (None, BIRD)]


def test_match__the_largest_overlap_is_taken_and_then_the_own_class() -> None:
    near, same, other = truth(2), truth(0), truth(0, BOAT)
    assert pairs([near, other], [found(0, 0.9)]) == [(BOAT, BIRD), (BIRD, None)]
    assert pairs([other, same], [found(0, 0.9)]) == [(BIRD, BIRD), (BOAT, None)]


def test_match__equal_scores_keep_their_order() -> None:
    detections = [found(0, 0.9, BOAT), found(0, 0.9, BIRD)]
    assert pairs([truth(0)], detections) == [(BIRD, BOAT), (None, BIRD)]


def test_match__what_lies_in_a_crowd_is_not_counted() -> None:
    crowd = truth(0, width=40, iscrowd=1)
    assert pairs([crowd], [found(20, 0.9), found(60, 0.8)]) == [(None, BIRD)]
    assert pairs([crowd, truth(20)], [found(20, 0.9)]) == [(BIRD, BIRD)]


def test_pairs__a_higher_threshold_only_takes_detections_away() -> None:
    detections = [found(0, 0.9, BOAT), found(0, 0.6, BIRD), found(30, 0.4)]
    matched = match([truth(0), truth(30)], detections, "bbox")
    assert matched.pairs(0.0) == [(BIRD, BOAT), (None, BIRD), (BIRD, BIRD)]
    assert matched.pairs(0.5) == [(BIRD, BOAT), (None, BIRD), (BIRD, None)]
    assert matched.pairs(0.95) == [(BIRD, None), (BIRD, None)]


def test_f1_score__counts_right_detections_twice() -> None:
    one_of_two = [(BIRD, BIRD), (BIRD, None), (None, BOAT), (BOAT, BIRD)]
    assert f1_score(one_of_two) == 2 * 1 / (3 + 3)
    assert f1_score([]) is None
    assert f1_score([(None, BIRD)]) == 0


def test_match_images__reads_masks_where_all_have_one(tmp_path: Path) -> None:
    """Two masks that share no pixel in boxes that are equal."""
    left = [[0, 0, 10, 0, 0, 10]]
    right = {"size": [40, 60], "counts": "0"}
    path = tmp_path / "truth.json"
    entry = annotation(1, 7, BIRD, bbox=[0, 0, 10, 10], segmentation=left)
    path.write_text(json.dumps(document(annotations=[entry])))
    annotations = CocoAnnotations.read(path)
    from pycocotools import mask as rle_codec

    corner = np.zeros((40, 60), dtype=np.uint8)
    corner[9, 9] = 1
    encoded = rle_codec.encode(np.asfortranarray(corner))
    right = {"size": [40, 60], "counts": encoded["counts"].decode()}
    box = {"image_id": 7, "category_id": BIRD, "bbox": [0, 0, 10, 10], "score": 0.9}
    by_box = match_images(annotations, [BIRD, BOAT], [box])
    by_mask = match_images(annotations, [BIRD, BOAT], [{**box, "segmentation": right}])
    assert list(by_box) == [7, 3]
    assert by_box[7].pairs(0.5) == [(BIRD, BIRD)]
    assert by_mask[7].pairs(0.5) == [(None, BIRD), (BIRD, None)]
    assert by_box[3].pairs(0.5) == []


def test_match_images__other_classes_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(document(annotations=[annotation(1, 7, BOAT)])))
    record = {"image_id": 7, "category_id": BOAT, "bbox": [10, 10, 10, 10], "score": 0.9}
    (matched,) = [match_images(CocoAnnotations.read(path), [BIRD], [record])[7]]
    assert matched.pairs(0.0) == []


def test_by_recall__is_the_mean_of_the_classes_with_ground_truth() -> None:
    def box(number: int, category_id: int) -> dict:
        shape = {"bbox": [10, 10, 10, 10], "area": 100, "segmentation": SQUARE}
        return {"id": number, "image_id": 1, "category_id": category_id, "iscrowd": 0, **shape}

    truths = {BIRD: [box(1, BIRD)], BOAT: [box(2, BOAT)]}
    right = {BIRD: [box(1, BIRD) | {"score": 0.9}]}
    found_curves = curves("bbox", [BIRD, BOAT, 77], truths, right).by_recall()
    assert list(found_curves) == ["0.50", "0.75", "0.50:0.95"]
    np.testing.assert_allclose(found_curves["0.75"], 0.5)  # one class is all right, one is missed
    assert curves("bbox", [77], {}, {}).by_recall() == {}
