"""The published tool that measures instance results as semantic segmentation."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from no_time_to_train.coco.annotations import CocoAnnotations, run_lengths
from no_time_to_train.dataset.coco_inst_to_segm import main
from no_time_to_train.errors import InputError
from tests.miniatures import coco
from tests.unit.scripts import run_script


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with COCO below ./data, and results: what is there, in every image."""
    coco.write(tmp_path / "data", references=["person"])
    truth = CocoAnnotations.read(tmp_path / "data/coco/annotations/instances_val2017.json")
    results = []
    for each in truth.annotations:
        if not each.iscrowd:
            rle = run_lengths(each, truth.images[each.image_id])
            rle["counts"] = rle["counts"].decode()
            entry = {"image_id": each.image_id, "category_id": each.category_id, "score": 0.9}
            results.append(entry | {"bbox": list(each.bbox), "segmentation": rle})
    (tmp_path / "results.json").write_text(json.dumps(results))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATASETS_ROOT", raising=False)
    return tmp_path


def printed(caplog: pytest.LogCaptureFixture, *arguments: str) -> dict[str, str]:
    """The lines of names and numbers; the names may have spaces."""
    caplog.set_level(logging.INFO)
    main(arguments)
    lines = caplog.messages[-1].splitlines()
    return {name.strip(): value for name, _, value in (line.rpartition("  ") for line in lines)}


def test_main__the_published_call_prints_both_numbers(data_dir: Path) -> None:
    # Of the second fold there are bicycles, and all of them are found.
    published = ("--pred_json", "results.json", "--class_split", "coco_semantic_split_2")
    done = run_script("coco_inst_to_segm.py", *published, cwd=data_dir, list_imports=True)
    assert done.returncode == 0, done.stderr
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    numbers = {words[0]: words[-1].strip() for words in lines}
    assert numbers["mIoU"] == numbers["mIoU with background"] == "1.0000"
    assert numbers["mIoU as published"] == "1.0000"
    assert numbers["bicycle"] == "1.0000"
    assert numbers["toilet"] == "-"
    assert "torch" not in done.stdout.splitlines()[-1]


def test_main__a_fold_by_its_number(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    numbers = printed(caplog, "--pred_json", "results.json", "--class_split", "4")
    assert numbers["motorcycle"] == "1.0000"


def test_main__a_threshold_above_all_scores(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = ("--pred_json", "results.json", "--class_split", "1", "--score-thr", "0.95")
    numbers = printed(caplog, *arguments)
    assert numbers["mIoU"] == "0.0000"
    assert numbers["mIoU as published"] == "1.0000"  # which has its own threshold


def test_main__the_published_place_of_the_ground_truth_comes_first(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    truth = json.loads((data_dir / "data/coco/annotations/instances_val2017.json").read_text())
    truth["annotations"] = []
    place = data_dir / "inst_to_segm" / "original"
    place.mkdir(parents=True)
    (place / "instances_val2017.json").write_text(json.dumps(truth))
    numbers = printed(caplog, "--pred_json", "results.json", "--class_split", "1")
    assert numbers["mIoU"] == "-"
    given = ("--gt_json", "data/coco/annotations/instances_val2017.json")
    numbers = printed(caplog, "--pred_json", "results.json", "--class_split", "1", *given)
    assert numbers["mIoU"] == "1.0000"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--class_split", "5"), "there is no class split 'coco_semantic_split_5'"),
        (("--class_split", "1", "--gt_json", "none.json"), "none.json"),
    ],
)
def test_main__what_cannot_be_measured(
    data_dir: Path, arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        main(("--pred_json", "results.json", *arguments))


def test_main__a_score_that_is_none(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(("--pred_json", "results.json", "--class_split", "1", "--score-thr", "nan"))
    assert "must be a number from 0 to 1, got 'nan'" in capsys.readouterr().err
