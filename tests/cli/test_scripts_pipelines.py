"""The scripts of the benchmarks from end to end, on miniatures of the data sets.

Whatever a table says is worked out a second time here, from the results and the ground truth.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from no_time_to_train.dataset.class_splits import class_names
from tests.miniatures import cdfsod, coco, lvis, voc
from tests.unit.lvis_by_pycocotools import lvis_numbers

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "no_time_to_train" / "new_exps"
QUICK = ["--config", str(ROOT / "configs" / "demo.yaml")]
QUICK += ["--model.init_args.model_cfg.sam2_infer_cfgs.points_per_side", "8"]
DEMO_SAM = "demo_models/sam2_hiera_demo.pt"
SAME = pytest.approx


@pytest.fixture
def working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, with networks where configs/demo.yaml has them."""
    (tmp_path / "demo_models").symlink_to(ROOT / "demo_models")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(
    python: str,
    script: str,
    *arguments: str,
    with_stages: bool = True,
    code: int = 0,
    **variables: str,
) -> str:
    # One thread: threads cost more than they save with networks this small.
    environment = os.environ | {"PYTHON": python, "OMP_NUM_THREADS": "1"} | variables
    done = subprocess.run(
        ["bash", str(ROOT / script), *arguments, *(QUICK if with_stages else ())],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout


def read(path: str | Path) -> Any:
    return json.loads(Path(path).read_text())


def numbers_of(folder: str | Path) -> dict[str, float | None]:
    """Those that are in a table."""
    found: dict[str, float | None] = read(Path(folder) / "evaluation.json")["numbers"]
    return found


def average_precision(
    truth: str | Path, results: str | Path, names: list[str], kind: str
) -> dict[str, float]:
    """By pycocotools, of the named classes."""
    with contextlib.redirect_stdout(io.StringIO()):
        annotations = COCO(str(truth))
        evaluation = COCOeval(annotations, annotations.loadRes(str(results)), kind)
        evaluation.params.catIds = annotations.getCatIds(catNms=names)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {"AP": evaluation.stats[0], "AP50": evaluation.stats[1], "AP75": evaluation.stats[2]}


def in_table(output: str, number: float) -> bool:
    """Whether the table that the script ends with shows a share, as papers do."""
    return f"{100 * number:.1f}" in output.rpartition(" summary ")[2]


@pytest.mark.parametrize(
    ("script", "config", "split", "folder", "is_warm"),
    [
        (
            *("few_shot_full_pipeline.sh", "coco_fewshot_10shot_Sam2L.yaml"),
            *("few_shot_classes", "work_dirs/few_shot_results", False),
        ),
        pytest.param(
            *("full_seg.sh", "coco_allclasses_10shot_Sam2L.yaml"),
            *("default_classes", "work_dirs/coco_all_results", True),
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_coco_pipeline__numbers_are_those_of_pycocotools(
    script: str,
    config: str,
    split: str,
    folder: str,
    is_warm: bool,
    working_folder: Path,
    request: pytest.FixtureRequest,
) -> None:
    coco.write(working_folder / "data", targets=3, references=class_names(split))
    python = request.getfixturevalue("warm_python") if is_warm else sys.executable
    output = run(python, script, str(CONFIGS / config), "1", "cpu", "33")
    for name in ("few_shot_1shot_seed33.pkl", "memory.ckpt", "memory_postprocessed.ckpt"):
        assert (working_folder / folder / name).is_file()
    results = f"{folder}/{split}_1shot_seed33"
    numbers = numbers_of(results)
    for kind, coco_kind in (("box", "bbox"), ("mask", "segm")):
        expected = average_precision(
            "data/coco/annotations/instances_val2017.json",
            f"{results}/results.json",
            class_names(split),
            coco_kind,
        )
        assert [numbers[f"{kind} n{name}"] for name in expected] == SAME(list(expected.values()))
        assert expected["AP"] > 0.1
        assert in_table(output, expected["AP"])


@pytest.mark.parametrize(
    ("script", "shots"),
    [
        ("dior_fish.sh", "1"),
        pytest.param("artaxor_clipart.sh", "1 5", marks=pytest.mark.exhaustive),
        pytest.param("neu-det_uodd.sh", "1 5 10", marks=pytest.mark.exhaustive),
    ],
)
def test_cdfsod_script__numbers_are_those_of_pycocotools(
    script: str, shots: str, working_folder: Path, warm_python: str
) -> None:
    sets = {"dior": ["DIOR", "FISH"], "arta": ["ArTaxOr", "clipart1k"], "neu-": ["NEU-DET", "UODD"]}
    for name in sets[script[:4]]:
        cdfsod.write(working_folder / "data", name, [int(number) for number in shots.split()])
    variables = {"DEVICES": "cpu", "SHOTS": shots, "SAM_CHECKPOINT": DEMO_SAM}
    output = run(warm_python, f"scripts/{script}", **variables)
    for name in sets[script[:4]]:
        folder = Path("data", cdfsod.FOLDERS.get(name, name), "annotations")
        for number in shots.split():
            with_masks = read(folder / f"{number}_shot_with_segm.json")
            assert all(each["segmentation"] for each in with_masks["annotations"])
            results = Path("tmp_ckpts/cd_fsod/matching") / f"{name}_{number}shot_seed42"
            expected = average_precision(
                folder / "test.json", results / "results.json", class_names(name), "bbox"
            )
            numbers = numbers_of(results)
            assert numbers["box mAP"] == SAME(expected["AP"])
            assert numbers["mask mAP"] is None
            assert in_table(output, expected["AP"])


def test_cdfsod_pipeline__boxes_become_masks_and_results(
    working_folder: Path, warm_python: str
) -> None:
    folder = working_folder / "sets" / "MINI"
    (folder / "annotations").mkdir(parents=True)
    for part, source, name in (
        ("train", "custom_references.json", "2_shot.json"),
        ("test", "custom_targets.json", "test.json"),
    ):
        shutil.copytree(ROOT / "photos" / "images", folder / part)
        shutil.copy(ROOT / "photos" / "annotations" / source, folder / "annotations" / name)
    output = run(
        warm_python,
        "scripts/matching_cdfsod_pipeline.sh",
        *("MINI", "2", "cpu", "motorcycle,coin", "2"),
        *("--export_result", "results.json"),
        DATASETS_ROOT="sets",
        SAM_CHECKPOINT=DEMO_SAM,
    )
    assert "BBOX RESULTS:" in output
    assert "SEGM RESULTS:" in output
    with_masks = read(folder / "annotations" / "2_shot_with_segm.json")
    assert all(annotation["segmentation"] for annotation in with_masks["annotations"])
    memory = "tmp_ckpts/cd_fsod/matching/MINI_2_refs_memory_postprocessed.pth"
    assert (working_folder / memory).is_file()
    records = read("results.json")
    assert {record["category_id"] for record in records} <= {4, 11}
    assert {record["image_id"] for record in records} <= {2, 4, 5}


@pytest.mark.parametrize(
    "shots", ["1", pytest.param("1 2 3 5 10", marks=pytest.mark.exhaustive)], ids=["1", "all"]
)
def test_pascal_split__numbers_are_those_of_pycocotools(
    shots: str, working_folder: Path, warm_python: str
) -> None:
    voc.write(working_folder / "data", shots=int(shots.split()[-1]))
    variables = {"SHOTS": shots, "SAM_CHECKPOINT": DEMO_SAM}
    output = run(warm_python, "scripts/pascal_split.sh", "1", "cpu", **variables)
    truth = Path("data/pascal_voc/annotations/voc07_test_with_segm.json")
    assert sum(each["iscrowd"] for each in read(truth)["annotations"]) == 2  # difficult
    assert len(os.listdir("data/pascal_voc/VOCdevkit/allimages")) > len(voc.TEST)
    for number in shots.split():
        folder = Path(f"work_dirs/pascal_voc_split_1_seed33/{number}shot")
        assert (folder / f"few_shot_ann_{number}shot_seed33_fixed.pkl").is_file()
        assert (folder / "memory_postprocessed.ckpt").is_file()
        numbers = numbers_of(folder)
        for kind, coco_kind in (("nAP50", "bbox"), ("AP50 against SAM masks", "segm")):
            expected = average_precision(truth, folder / "results.json", list(voc.NOVEL), coco_kind)
            assert numbers[kind] == SAME(expected["AP50"])
        assert in_table(output, numbers["nAP50"] or 0)


@pytest.mark.exhaustive
def test_launch_pascal_split__all_splits_in_one_table(
    working_folder: Path, warm_python: str
) -> None:
    splits = [f"pascal_voc_split_{number}" for number in (1, 2, 3)]
    names = sorted({name for split in splits for name in class_names(split)})
    voc.write(working_folder / "data", shots=1, names=names)
    variables = {"SHOTS": "1", "GPUS": "cpu", "SAM_CHECKPOINT": DEMO_SAM}
    output = run(warm_python, "scripts/launch_pascal_split.sh", **variables)
    truth = "data/pascal_voc/annotations/voc07_test.json"
    for split in splits:
        results = f"work_dirs/{split}_seed33/1shot/results.json"
        expected = average_precision(truth, results, class_names(split), "bbox")
        assert in_table(output, expected["AP50"])


def test_pascal_voc_box_to_segmentation__masks_are_made_once(
    working_folder: Path, warm_python: str
) -> None:
    voc.write(working_folder / "data", shots=1)
    call = ("scripts/pascal_voc_box_to_segmentation.sh", "cpu")
    run(warm_python, *call, with_stages=False, SAM_CHECKPOINT=DEMO_SAM)
    annotations = Path("data/pascal_voc/annotations")
    for name in ("voc0712_trainval", "voc07_test"):
        boxes, masks = (
            read(annotations / f"{name}.json"),
            read(annotations / f"{name}_with_segm.json"),
        )
        assert [each["bbox"] for each in boxes["annotations"]] == [
            each["bbox"] for each in masks["annotations"]
        ]
        assert boxes["annotations"][0]["segmentation"] != masks["annotations"][0]["segmentation"]
    output = run(warm_python, *call, with_stages=False, SAM_CHECKPOINT=DEMO_SAM)
    lines = output.splitlines()
    assert len(lines) == 4
    assert all(": skipped, " in line for line in lines)


@pytest.mark.parametrize(
    ("split", "shots", "truth"),
    [
        ("lvis_minival_rare", "1", "lvis_v1_minival.json"),
        pytest.param("lvis_rare", "2", "lvis_v1_val.json", marks=pytest.mark.exhaustive),
    ],
)
def test_lvis_pipeline__numbers_are_those_of_pycocotools(
    split: str, shots: str, truth: str, working_folder: Path, warm_python: str
) -> None:
    lvis.write(working_folder / "data")
    output = run(warm_python, "scripts/lvis_pipeline.sh", split, shots, "cpu")
    folder = Path(f"work_dirs/{split}_seed42/{shots}shots")
    assert (folder / f"few_shot_lvis_ann_{shots}shot_seed42_fixed.pkl").is_file()
    numbers = numbers_of(folder)
    for kind, coco_kind in (("box", "bbox"), ("mask", "segm")):
        expected = average_precision(
            f"data/lvis/{truth}", folder / "results.json", class_names(split), coco_kind
        )
        assert numbers[f"{kind} AP as published"] == SAME(expected["AP"])
        by_protocol = lvis_numbers(
            read(f"data/lvis/{truth}"), read(folder / "results.json"), coco_kind
        )
        assert {name: numbers[f"{kind} {name}"] for name in by_protocol} == SAME(by_protocol)
        assert by_protocol["AP"] > expected["AP"]  # not all discs are annotated
    assert in_table(output, numbers["box AP"] or 0)


def label_maps(
    truth: Mapping[str, Any], records: list[dict[str, Any]], wanted: list[int]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each image, what is there and what was found: a class per pixel; 255 in crowds."""
    maps = []
    for image in truth["images"]:
        there, found = (np.zeros((image["height"], image["width"]), np.uint8) for _ in range(2))
        for each in truth["annotations"]:
            if each["image_id"] == image["id"] and each["category_id"] in wanted:
                mask = decoded(each["segmentation"], image)
                there[mask] = 255 if each["iscrowd"] else 1 + wanted.index(each["category_id"])
        for record in sorted(records, key=lambda record: record["score"]):
            if record["image_id"] == image["id"] and record["score"] >= 0.5:
                mask = decoded(record["segmentation"], image)
                found[mask] = 1 + wanted.index(record["category_id"])
        maps.append((there, found))
    return maps


def decoded(segmentation: Any, image: Mapping[str, Any]) -> np.ndarray:
    size = image["height"], image["width"]
    if isinstance(segmentation, list):
        segmentation = rle.merge(rle.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        segmentation = rle.frPyObjects(segmentation, *size)
    mask: np.ndarray = rle.decode(segmentation).astype(bool)
    return mask


def mean_iou(maps: list[tuple[np.ndarray, np.ndarray]], classes: int) -> float:
    there, found = (np.concatenate([each[side].ravel() for each in maps]) for side in (0, 1))
    there, found = there[there != 255], found[there != 255]
    both, either = (
        np.array([np.sum(join(there == n, found == n)) for n in range(1, 1 + classes)])
        for join in (np.logical_and, np.logical_or)
    )
    occurs = np.isin(np.arange(1, 1 + classes), there)
    return float(np.mean(both[occurs] / either[occurs]))


@pytest.mark.parametrize(
    "shots", ["1", pytest.param("1 5", marks=pytest.mark.exhaustive)], ids=["1", "all"]
)
def test_semantic_pipeline__numbers_are_those_of_label_maps_and_a_second_run_does_nothing(
    shots: str, working_folder: Path, warm_python: str
) -> None:
    names = class_names("coco_semantic_split_2")
    coco.write(working_folder / "data", shots=5, targets=4, references=names)
    script = "scripts/few_shot_coco_semantic_pipeline.sh"
    output = run(warm_python, script, "2", "cpu", SHOTS=shots)
    truth = read("data/coco/annotations/instances_val2017.json")
    wanted = sorted(each["id"] for each in truth["categories"] if each["name"] in names)
    for number in shots.split():
        folder = Path(f"work_dirs/coco_semantic_2_seed42/{number}shot")
        named = f"inst_to_segm/coco_inst_semantic_split_2_{number}shot_42seed_results.json"
        assert Path(named).read_bytes() == (folder / "results.json").read_bytes()
        expected = mean_iou(label_maps(truth, read(named), wanted), len(wanted))
        assert numbers_of(folder)["mIoU"] == SAME(expected)
        assert in_table(output, expected)
        # Of the other folds there is nothing.
        call = (warm_python, "scripts/launch_coco_semantic_eval.sh")
        printed = run(*call, with_stages=False, code=2, SHOTS=number)
        assert re.search(rf"^mIoU +{expected:.4f}$", printed, flags=re.MULTILINE)
    files = [path for path in Path("work_dirs").rglob("*") if path.is_file()]
    made = {path: path.stat().st_mtime_ns for path in files}
    again = run(warm_python, script, "2", "cpu", SHOTS=shots)
    skipped = re.findall(r"^# (\w+): skipped, ", again, flags=re.MULTILINE)
    steps = ["sample", "fill", "postprocess", "test", "evaluate"]
    assert skipped == steps * len(shots.split())
    changed = {path.name for path in files if path.stat().st_mtime_ns != made[path]}
    assert changed == {"runs.json"}


@pytest.mark.exhaustive
def test_semantic_scripts__all_folds_and_their_evaluation(
    working_folder: Path, warm_python: str
) -> None:
    coco.write(working_folder / "data", shots=5, targets=4)
    run(warm_python, "scripts/launch_coco_semantic.sh", GPUS="cpu")
    call = (warm_python, "scripts/launch_coco_semantic_eval.sh")
    printed = re.findall(r"^mIoU +(\S+)$", run(*call, with_stages=False), flags=re.MULTILINE)
    folders = [
        f"work_dirs/coco_semantic_{fold}_seed42/{shots}shot" for fold in "1234" for shots in "15"
    ]
    assert printed == [f"{numbers_of(folder)['mIoU']:.4f}" for folder in folders]


@pytest.mark.exhaustive
def test_ablation__the_table_has_mean_and_sample_deviation(
    working_folder: Path, warm_python: str
) -> None:
    names = class_names("few_shot_classes")
    coco.write(working_folder / "data", shots=4, references=names)
    variables = {"GPUS": "cpu", "SEEDS": "42 13 27", "SHOTS": "1 2"}
    output = run(warm_python, "scripts/ablation_coco_std.sh", **variables)
    for shots in (1, 2):
        runs = [
            average_precision(
                "data/coco/annotations/instances_val2017.json",
                f"work_dirs/few_shot_results/few_shot_classes_{shots}shot_seed{seed}/results.json",
                names,
                "bbox",
            )
            for seed in (42, 13, 27)
        ]
        percent = [100 * each["AP"] for each in runs]
        row = re.search(rf"^{shots} .*$", output.rpartition(" summary ")[2], flags=re.MULTILINE)
        assert row
        shown = re.sub(r"\*", "", row[0])
        assert f"{np.mean(percent):.1f} ± {np.std(percent, ddof=1):.1f}" in shown
