"""`check` says of a set-up what the run says, all of it at once, and passes what runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.cli.conftest import (
    ROOT,
    Outcome,
    base,
    references,
    run_command,
    settings,
    targets,
)
from tests.cli.test_bad_data import TARGETS, edit_memory, everything, rewrite

TEST = (*base(), *targets(), "--model.test_mode", "test")
SEGMENT = (*TEST, "--ckpt_path", "memory.pth", "--export_result", "out.json")
FILL = (*base(), *references(), "--model.test_mode", "fill_memory", "--out_path", "new.pth")
POSTPROCESS = (
    *(*base(), "--model.test_mode", "postprocess_memory"),
    *("--ckpt_path", "filled.pth", "--out_path", "again.pth"),
)
VIS = (*base(), *references(), "--model.test_mode", "vis_memory", "--ckpt_path", "memory.pth")


def errors(outcome: Outcome) -> list[str]:
    found = [line for line in outcome.err.splitlines() if line.startswith("error: ")]
    assert outcome.err.splitlines() == found
    return found


@pytest.mark.parametrize(
    "stage", [FILL, POSTPROCESS, VIS, SEGMENT], ids="fill post vis test".split()
)
def test_check__passes_what_runs(memories_dir: Path, stage: tuple[str, ...]) -> None:
    before = everything(memories_dir)
    outcome = run_command("check", *stage)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[-1].startswith("This run can start")
    assert everything(memories_dir) == before
    assert not Path("work_dirs").exists()
    ran = run_command("test", *stage)
    assert ran.code == 0, ran.err


def cut(path: str, size: int) -> str:
    Path("cut.pth").write_bytes(Path(path).read_bytes()[:size])
    return "cut.pth"


def nan_memory() -> str:
    def spoil(memory: dict[str, Any]) -> None:
        memory["state_dict"]["seg_model.mem_feats_avg"][1, 3] = float("nan")

    return edit_memory(spoil)


def renamed(**info: Any) -> str:
    return edit_memory(lambda memory: memory["no_time_to_train"].update(info))


def references_of(picks: dict[str, Any]) -> list[str]:
    Path("picks.json").write_text(json.dumps(picks))
    return settings({"dataset_cfgs.fill_memory.memory_pkl": "picks.json"})


def written(text: str, name: str = "bad.yaml") -> str:
    Path(name).write_text(text)
    return name


def one(name: str, value: object) -> list[str]:
    return settings({name: value})


BOXES = "photos/annotations/custom_references.json"
COIN = {"img_id": 1, "ann_ids": [1]}
MOTORCYCLE = {"img_id": 3, "ann_ids": [3]}
ENCODER, SAM2 = "model_cfg.encoder_ckpt_path", "model_cfg.sam2_ckpt_path"
JSON = "dataset_cfgs.test.json_file"
BAD: dict[str, tuple[tuple[str, ...], Callable[[], Any], str]] = {
    "missing images": (
        SEGMENT,
        lambda: [Path("photos/images", name).unlink() for name in ("chelsea.jpg",)] and [],
        "dataset_cfgs.test.root: 1 of 3 images are not in photos/images, the first is photos/images"
        "/chelsea.jpg; set it to the folder that the json's file_name starts from, or let such "
        "images count as without detections: --on_bad_image skip",
    ),
    "missing weights": (
        SEGMENT,
        lambda: one(SAM2, "no.pt"),
        "model_cfg.sam2_ckpt_path: the SAM 2 checkpoint no.pt does not exist",
    ),
    "truncated weights": (
        SEGMENT,
        lambda: one(ENCODER, cut("demo_models/dinov2_demo.pth", 5000)),
        "model_cfg.encoder_ckpt_path: the DINOv2 weights cut.pth cannot be read: its end is missing"
        ", it is cut off; get the file again",
    ),
    "class count of the memory": (
        SEGMENT,
        lambda: one("model_cfg.memory_bank_cfg.category_num", 3),
        "memory_bank_cfg.category_num is 3, but dataset_cfgs.test names 2 classes (motorcycle, co",
    ),
    "shots of the memory": (
        POSTPROCESS,
        lambda: one("model_cfg.memory_bank_cfg.length", 7),
        "filled.pth holds 2 classes with up to 1 references each, but model_cfg.memory_bank_cfg."
        "length is 7; set it to 1 or pass another checkpoint",
    ),
    "memory of another encoder": (
        SEGMENT,
        lambda: ["--ckpt_path", renamed(encoder="dinov2_base")],
        "edited.pth was filled with dinov2_base at 252 x 252 pixels, but the encoder is dinov2_dem",
    ),
    "memory at another size": (
        SEGMENT,
        lambda: one("model_cfg.encoder_cfg.img_size", 280),
        "filled with dinov2_demo at 252 x 252 pixels, but the encoder is dinov2_demo at 280 x 280",
    ),
    "memory of nan": (
        SEGMENT,
        lambda: ["--ckpt_path", nan_memory()],
        "mem_feats_avg holds nan for class 1, which is not finite; fill it again",
    ),
    "filled memory": (
        SEGMENT,
        lambda: ["--ckpt_path", "filled.pth"],
        "the memory in filled.pth is filled but not post-processed; run test_mode postprocess_mem",
    ),
    "post-processed memory": (
        POSTPROCESS,
        lambda: ["--ckpt_path", "memory.pth"],
        "the memory in memory.pth is post-processed already; use it as it is, or pass the file tha",
    ),
    "unknown class": (
        SEGMENT,
        lambda: one("dataset_cfgs.test.cat_names", "motorcycle,coins"),
        "custom_targets.json has no category 'coins' (did you mean 'coin'?), asked for by cat_name",
    ),
    "order of classes": (
        SEGMENT,
        lambda: ["--ckpt_path", renamed(class_names=["coin", "motorcycle"])],
        "edited.pth was filled with classes in the order coin, motorcycle, but the targets have",
    ),
    "no references": (
        FILL,
        lambda: references_of({"4": [MOTORCYCLE]}),
        "picks.json holds no references for coin; make it for these classes, or leave them out",
    ),
    "too many references": (
        FILL,
        lambda: references_of({"4": [MOTORCYCLE] * 2, "11": [COIN]}),
        "memory_length is 1 references per class, but in picks.json motorcycle has 2; set memory_l",
    ),
    "boxes without masks": (
        FILL,
        lambda: one("dataset_cfgs.fill_memory.json_file", BOXES),
        "has a box but no segmentation; run `python no_time_to_train/dataset/sam_bbox_to_segm_batc",
    ),
    "output that is an input": (
        SEGMENT,
        lambda: ["--export_result", "memory.pth"],
        "--export_result memory.pth would replace --ckpt_path memory.pth, which this command reads",
    ),
    "output below a file": (
        FILL,
        lambda: ["--out_path", "references.json/new.pth"],
        "cannot be written: ",
    ),
    "folder for a file": (
        SEGMENT,
        lambda: one(JSON, "photos"),
        "the COCO json photos is a folder; give the name of a file",
    ),
    "no flag": (
        TEST,
        lambda: [],
        "--model.test_mode test needs --ckpt_path FILE, the memory of the stage before it",
    ),
    "unknown setting": (
        SEGMENT,
        lambda: one("model_cfg.memory_bank_cfg.lenght", 3),
        "there is no setting model_cfg.memory_bank_cfg.lenght",
    ),
    "unknown setting of the trainer": (
        SEGMENT,
        lambda: ["--trainer.devises", "3"],
        "there is no setting trainer.devises; did you mean trainer.devices?",
    ),
    "limited references": (
        FILL,
        lambda: ["--trainer.limit_test_batches", "1"],
        "--trainer.limit_test_batches 1 lets 1 of 2 batches run, but fill_memory needs them all",
    ),
    "too many devices": (
        SEGMENT,
        lambda: ["--trainer.devices", "5000"],
        "trainer.devices must be 1024 or less, got 5000",
    ),
    "another precision of the trainer": (
        SEGMENT,
        lambda: ["--trainer.precision", "bf16"],
        "trainer.precision is bf16, which would change results beside model_cfg.compute_cfg.prec",
    ),
    "wrong value": (
        SEGMENT,
        lambda: one("model_cfg.sam2_infer_cfgs.nms_thr", 3),
        "sam2_infer_cfgs.nms_thr must lie between 0 and 1, got 3.0",
    ),
    "wrong yaml": (
        SEGMENT,
        lambda: ["--config", written("trainer: [")],
        "bad.yaml is no valid YAML",
    ),
    "unreadable json": (
        SEGMENT,
        lambda: one(JSON, written(Path(TARGETS).read_text()[:-30], "bad.json")),
        "bad.json: the json is cut off after",
    ),
    "malformed mask": (
        SEGMENT,
        lambda: one(JSON, rewrite(TARGETS, malform)),
        "changed.json: annotation 1 of coins_bottom.png: its segmentation",
    ),
}


def malform(content: dict[str, Any]) -> None:
    content["annotations"][0]["segmentation"] = [[1, 2, 3]]


LIKE_OTHERS = (
    *("shots of the memory", "memory at another size", "memory of nan", "post-processed memory"),
    *("too many references", "boxes without masks", "output below a file", "malformed mask"),
    *("too many devices", "another precision of the trainer"),
)
"""Cases that go the way of another one."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(n, marks=[pytest.mark.exhaustive] * (n in LIKE_OTHERS)) for n in BAD],
)
def test_check__says_what_the_run_says(memories_dir: Path, case: str) -> None:
    stage, spoil, words = BAD[case]
    arguments = (*stage, *spoil())
    checked, ran = run_command("check", *arguments), run_command("test", *arguments)
    assert (checked.code, ran.code) == (2, 2)
    found = errors(checked)
    assert any(words in each for each in found), checked.err
    assert errors(ran)[0] in found
    assert not list(Path().glob("new.pth")) + list(Path().glob("out.json"))


