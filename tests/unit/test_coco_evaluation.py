"""Average precision of cases worked out by hand, and of random ones by plain pycocotools."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as rle_codec
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation.coco import PRINTED_CLASSES, evaluate

SIDE = 120  # of every image, in pixels


def polygon(x: int, y: int, w: int, h: int) -> list[list[int]]:
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def truth(box: list[int], image_id: int | str = 1, category_id: int = 9, **fields) -> dict:
    annotation = {"image_id": image_id, "category_id": category_id, "bbox": box}
    return annotation | {"segmentation": polygon(*box)} | fields


def found(
    box: list[int], score: float = 0.9, image_id: int | str = 1, category_id: int = 9, mask=None
) -> dict:
    (rle,) = rle_codec.frPyObjects(polygon(*(mask or box)), SIDE, SIDE)
    rle["counts"] = rle["counts"].decode()
    fields = {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}
    return fields | {"segmentation": rle}


class Folder:
    """Writes COCO json files and reads them as the package does."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(
        self, *annotations: dict, images: tuple = (1, 2), classes: tuple = (9, 16)
    ) -> CocoAnnotations:
        document = {
            "images": [
                {"id": key, "file_name": f"{key}.jpg", "height": SIDE, "width": SIDE}
                for key in images
            ],
            "categories": [{"id": key, "name": f"class {key}"} for key in classes],
            "annotations": [{"id": n, **a} for n, a in enumerate(annotations, start=1)],
        }
        (self.path / "truth.json").write_text(json.dumps(document))
        return CocoAnnotations.read(self.path / "truth.json")


