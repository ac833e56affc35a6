"""What the benchmark makes of its measurements, on numbers made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarking.agreement import Agreement, detection_agreement
from benchmarking.bank import fill, post_process
from benchmarking.interleaved import Runner
from benchmarking.plan import Costs, Job, parts_of, plan
from benchmarking.report import CLASS_STAGES, Measured, compare, ratios, table
from benchmarking.variants import DECODERS, Networks
from pycocotools import mask as rle_codec

from no_time_to_train.coco.results import CocoRecord
from no_time_to_train.memory.checkpoint import read_memory

ROOT = Path(__file__).resolve().parents[2]
COSTS = Costs(
    start=10,
    reference=2,
    statistics=30,
    image=4,
    image_evaluated=0.1,
    image_records_mb=0.5,
    process_mb=3072,
)
JOB = Job("a data set", images=1000, classes=5, shots=2)


def record(columns: slice, score: float, category: int = 0) -> CocoRecord:
    """A detection of some columns of a 10 x 10 image."""
    mask = np.zeros((10, 10), np.uint8, order="F")
    mask[:, columns] = 1
    rle = rle_codec.encode(mask)
    return {
        "image_id": 0,
        "category_id": category,
        "bbox": [0.0, 0.0, 1.0, 1.0],
        "segmentation": {"size": [10, 10], "counts": rle["counts"].decode()},
        "score": score,
    }


def test_agreement__pairs_each_detection_once_and_within_its_class() -> None:
    theirs = [record(slice(0, 4), 0.9), record(slice(6, 10), 0.8), record(slice(6, 10), 0.7, 1)]
    ours = [record(slice(0, 5), 0.85), record(slice(0, 4), 0.6), record(slice(6, 10), 0.7, 1)]
    found = detection_agreement([theirs, []], [ours, []])
    assert found == Agreement(3, 3, 2, pytest.approx(0.8), pytest.approx(0.05))


def test_agreement__of_nothing_is_complete() -> None:
    assert detection_agreement([[]], [[]]) == Agreement(0, 0, 0, 1.0, 0.0)


def test_parts__devices_share_references_and_images_only() -> None:
    seconds = [[part.on(devices) for part in parts_of(JOB, COSTS)] for devices in (1, 8, 64)]
    assert seconds[0] == pytest.approx([30, 20, 30, 4000, 100])
    assert seconds[1] == pytest.approx([30, 4, 30, 500, 100]), "ten references on eight devices"
    assert seconds[2] == pytest.approx([30, 2, 30, 64, 100]), "sixteen images each"


def test_plan__names_what_stops_scaling_first() -> None:
    told = "\n".join(plan(JOB, COSTS))
    assert "1000 images, 5 classes, 10 references" in told
    assert " 1 devices: 70 min" in told
    assert " 8 devices: 11 min" in told
    assert "3.0 GB per device; results on the first 0.5 GB" in told
    assert "evaluation stops scaling first: one process does it in 100 s" in told
    assert "beyond 25 devices" in told, "4020 s that can be shared, 160 s that cannot"


def figures(decoding: float, merging: float) -> Measured:
    seconds = {"encoders": 1.0, "decoding": decoding, **dict.fromkeys(CLASS_STAGES, 0.0)}
    seconds["merging"] = merging
    total = sum(seconds.values())
    return Measured(seconds, total, [total], 1.0, 1.0, 1.0, 1.0, [])


def test_report__says_how_much_faster_and_what_classes_cost() -> None:
    slow, fast = figures(8, 1), figures(3, 1)
    assert ratios(slow, fast) == "image 2.00 x, decoding 2.67 x as fast"
    slow, fast = replace(slow, turns=[12, 8]), replace(fast, turns=[4, 6])
    assert ratios(slow, fast) == "image 2.00 x (1.33 to 3.00 by turn), decoding 2.67 x as fast"
    crowded = figures(3.5, 1.1)
    assert compare(fast, crowded).startswith("an image takes +12.0%, of which +2.0% in")
    lines = table({"slow": slow, "fast": fast}).splitlines()
    assert lines[0].split() == ["slow", "fast"]
    assert lines[2].split() == ["decoding,", "s", "8.000", "3.000"]


def test_bank__stages_without_networks_write_what_the_product_reads(tmp_path: Path) -> None:
    filled, post_processed = tmp_path / "filled.pth", tmp_path / "post_processed.pth"
    fill(3, 2, filled)
    stage = post_process(3, 2, filled, post_processed)
    assert read_memory(filled).tensors["mem_feats_ins_avg"].shape == (3, 2, 1024)
    assert read_memory(post_processed).tensors["mem_feats_avg"].shape == (3, 1024)
    assert stage.file_mb == pytest.approx(post_processed.stat().st_size / 2**20)
    assert stage.peak_mb > stage.file_mb


def test_decoders__are_plain_compiled_and_fast_in_two_formats() -> None:
    settings = {
        (v.compute.decoder, v.compute.compile, v.compute.precision) for v in DECODERS.values()
    }
    assert settings == {
        (*decoder, precision)
        for decoder in (("plain", False), ("plain", True), ("fast", False))
        for precision in ("float32", "bfloat16")
    }


@torch.inference_mode()
def test_decoders__find_the_same_without_compiling() -> None:
    networks = Networks(
        sam2="sam2_hiera_demo",
        sam2_checkpoint=ROOT / "demo_models/sam2_hiera_demo.pt",
        encoder="dinov2_demo",
        encoder_checkpoint=ROOT / "demo_models/dinov2_demo.pth",
        encoder_image_size=252,
        points_per_side=8,
        classes=3,
        demo_set=False,
        device="cpu",
    )
    found = {}
    for name, variant in DECODERS.items():
        if not variant.compute.compile:
            runner = Runner(name, networks, [ROOT / "scenes/images/target_00.jpg"])
            runner.take_turn()
            found[name] = runner.result()
    same = detection_agreement(found["plain"].records, found["fast"].records)
    assert same.matched == same.theirs == same.ours > 0
    assert same.min_mask_iou >= 0.999
    assert found["plain"].gflop_per_point > found["fast"].gflop_per_point > 0
    assert found["plain-bf16"].records != found["plain"].records
    assert found["fast-bf16"].records != found["fast"].records