def test_check__weights_of_another_preset_are_named(memories_dir: Path) -> None:
    wrong = settings({ENCODER: "demo_models/sam2_hiera_demo.pt", SAM2: "memory.pth"})
    checked, ran = (run_command(name, *SEGMENT, *wrong) for name in ("check", "test"))
    assert (checked.code, ran.code) == (2, 2)
    assert errors(checked) == [
        "error: model_cfg.encoder_ckpt_path: demo_models/sam2_hiera_demo.pt does not hold the "
        "weights of dinov2_demo; it looks like sam2_hiera_demo, so change the name or the file",
        "error: model_cfg.sam2_ckpt_path: memory.pth does not hold the weights of sam2_hiera_demo; "
        "it looks like no known preset, so change the name or the file",
    ]


def test_check__lists_all_problems(memories_dir: Path) -> None:
    Path("photos/images/chelsea.jpg").unlink()
    wrong = settings({SAM2: "no.pt", ENCODER: "memory.pth"})
    paths = ("--ckpt_path", "filled.pth", "--export_result", "references.json/a.json")
    found = errors(run_command("check", *TEST, *wrong, *paths, "--trainer.devises", "3"))
    words = ["no.pt", "devises", "memory.pth does not", "chelsea.jpg", "not post-proc", "a.json"]
    assert len(found) == len(words)
    for word in words:
        assert len([each for each in found if word in each]) == 1, word


