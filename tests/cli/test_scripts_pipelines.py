"""The pipelines from end to end, on miniature data sets with the demo networks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from no_time_to_train.dataset.class_splits import class_names
from tests.miniatures import coco

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--config", str(ROOT / "configs" / "demo.yaml")]
QUICK += ["--model.init_args.model_cfg.sam2_infer_cfgs.points_per_side", "8"]


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, with networks where configs/demo.yaml has them."""
    (tmp_path / "demo_models").symlink_to(ROOT / "demo_models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(python: str, script: str, *arguments: str, **variables: str) -> str:
    # One thread: threads cost more than they save with networks this small.
    environment = os.environ | {"PYTHON": python, "OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(
        ["bash", str(ROOT / script), *arguments, *QUICK],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_few_shot_full_pipeline__miniature_coco_on_a_cpu(
    working_folder: Path, warm_python: str
) -> None:
    coco.write(working_folder / "data", references=class_names("few_shot_classes"))
    config = ROOT / "no_time_to_train" / "new_exps" / "coco_fewshot_10shot_Sam2L.yaml"
    output = run(warm_python, "few_shot_full_pipeline.sh", str(config), "1", "cpu", "33")
    assert "BBOX RESULTS:" in output
    assert "SEGM RESULTS:" in output
    results = working_folder / "work_dirs" / "few_shot_results"
    assert (results / "few_shot_1shot_seed33.pkl").is_file()
    assert (results / "memory.ckpt").is_file()
    assert (results / "memory_postprocessed.ckpt").is_file()


def test_cdfsod_pipeline__boxes_become_masks_and_results(working_folder: Path) -> None:
    folder = working_folder / "sets" / "MINI"
    (folder / "annotations").mkdir(parents=True)
    for part, source, name in (
        ("train", "custom_references.json", "2_shot.json"),
        ("test", "custom_targets.json", "test.json"),
    ):
        shutil.copytree(ROOT / "photos" / "images", folder / part)
        shutil.copy(ROOT / "photos" / "annotations" / source, folder / "annotations" / name)
    output = run(
        sys.executable,
        "scripts/matching_cdfsod_pipeline.sh",
        *("MINI", "2", "cpu", "motorcycle,coin", "2"),
        *("--export_result", "results.json"),
        DATASETS_ROOT="sets",
        SAM_CHECKPOINT="demo_models/sam2_hiera_demo.pt",
    )
    assert "BBOX RESULTS:" in output
    assert "SEGM RESULTS:" in output
    with_masks = json.loads((folder / "annotations" / "2_shot_with_segm.json").read_text())
    assert all(annotation["segmentation"] for annotation in with_masks["annotations"])
    assert (working_folder / "tmp_ckpts/cdfsod/MINI_2_refs_memory_postprocessed.pth").is_file()
    records = json.loads((working_folder / "results.json").read_text())
    assert {record["category_id"] for record in records} <= {4, 11}
    assert {record["image_id"] for record in records} <= {2, 4, 5}
