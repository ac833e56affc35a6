"""The published tool that measures instance results as semantic segmentation."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from no_time_to_train.coco.annotations import CocoAnnotations, run_lengths
from no_time_to_train.dataset.coco_inst_to_segm import main
from no_time_to_train.errors import InputError
from tests.miniatures import coco
from tests.unit.scripts import ROOT, run_script


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


def test_launch_coco_semantic_eval__folds_of_which_half_is_found(data_dir: Path) -> None:
    """Results for the first image alone, of the two; no fold has two objects in one image."""
    results = json.loads((data_dir / "results.json").read_text())
    results = [each for each in results if each["image_id"] == 1]
    (data_dir / "inst_to_segm").mkdir()
    for fold in (1, 2, 3, 4):
        name = f"coco_inst_semantic_split_{fold}_1shot_42seed_results.json"
        (data_dir / "inst_to_segm" / name).write_text(json.dumps(results))
    done = subprocess.run(
        ["bash", str(ROOT / "scripts" / "launch_coco_semantic_eval.sh")],
        env=os.environ | {"PYTHON": sys.executable, "SHOTS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    truth = COCO(str(data_dir / "data/coco/annotations/instances_val2017.json"))
    pixels = [[truth.annToMask(a).sum() for a in truth.imgToAnns[key][:4]] for key in (1, 2)]
    everything = 2 * 96 * 96
    texts = done.stdout.split("Fold ")[1:]
    assert len(texts) == 4
    for fold, text in enumerate(texts, start=1):
        words = [line.split("  ") for line in text.splitlines()]
        numbers = {each[0]: each[-1].strip() for each in words}
        if fold == 1:  # a person, who is found, and an airplane in the other image; value 0 and 4
            missed = pixels[1][3]
            expected = (1 + 0) / 2, ((everything - missed) / everything + 0) / 2
        else:  # a bicycle, a car or a motorcycle in both
            hit, missed = pixels[0][fold - 1], pixels[1][fold - 2]
            iou, background = hit / (hit + missed), 1 - missed / (everything - hit)
            expected = iou, (iou + background) / 2
        assert (numbers["mIoU"], numbers["mIoU as published"]) == tuple(
            f"{value:.4f}" for value in expected
        )


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