def test_check__full_disk(memories_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    (found,) = errors(run_command("check", *SEGMENT))
    # Three images of at most 100 instances of 400 bytes, kept until the end, and exported.
    assert "--export_result can take 0.2 MB, and the disk of" in found
    assert "has 1.0 kB left; make room or choose another place" in found


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_check__without_a_gpu(memories_dir: Path) -> None:
    on_gpu = ("--trainer.accelerator", "gpu")
    checked, ran = (run_command(name, *SEGMENT, *on_gpu) for name in ("check", "test"))
    assert (checked.code, ran.code) == (2, 2)
    repair = "add `--trainer.accelerator cpu --trainer.devices 1` on a machine without a GPU"
    assert repair in errors(checked)[0] and repair in ran.err


def test_check__counts_images_that_are_skipped(memories_dir: Path) -> None:
    Path("photos/images/chelsea.jpg").unlink()
    outcome = run_command("check", *SEGMENT, "--on_bad_image", "skip")
    assert outcome.code == 0, outcome.err
    assert (
        "3 images in photos/annotations/custom_targets.json; 1 are not in photos/im" in outcome.out
    )


def test_check__tells_what_there_is(memories_dir: Path) -> None:
    Path("out.json").write_text("[]")
    outcome = run_command("check", *SEGMENT)
    truths = json.loads(Path(TARGETS).read_text())["annotations"]
    coins = sum(each["category_id"] == 11 for each in truths)
    for line in (
        "stage         test",
        "has the tensors of sam2_hiera_demo",
        f"ground truth  {len(truths)} annotations of 2 classes",
        "memory.pth",
        "0  motorcycle: annotations 1, references in the memory 1",
        f"1  coin: annotations {coins}, references in the memory 1",
        "--export_result out.json, replaces what is there (0.0 kB)",
        "a log folder in work_dirs/test_pl/matching_cdfsod_template",
    ):
        assert line in outcome.out, outcome.out
    assert (
        "time          not known: measure it with `python scripts/benchmark.py --plan"
        in outcome.out
    )


COSTS = {
    "settings": {"sam2": "sam2_hiera_l", "encoder": "dinov2_large", "device": "cuda"},
    "costs": {
        name: {
            "job": {"name": name, "images": 1, "classes": classes, "shots": 1},
            **{"start": 10, "reference": 4, "statistics": 5, "image": 600, "image_evaluated": 20},
            **{"image_records_mb": 1, "process_mb": 1},
        }
        for name, classes in (("few", 80), ("many", 1203))
    },
}


def test_check__tells_of_a_run_that_was_ended(memories_dir: Path) -> None:
    Path("photos/images/chelsea.jpg").unlink()
    Path("photos/images/chelsea.jpg").write_bytes(b"no picture")
    assert run_command("test", *SEGMENT).code == 2
    outcome = run_command("check", *SEGMENT)
    assert outcome.code == 0, outcome.err
    assert "unfinished    2 of 3 in work_dirs/test_pl/unfinished/test-" in outcome.out


def test_check__reckons_the_time_from_costs(memories_dir: Path) -> None:
    Path("costs.json").write_text(json.dumps(COSTS))
    four = ("--trainer.devices", "2", "--trainer.num_nodes", "2", "--costs", "costs.json")
    outcome = run_command("check", *SEGMENT, *four)
    # Three images on four devices are one after each other on none; they are evaluated by one.
    expected = "about 11 min (start 10 s, images 10 min, evaluation 60 s) on 4 devices, as measured"
    assert (
        f"time          {expected} in costs.json with sam2_hiera_l and dinov2_large" in outcome.out
    )
    outcome = run_command("check", *FILL, "--costs", "costs.json")
    assert "about 18 s (start 10 s, references 8 s) on 1 device, as" in outcome.out
    outcome = run_command("check", *POSTPROCESS, "--costs", "references.json")
    assert "--costs references.json: it holds no costs; make it with `scripts/bench" in outcome.err


def test_check__reckons_the_time_from_the_newest_run_like_it(memories_dir: Path) -> None:
    def network(name: str) -> dict[str, Any]:
        return {
            "sam2_cfg_file": name,
            "encoder_cfg": {"name": "dinov2_demo", "img_size": 252},
            "sam2_infer_cfgs": {"points_per_side": 6},
            "compute_cfg": {"precision": "float32"},
        }

    for number, (name, per_image) in enumerate(
        (("sam2_hiera_demo.yaml", 9), ("sam2_hiera_demo.yaml", 100), ("sam2_hiera_l.yaml", 7))
    ):
        folder = Path("work_dirs/test_pl/matching_cdfsod_template", f"version_{number}")
        folder.mkdir(parents=True)
        content = {
            "config": {
                "model": {"init_args": {"model_cfg": network(name)}},
                "trainer": {"accelerator": "cpu"},
            },
            "images": 10,
            "seconds": {"prepare": 4, "evaluate": 50},
            "seconds_per_image": per_image,
        }
        (folder / "metrics.json").write_text(json.dumps(content))
        os.utime(folder / "metrics.json", (number, number))
    outcome = run_command("check", *SEGMENT)
    expected = "about 5 min (start 4 s, images 5 min, evaluation 15 s) on 1 device, as measured in "
    assert (
        f"{expected}work_dirs/test_pl/matching_cdfsod_template/version_1/metrics.json"
        in outcome.out
    )


def test_check__imports_neither_torch_nor_lightning(memories_dir: Path) -> None:
    program = (
        "import sys; from no_time_to_train.commands import main; main(sys.argv[1:]); "
        "heavy = {'torch', 'lightning', 'torchvision', 'cv2', 'sklearn', 'matplotlib'}; "
        "print('heavy:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "check", *SEGMENT],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines()[-1] == "heavy: []", done.stderr
