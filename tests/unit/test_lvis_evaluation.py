"""The LVIS protocol: each rule by hand, and random results by plain pycocotools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle_codec

from no_time_to_train.coco.annotations import CocoAnnotations
from no_time_to_train.errors import InputError
from no_time_to_train.evaluation import EVALUATORS
from no_time_to_train.evaluation.layouts import LVIS_NUMBERS
from no_time_to_train.evaluation.lvis import evaluate_lvis
from no_time_to_train.evaluation.scores import Scores
from tests.unit.lvis_by_pycocotools import lvis_numbers

SIDE = 200  # of every image, in pixels
BOX = [10, 10, 40, 50]  # 2000 square pixels: medium
ELSEWHERE = [110, 110, 40, 50]
RARE, RARE_TOO, COMMON, FREQUENT = 1, 2, 3, 4
CLASSES = {RARE: "r", RARE_TOO: "r", COMMON: "c", FREQUENT: "f"}
A, B = 5, 3  # images


def polygon(x: int, y: int, w: int, h: int) -> list[list[int]]:
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def truth(category_id: int, image_id: int | str = A, box: Sequence[int] = BOX, **fields: Any):
    area = float(box[2] * box[3])
    entry = {"image_id": image_id, "category_id": category_id, "bbox": list(box), "area": area}
    return entry | {"segmentation": polygon(*box)} | fields


def found(
    category_id: int, score: float = 0.5, image_id: int | str = A, box: Sequence[int] = BOX
) -> Any:
    (rle,) = rle_codec.frPyObjects(polygon(*box), SIDE, SIDE)
    return {
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(box),
        "score": score,
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
    }


def image(
    image_id: int | str, negative: Sequence[int] = (), not_exhaustive: Sequence[int] = ()
) -> dict[str, Any]:
    return {
        "id": image_id,
        "coco_url": f"http://host/{image_id}.jpg",
        "height": SIDE,
        "width": SIDE,
        "neg_category_ids": list(negative),
        "not_exhaustive_category_ids": list(not_exhaustive),
    }


class Folder:
    """Writes LVIS json files and reads them as the package does."""

    def __init__(self, path: Path) -> None:
        self.path = path / "lvis.json"

    def __call__(self, images: Sequence[dict], truths: Sequence[dict]) -> CocoAnnotations:
        document = {
            "images": images,
            "annotations": [{"id": n, **each} for n, each in enumerate(truths, start=1)],
            "categories": [
                {"id": key, "name": f"class {key}", "frequency": frequency}
                for key, frequency in CLASSES.items()
            ],
        }
        self.path.write_text(json.dumps(document))
        return CocoAnnotations.read(self.path)


@pytest.fixture
def lvis(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def ap(scores: Scores, name: str = "AP") -> Any:
    """A number that is the same for boxes and masks, as in cases where both are rectangles."""
    box, mask = scores.numbers[f"box {name}"], scores.numbers[f"mask {name}"]
    assert box == pytest.approx(mask)
    return box


def test_evaluate_lvis__one_perfect_detection(lvis: Folder) -> None:
    scores = evaluate_lvis(lvis([image(A)], [truth(RARE)]), [RARE], [found(RARE)])
    one = {"AP", "AP50", "AP75", "APm", "APr", "AR@300"}
    for name in ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR@300"):
        assert ap(scores, name) == (pytest.approx(1) if name in one else None)
    assert next(iter(scores.numbers)) == "box AP"


@pytest.mark.parametrize(
    ("negative", "expected"), [([], 1.0), ([COMMON], 1.0), ([RARE], 0.5), ([COMMON, RARE], 0.5)]
)
def test_evaluate_lvis__a_class_that_nobody_looked_for_is_no_false_alarm(
    lvis: Folder, negative: list[int], expected: float
) -> None:
    # In B it is the first of two detections, of which the second is right: precision 1/2.
    annotations = lvis([image(A), image(B, negative)], [truth(RARE), truth(FREQUENT, B)])
    records = [found(RARE, 0.5), found(RARE, 0.9, B, ELSEWHERE)]
    scores = evaluate_lvis(annotations, [RARE], records)
    assert ap(scores) == pytest.approx(expected)
    assert ap(scores, "AP as published") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("not_exhaustive", "expected"), [([], 0.5), ([COMMON], 0.5), ([RARE], 1.0)]
)
def test_evaluate_lvis__beyond_what_is_exhaustively_annotated_nothing_is_wrong(
    lvis: Folder, not_exhaustive: list[int], expected: float
) -> None:
    annotations = lvis([image(A, not_exhaustive=not_exhaustive)], [truth(RARE)])
    records = [found(RARE, 0.9, box=ELSEWHERE), found(RARE, 0.5)]
    scores = evaluate_lvis(annotations, [RARE], records)
    assert ap(scores) == pytest.approx(expected)
    assert ap(scores, "AP as published") == pytest.approx(0.5)


def test_evaluate_lvis__not_exhaustive_in_one_image_is_no_excuse_in_another(lvis: Folder) -> None:
    images = [image(A, not_exhaustive=[RARE]), image(B)]
    annotations = lvis(images, [truth(RARE), truth(RARE, B)])
    records = [found(RARE, 0.9, B, ELSEWHERE), found(RARE, 0.8), found(RARE, 0.7, B)]
    # Wrong, right, right: precision 2/3 at every recall.
    assert ap(evaluate_lvis(annotations, [RARE], records)) == pytest.approx(2 / 3)


def test_evaluate_lvis__what_is_missed_of_a_not_exhaustive_class_is_missed(lvis: Folder) -> None:
    annotations = lvis([image(A, not_exhaustive=[RARE])], [truth(RARE), truth(RARE, box=ELSEWHERE)])
    scores = evaluate_lvis(annotations, [RARE], [found(RARE)])
    assert ap(scores) == pytest.approx(51 / 101)  # precision 1 up to recall 1/2
    assert ap(scores, "AR@300") == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("others", "expected", "as_published"), [(99, 1, 1), (100, 1, 0), (299, 1, 0), (300, 0, 0)]
)
def test_evaluate_lvis__takes_the_best_300_of_an_image_over_all_classes(
    lvis: Folder, others: int, expected: float, as_published: float
) -> None:
    # Those of a class that nobody looked for take their places, too, as in the LVIS API.
    annotations = lvis([image(A), image(B)], [truth(RARE)])
    more = [found(COMMON, 0.9) for _ in range(others)] + [found(COMMON, 0.9, B)] * 200
    scores = evaluate_lvis(annotations, list(CLASSES), [found(RARE, 0.1), *more])
    assert ap(scores) == ap(scores, "AR@300") == pytest.approx(expected)
    assert ap(scores, "AP as published") == pytest.approx(as_published)


def test_evaluate_lvis__of_equal_scores_the_first_count(lvis: Folder) -> None:
    annotations = lvis([image(A)], [truth(RARE)])
    others = [found(RARE, box=ELSEWHERE)] * 300
    assert ap(evaluate_lvis(annotations, [RARE], [*others, found(RARE)])) == 0
    assert ap(evaluate_lvis(annotations, [RARE], [found(RARE), *others])) == pytest.approx(1)


def test_evaluate_lvis__averages_over_classes_with_ground_truth(lvis: Folder) -> None:
    truths = [truth(RARE), truth(COMMON), truth(COMMON, box=ELSEWHERE), truth(FREQUENT)]
    annotations = lvis([image(A, negative=[RARE_TOO])], truths)
    records = [found(RARE), found(COMMON), found(RARE_TOO)]
    scores = evaluate_lvis(annotations, list(CLASSES), records)
    assert ap(scores) == pytest.approx((1 + 51 / 101 + 0) / 3)
    assert ap(scores, "APr") == pytest.approx(1)
    assert ap(scores, "APc") == pytest.approx(51 / 101)
    assert ap(scores, "APf") == 0
    assert ap(scores, "AR@300") == pytest.approx((1 + 0.5 + 0) / 3)
    rows = {row["category_id"]: row for row in scores.per_class}
    assert [rows[key]["frequency"] for key in CLASSES] == list(CLASSES.values())
    assert [rows[key]["instances"] for key in CLASSES] == [1, 0, 2, 1]
    assert [rows[key]["box_ap"] for key in CLASSES] == pytest.approx([1, None, 51 / 101, 0])
    assert rows[COMMON]["name"] == "class 3"


def test_evaluate_lvis__sizes_are_those_of_the_annotations(lvis: Folder) -> None:
    boxes = {"APs": [10, 10, 20, 20], "APm": [50, 10, 40, 50], "APl": [90, 70, 100, 100]}
    annotations = lvis([image(A)], [truth(RARE, box=box) for box in boxes.values()])
    scores = evaluate_lvis(annotations, [RARE], [found(RARE, box=boxes["APl"])])
    assert [ap(scores, name) for name in boxes] == pytest.approx([0, 0, 1])


def test_evaluate_lvis__ids_of_any_kind(lvis: Folder) -> None:
    images = [image("b", not_exhaustive=[RARE]), image("a", negative=[COMMON])]
    annotations = lvis(images, [truth(RARE, "b", id=0), truth(RARE, "a", id=0)])
    records = [
        found(RARE, 0.9, "b", ELSEWHERE),
        found(RARE, 0.8, "a"),
        found(RARE, 0.7, "b"),
        found(COMMON, 0.9, "b"),
    ]
    scores = evaluate_lvis(annotations, list(CLASSES), records)
    assert ap(scores) == pytest.approx(1)
    # COCOeval: wrong, right, right.
    assert ap(scores, "AP as published") == pytest.approx(2 / 3)


def test_evaluate_lvis__some_of_the_images(lvis: Folder) -> None:
    annotations = lvis([image(A), image(B)], [truth(RARE), truth(RARE, B)])
    scores = evaluate_lvis(annotations.restricted_to([A]), [RARE], [found(RARE)])
    assert ap(scores) == pytest.approx(1)
    with pytest.raises(InputError, match="belongs to image 3, which"):
        evaluate_lvis(annotations.restricted_to([A]), [RARE], [found(RARE, image_id=B)])


@pytest.mark.parametrize("key", ["neg_category_ids", "not_exhaustive_category_ids"])
def test_evaluate_lvis__without_lists_of_classes_only_as_published(lvis: Folder, key: str) -> None:
    images = [image(A), {name: value for name, value in image(B).items() if name != key}]
    scores = evaluate_lvis(lvis(images, [truth(RARE)]), list(CLASSES), [found(RARE)])
    assert ap(scores) is ap(scores, "APr") is ap(scores, "AR@300") is None
    assert ap(scores, "AP as published") == pytest.approx(1)
    assert scores.per_class[0]["box_ap"] is None
    assert scores.text.startswith(f"No LVIS AP: 1 of 2 images in {lvis.path} lack neg_category_ids")
    assert "lvis_fix_minival_segm.py" in scores.text


def test_evaluate_lvis__without_frequencies_no_ap_of_them(
    lvis: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSES, RARE, "")
    scores = evaluate_lvis(lvis([image(A)], [truth(RARE)]), list(CLASSES), [found(RARE)])
    assert ap(scores) == pytest.approx(1)
    assert ap(scores, "APr") is ap(scores, "APc") is ap(scores, "APf") is None


def test_evaluate_lvis__results_without_masks(lvis: Folder) -> None:
    record = {key: value for key, value in found(RARE).items() if key != "segmentation"}
    scores = evaluate_lvis(lvis([image(A)], [truth(RARE)]), [RARE], [record])
    assert scores.numbers["box AP"] == pytest.approx(1)
    assert scores.numbers["box AP as published"] == pytest.approx(1)
    assert scores.numbers["mask AP"] is scores.numbers["mask AP as published"] is None


def test_evaluate_lvis__no_ground_truth_gives_a_sentence(lvis: Folder) -> None:
    scores = evaluate_lvis(lvis([image(A)], []), list(CLASSES), [found(RARE)])
    assert set(scores.numbers.values()) == {None}
    assert scores.text.startswith("No ground truth: ")


def test_evaluate_lvis__gives_what_tables_of_runs_show(lvis: Folder) -> None:
    scores = evaluate_lvis(lvis([image(A)], [truth(RARE)]), [RARE], [])
    assert set(LVIS_NUMBERS) <= set(scores.numbers)


def test_evaluate_lvis__category_0_and_boxes_without_extent(
    lvis: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CLASSES, 0, "r")
    annotations = lvis([image(A, negative=[0])], [truth(0), truth(0, box=[20, 20, 0, 0])])
    scores = evaluate_lvis(annotations, [0], [found(0), found(0, box=[20, 20, 0, 9])])
    assert ap(scores, "AR@300") == pytest.approx(0.5)


def test_evaluate_lvis__nothing_found(lvis: Folder) -> None:
    scores = evaluate_lvis(lvis([image(A)], [truth(RARE)]), list(CLASSES), [])
    assert ap(scores) == ap(scores, "APr") == ap(scores, "AR@300") == 0


def test_evaluate_lvis__refuses_a_score_that_is_no_number(lvis: Folder) -> None:
    with pytest.raises(InputError, match=r"5\.jpg has the score nan"):
        evaluate_lvis(lvis([image(A)], [truth(RARE)]), [RARE], [found(RARE, float("nan"))])


def test_evaluate_lvis__text_has_both_tables_and_nothing_else_is_said(
    lvis: Folder, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    annotations = lvis([image(A), image(B)], [truth(RARE)])
    records = [found(RARE), found(RARE, 0.9, B)]
    with caplog.at_level("INFO"):
        lines = EVALUATORS["lvis"].load()(annotations, list(CLASSES), records).text.splitlines()
    names = "AP AP50 AP75 APs APm APl APr APc APf AR@300".split()
    assert lines[0] == "LVIS, the best 300 detections of an image:"
    assert lines[1].split() == names
    ours = "1.000 1.000 1.000 - 1.000 - 1.000 - - 1.000".split()
    assert lines[2].split() == ["boxes", *ours]
    assert lines[3].split() == ["masks", *ours]
    assert lines[5].startswith("As published, with COCOeval: the best 100 detections")
    assert lines[6].split() == names[:6]
    assert lines[7].split() == ["boxes", "0.500", "0.500", "0.500", "-", "0.500", "-"]
    assert lines[-1].split() == ["class", "1", "1", "1.000", "1.000", "1.000", "1.000"]
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


def random_case(seed: int) -> tuple[list[dict], list[dict], list[dict]]:
    """Images, truths and 40 or 400 detections of each image, many with equal scores."""
    generator = np.random.default_rng(seed)

    def random_box() -> list[int]:
        return [*generator.integers(0, 80, 2).tolist(), *generator.integers(8, 115, 2).tolist()]

    images, truths, records = [], [], []
    for image_id in (8, 2, 11, 7, 20, 1):
        order = generator.permutation(list(CLASSES)).tolist()
        present, negative = order[:2], order[2:3]
        not_exhaustive = [key for key in order[:3] if generator.random() < 0.4]
        images.append(image(image_id, negative, not_exhaustive))
        for key in present:
            truths += [truth(key, image_id, random_box()) for _ in range(generator.integers(1, 4))]
        here = [each for each in truths if each["image_id"] == image_id]
        for _ in range(generator.choice([40, 400])):
            near = here[generator.integers(len(here))]
            moved = np.array(near["bbox"]) + generator.integers(-6, 7, 4)
            box = moved.clip(1).tolist() if generator.random() < 0.5 else random_box()
            key = near["category_id"] if generator.random() < 0.8 else int(generator.choice(order))
            records.append(found(key, int(generator.integers(1, 40)) / 40, image_id, box))
    return images, truths, records


@pytest.mark.parametrize("seed", range(3))
def test_evaluate_lvis__equals_pycocotools_with_crowds_for_what_is_not_annotated(
    lvis: Folder, seed: int
) -> None:
    images, truths, records = random_case(seed)
    scores = evaluate_lvis(lvis(images, truths), list(CLASSES), records)
    document = json.loads(lvis.path.read_text())
    for kind, iou_type in (("box", "bbox"), ("mask", "segm")):
        expected = lvis_numbers(document, records, iou_type)
        ours = {name: scores.numbers[f"{kind} {name}"] for name in expected}
        assert ours == pytest.approx(expected, abs=1e-12)
        assert 0.05 < expected["AP"] < 0.95  # the case says something
        assert expected["AP"] > scores.numbers[f"{kind} AP as published"]
