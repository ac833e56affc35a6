"""Pages of runs with ground truth: numbers that a reader can check, and what is said without."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from no_time_to_train.errors import InputError
from no_time_to_train.reports import write_report
from no_time_to_train.reports.content import Report
from no_time_to_train.reports.from_evaluation import evaluation_report
from no_time_to_train.reports.from_test import measured_report
from tests.unit.coco_files import annotation
from tests.unit.html_pages import Page
from tests.unit.report_runs import HOSTILE, square, write_test_run

BIRD, BOAT = 16, 9
TRUTHS = [annotation(1, 7, BIRD), annotation(2, 3, BIRD), annotation(3, 3, BOAT)]
"""A bird in a.png; a bird and a boat in b.png, in the same place."""


def found(image_id: int, category_id: int, score: float, x: int = 10) -> dict:
    box = [x, 10, 9, 9]
    entry = {"image_id": image_id, "category_id": category_id, "bbox": box, "score": score}
    return {**entry, "segmentation": square(x)}


RIGHT_AND_WRONG = [
    found(7, BIRD, 0.92),
    found(3, BOAT, 0.82),
    found(3, BOAT, 0.72),
    found(3, BOAT, 0.32, x=40),
]
"""The second boat of b.png takes the bird that the first has left; the third lies nowhere."""


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return measured_report(write_test_run(tmp_path / "run", TRUTHS, RIGHT_AND_WRONG))


def test_pictures__are_ordered_by_f1_and_say_what_was_right(report: Report) -> None:
    captions = {
        group.title: [(each.file_name, each.caption) for each in group.pictures]
        for group in report.groups
    }
    assert captions == {
        "Best": [
            ("a.png", "At 0.50: F1 1.00, 1 right, 0 wrong, 0 missed."),
            ("b.png", "At 0.50: F1 0.50, 1 right, 1 wrong, 1 missed."),
        ]
    }


def test_pictures__show_detections_best_first_and_ground_truth(report: Report) -> None:
    picture = report.groups[0].pictures[1]
    assert [(each.label, each.score) for each in picture.found] == [
        ("boat", 0.82),
        ("boat", 0.72),
        ("boat", 0.32),
    ]
    assert [each.label for each in picture.truths] == ["bird", "boat"]
    assert picture.found[0].centre == (15, 15)


def test_confusions__have_a_row_for_nothing_and_a_column_for_what_was_missed(
    report: Report,
) -> None:
    matrix = report.confusions
    assert matrix is not None
    assert list(matrix.names) == ["boat", "bird"]  # by category id
    assert matrix.counts == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert list(matrix.frequent.rows) == [["bird", "boat", "1"]]


def test_histogram__tells_right_from_wrong(report: Report) -> None:
    assert report.histogram is not None
    bins = {part.name: np.flatnonzero(part.values).tolist() for part in report.histogram.parts}
    assert bins == {"right": [16, 18], "of another class": [14], "none left": [6]}  # of twenty


def test_curves__of_thresholds_have_precision_recall_and_f1(report: Report) -> None:
    *by_recall, by_threshold = report.curves
    assert [chart.title.split()[4] for chart in by_recall] == ["masks,", "boxes,"]
    values = {series.name: series.values for series in by_threshold.series}
    assert [values[name][78] for name in ("precision", "recall", "F1")] == [
        1,
        pytest.approx(2 / 3),
        pytest.approx(2 * 2 / (2 + 3)),
    ]
    assert values["precision"][0] == 2 / 4
    assert (values["precision"][100], values["recall"][100]) == (1, 0)


def test_numbers__are_those_of_metrics(report: Report, tmp_path: Path) -> None:
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    facts = {fact.name: fact.value for fact in report.headline}
    assert facts["Mask AP"] == f"{100 * metrics['mask']['AP']:.1f}"
    assert facts["Best F1, at 0.73"] == "80.0"  # 2 x 2 of 2 detections and 3 instances
    assert [row[0] for row in report.tables[0].rows] == ["mask", "box"]
    assert report.per_class is not None and report.sizes is not None
    assert {row.name: row.count for row in report.per_class.rows} == {"bird": 2, "boat": 1}
    assert [row.values for row in report.sizes.rows[1:]] == [[None, None]] * 2


def test_page__has_no_setting_that_was_not_used(report: Report, tmp_path: Path) -> None:
    names = [fact.name for fact in report.settings]
    assert "dataset_cfgs.test.root" in names
    assert not [name for name in names if "fill_memory" in name]


def test_page__without_kept_results_says_what_is_missing(tmp_path: Path) -> None:
    page = Page(write_report(write_test_run(tmp_path / "run", TRUTHS, None)).read_text())
    assert "Curves, confusions and pictures are missing: the run has not kept" in page.text
    assert "Average precision" in page.text
    assert not page.all("figure")


def test_page__of_results_that_are_gone_says_so(tmp_path: Path) -> None:
    folder = write_test_run(tmp_path / "run", TRUTHS, RIGHT_AND_WRONG)
    (tmp_path / "data" / "results.json").unlink()
    text = Page(write_report(folder).read_text()).text
    assert "pictures are missing" in text
    assert "there is no such file" in text


def test_page__without_ground_truth_shows_scores_alone(tmp_path: Path) -> None:
    folder = write_test_run(tmp_path / "run", [], RIGHT_AND_WRONG)
    report = measured_report(folder)
    assert [group.title for group in report.groups] == ["Surest"]
    page = Page(write_report(folder).read_text())
    assert "No ground truth." in page.text
    assert not re.search(r"(?<![\w-])-1\b", page.text)
    assert not page.all("table", **{"class": "matrix"})
    assert not page.all("input", id="show-truth")


def test_page__of_a_part_of_the_images_says_so(tmp_path: Path) -> None:
    changes = {"images": 1, "image_ids": [7], "limited_by": "--trainer.limit_test_batches 1"}
    folder = write_test_run(tmp_path / "run", TRUTHS, RIGHT_AND_WRONG[:1], **changes)
    report = measured_report(folder)
    assert "Only 1 of 2 pictures ran" in report.notes[0]
    assert [each.file_name for group in report.groups for each in group.pictures] == ["a.png"]


def test_page__is_not_broken_by_hostile_names(tmp_path: Path) -> None:
    folder = write_test_run(tmp_path / "run", TRUTHS, RIGHT_AND_WRONG)
    data = json.loads((tmp_path / "data" / "coco.json").read_text())
    for category in data["categories"]:
        category["name"] += HOSTILE
    for image in data["images"]:
        image["file_name"] = f"x/{HOSTILE}{image['file_name']}"
    (tmp_path / "data" / "coco.json").write_text(json.dumps(data))
    metrics = json.loads((folder / "metrics.json").read_text())
    targets = metrics["config"]["model"]["init_args"]["dataset_cfgs"]["test"]
    targets["cat_names"] = [f"bird{HOSTILE}", f"boat{HOSTILE}"]
    metrics["config"]["model"]["init_args"]["model_cfg"]["dataset_name"] = f"</title>{HOSTILE}"
    for row in metrics["per_class"]:
        row["name"] += HOSTILE
    metrics["bad_images"] = [{"file_name": HOSTILE, "reason": f"</td>{HOSTILE}"}]
    (folder / "metrics.json").write_text(json.dumps(metrics))
    page = Page(write_report(folder).read_text())
    assert len(page.scripts) == 1
    assert page.text.count(HOSTILE) > 20
    assert page.fetched() == []
    assert not [own for _, own in page.elements if any(key.startswith("on") for key in own)]


@pytest.mark.parametrize("name", ["box", "per_class", "config", "seconds", "images", "results"])
@pytest.mark.parametrize("value", [None, "text", 5, [], {}, [None], {"a": None}])
def test_damaged_metrics__end_in_a_page_or_in_a_sentence(
    name: str, value: object, tmp_path: Path
) -> None:
    folder = write_test_run(tmp_path / "run", TRUTHS, RIGHT_AND_WRONG, **{name: value})
    try:
        Page(write_report(folder).read_text())
    except InputError as error:
        assert "metrics.json" in str(error)


def test_evaluation__has_its_numbers_and_classes(tmp_path: Path) -> None:
    content = {
        "benchmark": "coco",
        "title": f"COCO{HOSTILE}",
        "split": "few_shot_classes",
        "shots": 10,
        "seed": 33,
        "metrics": "coco",
        "numbers": {"box nAP": 0.3225, "box nAPs": None, "mask nAP": 0.4, "mask nAPs": None},
        "per_class": [
            {"category_id": 1, "name": "cat", "instances": 2, "box_ap": 0.2, "mask_ap": None},
            {"category_id": 2, "name": HOSTILE, "instances": 1, "box_ap": 0.9, "mask_ap": None},
            {"category_id": 3, "name": "dog", "instances": 0, "box_ap": None, "mask_ap": None},
        ],
        "images": 4952,
        "bad_images": [],
        "limited_by": None,
        "files": {"results": {"path": "r.json", "sha256": "ab" * 32}},
        "versions": {"python": "3.11"},
    }
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    report = evaluation_report(tmp_path)
    assert report.tables[0].header == ["", "box", "mask"]
    assert report.tables[0].rows == [
        ["nAP", "32.3", "40.0"],
        ["nAPs", "no ground truth", "no ground truth"],
    ]
    assert report.per_class is not None
    assert list(report.per_class.columns) == ["box AP"]
    assert [row.name for row in report.per_class.rows] == [HOSTILE, "cat", "dog"]
    page = Page(write_report(tmp_path).read_text())
    assert len(page.scripts) == 1
    assert re.search(r"Seed\s*33", page.text)
    assert f"r.json {'ab' * 32}" in page.text


def test_evaluation__without_numbers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evaluation.json").write_text("{}")
    with pytest.raises(InputError, match="it has no numbers"):
        write_report(tmp_path)


def test_evaluation__of_other_numbers_has_one_column(tmp_path: Path) -> None:
    content = {"title": "COCO-20i", "numbers": {"mIoU": 0.5, "mask of all": None}}
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    report = evaluation_report(tmp_path)
    assert report.tables[0].rows == [["mIoU", "50.0"], ["mask of all", "no ground truth"]]