@pytest.fixture
def data_set(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_evaluate__one_perfect_detection(data_set: Folder) -> None:
    box = [10, 10, 40, 50]  # 2000 square pixels: medium
    evaluation = evaluate(data_set(truth(box)), [9], [found(box)])
    one = {"AP", "AP50", "AP75", "APm", "AR1", "AR10", "AR100", "ARm"}
    expected = {name: 1.0 if name in one else -1.0 for name in evaluation.box}
    assert len(expected) == 12
    assert evaluation.box == pytest.approx(expected)
    assert evaluation.mask == pytest.approx(expected)


def test_evaluate__one_of_two_found(data_set: Folder) -> None:
    box = [10, 10, 40, 50]
    evaluation = evaluate(data_set(truth(box), truth(box, 2)), [9], [found(box)])
    # Precision 1 up to recall 0.5: at 51 of the 101 recall thresholds.
    assert evaluation.box["AP"] == pytest.approx(51 / 101)
    assert evaluation.box["AR100"] == pytest.approx(0.5)


def test_evaluate__a_false_alarm_ranked_first_halves_precision(data_set: Folder) -> None:
    box = [10, 10, 40, 50]
    records = [found(box, 0.8), found([70, 70, 30, 30], 0.9)]
    evaluation = evaluate(data_set(truth(box)), [9], records)
    assert evaluation.box["AP"] == pytest.approx(0.5)
    assert evaluation.box["AR1"] == 0  # the best detection is the false one
    assert evaluation.box["AR10"] == pytest.approx(1)


def test_evaluate__boxes_and_masks_are_measured_apart(data_set: Folder) -> None:
    box = [10, 10, 20, 100]
    records = [found(box, mask=[10, 10, 20, 62])]  # mask IoU 0.62: a match at 0.5, 0.55 and 0.6
    evaluation = evaluate(data_set(truth(box)), [9], records)
    assert evaluation.box["AP"] == pytest.approx(1.0)
    assert evaluation.mask["AP"] == pytest.approx(0.3)
    assert evaluation.mask["AP75"] == 0
    (row,) = evaluation.per_class
    assert (row.box_ap, row.mask_ap, row.mask_ap50) == pytest.approx((1.0, 0.3, 1.0))


def test_evaluate__the_number_is_the_mean_over_classes(data_set: Folder) -> None:
    box = [10, 10, 40, 50]
    annotations = data_set(truth(box), truth(box, category_id=16), truth(box, 2, category_id=16))
    evaluation = evaluate(annotations, [16, 9], [found(box)])
    assert [(row.name, row.instances) for row in evaluation.per_class] == [
        ("class 9", 1),
        ("class 16", 2),
    ]
    assert [row.box_ap for row in evaluation.per_class] == pytest.approx([1, 0])
    assert evaluation.box["AP"] == pytest.approx(0.5)


def test_evaluate__only_the_wanted_classes_count(data_set: Folder) -> None:
    box = [10, 10, 40, 50]
    annotations = data_set(truth(box), truth(box, category_id=16))
    records = [found(box), found([60, 60, 9, 9], 1.0, category_id=16)]
    assert evaluate(annotations, [9], records).box["AP"] == pytest.approx(1)


def test_evaluate__no_records_give_zeros(data_set: Folder) -> None:
    evaluation = evaluate(data_set(truth([10, 10, 40, 50])), [9], [])
    for numbers in (evaluation.box, evaluation.mask):
        assert numbers["AP"] == numbers["APm"] == numbers["AR100"] == 0
        assert numbers["APs"] == numbers["APl"] == -1  # no ground truth of that size


@pytest.mark.parametrize("records", [[], [found([10, 10, 40, 50])]])
@pytest.mark.parametrize(
    "truths", [(), (truth([10, 10, 40, 50], category_id=16),), (truth([1, 1, 9, 9], iscrowd=1),)]
)
def test_evaluate__no_ground_truth_gives_a_sentence(
    data_set: Folder, records: list, truths: tuple
) -> None:
    evaluation = evaluate(data_set(*truths), [9], records)
    assert evaluation.box is None and evaluation.mask is None
    (row,) = evaluation.per_class
    assert (row.name, row.instances, row.box_ap, row.mask_ap50) == ("class 9", 0, None, None)
    assert evaluation.text.startswith("No ground truth: ")
    assert "-1" not in evaluation.text.replace(str(data_set.path), "")


def test_evaluate__one_class_without_ground_truth_keeps_the_table(data_set: Folder) -> None:
    box = [10, 10, 40, 50]
    evaluation = evaluate(data_set(truth(box)), [9, 16], [found(box)])
    assert evaluation.box["AP"] == pytest.approx(1)
    assert evaluation.text.splitlines()[-1].split() == ["class", "16", "0", "-", "-", "-", "-"]


@pytest.mark.parametrize("ids", [("b", "a"), (7, "7"), (-3, 10**12)])
def test_evaluate__image_ids_of_any_kind(data_set: Folder, ids: tuple) -> None:
    box = [10, 10, 40, 50]
    annotations = data_set(truth(box, ids[0]), truth(box, ids[1]), images=ids)
    records = [found(box, image_id=key) for key in ids]
    assert evaluate(annotations, [9], records).box["AP"] == pytest.approx(1)


@pytest.mark.parametrize("ids", [(0, 1), (5, 5)])
def test_evaluate__annotation_ids_that_pycocotools_loses(data_set: Folder, ids: tuple) -> None:
    box = [10, 10, 40, 50]
    annotations = data_set(truth(box, id=ids[0]), truth(box, 2, id=ids[1]))
    evaluation = evaluate(annotations, [9], [found(box), found(box, image_id=2)])
    assert evaluation.per_class[0].instances == 2
    assert evaluation.box["AP"] == evaluation.mask["AP"] == pytest.approx(1)


def test_evaluate__a_missing_area_is_that_of_the_mask(data_set: Folder) -> None:
    # Box 40 x 40 is medium, its lower left half (some 800 square pixels) small.
    triangle = truth([10, 10, 40, 40], segmentation=[[10, 10, 50, 50, 10, 50]])
    evaluation = evaluate(data_set(triangle), [9], [])
    assert (evaluation.box["APs"], evaluation.box["APm"]) == (0, -1)
    evaluation = evaluate(data_set({**triangle, "area": 1600}), [9], [])
    assert (evaluation.box["APs"], evaluation.box["APm"]) == (-1, 0)


@pytest.mark.parametrize("compressed", [True, False])
def test_evaluate__what_lies_in_a_crowd_is_no_false_alarm(
    data_set: Folder, compressed: bool
) -> None:
    box, crowd_box = [10, 10, 20, 20], [60, 0, 60, 120]
    counts = [60 * SIDE, 60 * SIDE]  # down the columns: the right half of the picture
    rle = {"size": [SIDE, SIDE], "counts": counts}
    if compressed:
        rle = rle_codec.frPyObjects(rle, SIDE, SIDE)
        rle["counts"] = rle["counts"].decode()
    crowd = truth(crowd_box, iscrowd=1, segmentation=rle)
    records = [found([70, 20, 30, 30], 0.9), found(box, 0.8)]
    evaluation = evaluate(data_set(truth(box), crowd), [9], records)
    assert evaluation.box["AP"] == evaluation.mask["AP"] == pytest.approx(1)
    assert evaluation.per_class[0].instances == 1


def test_evaluate__ground_truth_without_masks(data_set: Folder) -> None:
    box = [10, 10, 40, 50]
    annotations = data_set(truth(box, segmentation=[]), truth(box, 2))
    evaluation = evaluate(annotations, [9], [found(box), found(box, image_id=2)])
    assert evaluation.box["AP"] == pytest.approx(1)
    assert evaluation.mask is None
    assert evaluation.per_class[0].mask_ap is None
    assert "1 of 2 ground truth annotations have a box and no segmentation" in evaluation.text
    assert "sam_bbox_to_segm_batch.py" in evaluation.text


def test_evaluate__text_has_the_published_headings_and_lines(data_set: Folder, capsys) -> None:
    box = [10, 10, 40, 50]
    lines = evaluate(data_set(truth(box)), [9], [found(box)]).text.splitlines()
    assert lines[0] == "BBOX RESULTS:"
    assert lines[13] == "SEGM RESULTS:"
    first = " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 1.000"
    assert lines[1] == lines[14] == first
    last = " Average Recall     (AR) @[ IoU=0.50:0.95 | area= large | maxDets=100 ] = -1.000"
    assert lines[12] == lines[25] == last
    assert lines[27] == "class    instances  box AP  box AP50  mask AP  mask AP50"
    assert lines[28] == "class 9          1   1.000     1.000    1.000      1.000"
    assert capsys.readouterr().out == ""


def test_evaluate__text_cuts_a_long_table_and_says_so(data_set: Folder) -> None:
    classes = tuple(range(1, 1204))
    box = [10, 10, 40, 50]
    evaluation = evaluate(data_set(truth(box), classes=classes), classes, [])
    assert len(evaluation.per_class) == 1203
    assert evaluation.text.count("\nclass ") == 1 + PRINTED_CLASSES
    assert evaluation.text.endswith("... and 1103 more classes\n")


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_evaluate__refuses_a_score_that_is_no_number(data_set: Folder, score: float) -> None:
    box = [10, 10, 40, 50]
    with pytest.raises(InputError, match=rf"2\.jpg has the score {score}"):
        evaluate(data_set(truth(box)), [9], [found(box, score, 2)])


def test_evaluate__refuses_a_result_of_another_data_set(data_set: Folder) -> None:
    with pytest.raises(InputError, match=r"image 3, which .*truth\.json does not list"):
        evaluate(data_set(), [9], [found([10, 10, 40, 50], image_id=3)])


def test_evaluate__refuses_a_mask_of_another_size(data_set: Folder) -> None:
    record = found([10, 10, 40, 50])
    record["segmentation"]["size"] = [SIDE, SIDE + 1]
    with pytest.raises(InputError, match=r"1\.jpg has a mask of \[120, 121\] pixels"):
        evaluate(data_set(), [9], [record])


def test_evaluate__images_whose_size_the_json_does_not_give(tmp_path: Path) -> None:
    box = [10, 10, 40, 50]
    document = {
        "images": [{"id": key, "file_name": f"{key}.jpg"} for key in (1, 2, 3)],
        "categories": [{"id": 9, "name": "boat"}],
        "annotations": [truth(box, key, id=key) for key in (1, 2)],
    }
    (tmp_path / "truth.json").write_text(json.dumps(document))
    annotations = CocoAnnotations.read(tmp_path / "truth.json")
    evaluation = evaluate(annotations, [9], [found(box)])  # of image 2 and 3 nothing is known
    assert evaluation.mask["AP"] == pytest.approx(51 / 101)


def random_case(seed: int) -> tuple[list[dict], list[dict]]:
    """Boxes on six images, detections near them or anywhere, some crowds, many equal scores."""
    rng = np.random.default_rng(seed)
    truths, records = [], []
    for image_id in (3, 1, 2, 10, 12, 11):
        for _ in range(int(rng.integers(0, 6))):
            box = [*rng.integers(0, 60, 2), *rng.integers(3, 60, 2)]
            truths.append(
                truth(
                    [int(side) for side in box],
                    image_id,
                    int(rng.choice([9, 16])),
                    area=float(box[2] * box[3]),
                    iscrowd=int(rng.random() < 0.1),
                )
            )
            moved = [max(0, int(side)) for side in np.array(box) + rng.integers(-2, 3, 4)]
            near = moved if rng.random() < 0.7 else [5, 5, int(rng.integers(5, 90)), 60]
            score = float(rng.integers(1, 6)) / 5
            records.append(found(near, score, image_id, int(rng.choice([9, 9, 16]))))
    return truths, records


@pytest.mark.parametrize("seed", range(4))
def test_evaluate__equals_a_plain_run_of_pycocotools(data_set: Folder, seed: int) -> None:
    truths, records = random_case(seed)
    annotations = data_set(*truths, images=(1, 2, 3, 10, 11, 12))
    evaluation = evaluate(annotations, [9, 16], copy.deepcopy(records))
    coco = COCO(annotations.path)
    results = coco.loadRes(records)
    for kind, numbers in (("bbox", evaluation.box), ("segm", evaluation.mask)):
        plain = COCOeval(coco, results, kind)
        plain.evaluate()
        plain.accumulate()
        plain.summarize()
        assert list(numbers.values()) == plain.stats.tolist()
    assert 0.05 < evaluation.mask["AP"] < 0.95  # the case says something
