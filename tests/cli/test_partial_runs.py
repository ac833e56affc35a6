"""Runs on a part of the images, and runs that find nothing: what is measured, and what is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import fill, postprocess, segment, settings, vis
from tests.cli.test_bad_data import TARGETS, everything, rewrite
from tests.cli.test_wrong_settings import assert_one_line


def metrics() -> dict[str, Any]:
    """Those of the latest run."""
    paths = Path("work_dirs").rglob("metrics.json")
    content: dict[str, Any] = json.loads(max(paths, key=lambda p: p.stat().st_mtime_ns).read_text())
    return content


@pytest.mark.parametrize(
    ("limit", "ran"), [(("limit_test_batches", "2"), 2), (("limit_test_batches", "0.5"), 1)]
)
def test_limited_test__is_measured_on_the_images_that_ran(
    memories_dir: Path, limit: tuple[str, str], ran: int
) -> None:
    setting = f"--trainer.{limit[0]} {limit[1]}"
    outcome = segment(*setting.split(), *settings({"model_cfg.test.online_vis": True}))
    assert outcome.code == 0, outcome.err
    assert f"Evaluated on the {ran} of 3 images that ran ({setting})" in outcome.out
    limited = metrics()
    assert (limited["images"], limited["images_of_data_set"]) == (ran, 3)
    assert limited["limited_by"] == setting
    assert len(list(Path("results_analysis/photos").iterdir())) == ran

    def keep(content: dict[str, Any]) -> None:
        content["images"] = content["images"][:ran]
        kept = {image["id"] for image in content["images"]}
        content["annotations"] = [a for a in content["annotations"] if a["image_id"] in kept]

    assert segment(*settings({"dataset_cfgs.test.json_file": rewrite(TARGETS, keep)})).code == 0
    alone = metrics()
    assert alone["limited_by"] is None
    assert [limited[key] for key in ("box", "mask", "per_class")] == [
        alone[key] for key in ("box", "mask", "per_class")
    ]


def test_fast_dev_run__is_measured_on_its_one_image(memories_dir: Path) -> None:
    outcome = segment("--trainer.fast_dev_run", "true", "--export_result", "out.json")
    assert outcome.code == 0, outcome.err
    assert "Evaluated on the 1 of 3 images that ran (--trainer.fast_dev_run" in outcome.out
    assert len({record["image_id"] for record in json.loads(Path("out.json").read_text())}) == 1


@pytest.mark.parametrize(
    ("stage", "limit", "word"),
    [
        (segment, "limit_test_batches 0", "no image"),
        (segment, "limit_test_batches 0.1", "no image"),
        (fill, "limit_test_batches 1", "1 of 2"),
        (fill, "limit_test_batches 0.5", "1 of 2"),
        (fill, "fast_dev_run true", "1 of 2"),
        (vis, "limit_test_batches 1", "1 of 2"),
        (postprocess, "limit_test_batches 0", "0 of 1"),
    ],
)
def test_limit__that_leaves_nothing_or_references_out_is_refused(
    memories_dir: Path, stage: Any, limit: str, word: str
) -> None:
    before = everything(memories_dir)
    more = ("--export_result", "out.json") if stage is segment else ("--out_path", "new.pth")
    outcome = stage(*f"--trainer.{limit}".split(), *(() if stage is vis else more))
    assert_one_line(outcome, f"--trainer.{limit.split()[0]}", word)
    assert everything(memories_dir) == before


def test_limit__that_leaves_all_references_in_is_taken(photos_dir: Path) -> None:
    assert fill("--trainer.limit_test_batches", "2").code == 0


def test_run_that_finds_nothing__says_how_far_it_was(memories_dir: Path) -> None:
    outcome = segment(
        *settings({"model_cfg.sam2_infer_cfgs.iou_thr": 1}), "--export_result", "out.json"
    )
    assert outcome.code == 0, outcome.err
    assert json.loads(Path("out.json").read_text()) == []
    (line,) = [each for each in outcome.out.splitlines() if "Nothing was found" in each]
    assert "in 3 images" in line and "iou_thr is 1" in line
    best = float(line.partition("proposal was ")[2].partition(",")[0])
    above, below = (
        segment(*settings({"model_cfg.sam2_infer_cfgs.iou_thr": threshold}))
        for threshold in (best + 0.006, best - 0.006)
    )
    assert "Nothing was found" in above.out  # the number is the best, rounded to two digits
    assert "Nothing was found" not in below.out


def test_pictures__that_show_no_prediction_say_the_best_score(memories_dir: Path) -> None:
    outcome = segment(
        *settings({"model_cfg.test.online_vis": True, "model_cfg.test.vis_thr": 1}),
        "--export_result",
        "out.json",
    )
    scores = [record["score"] for record in json.loads(Path("out.json").read_text())]
    assert f"0 of {len(scores)} instances are above vis_thr 1" in outcome.out
    assert f"the best score is {max(scores):.3g}" in outcome.out
