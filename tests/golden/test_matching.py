"""Matching, suppression and merging against the published system, on planted proposals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from benchmarking import literal
from pycocotools import mask as coco_mask

from no_time_to_train.config import Sam2InferConfig
from no_time_to_train.memory.statistics import class_prototypes
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.structures import Prediction, Proposals
from tests.golden.deterministic import matching_case

HERE = Path(__file__).parent
Predict = Callable[[str, dict[str, np.ndarray]], Prediction]


def planted(tag: str, golden: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    numbers = {key: int(golden[key]) for key in ("n_mask", "n_class", "length", "dim", "seed")}
    return {key: torch.from_numpy(value) for key, value in matching_case(tag, **numbers).items()}


def predict(tag: str, golden: dict[str, np.ndarray]) -> Prediction:
    case = planted(tag, golden)
    settings = Sam2InferConfig(
        nms_thr=float(golden["nms_thr"]),
        num_out_instance=int(golden["num_out_instance"]),
        cls_num_per_mask=int(golden["cls_num_per_mask"]),
    )
    segmenter = Segmenter(settings)
    instances = case["instance_prototypes"]  # (K, S, C)
    counts = torch.full((len(instances),), instances.shape[1])
    segmenter.prototypes = class_prototypes(instances, counts)
    proposals = Proposals(case["mask_logits"], case["ious"])
    candidates = segmenter.match(proposals, case["target_features"])
    height, width = golden["original_size"].tolist()
    return segmenter.merge(candidates, (height, width))


def predict_literally(tag: str, golden: dict[str, np.ndarray]) -> Prediction:
    case = planted(tag, golden)
    settings = Sam2InferConfig(
        nms_thr=float(golden["nms_thr"]), num_out_instance=int(golden["num_out_instance"])
    )
    pooled = literal.mean_features(case["target_features"], case["mask_logits"] > 0)
    prototypes = F.normalize(case["instance_prototypes"].mean(dim=1), dim=1)  # (K, C)
    height, width = golden["original_size"].tolist()
    return literal.merge(
        case["mask_logits"], case["ious"], pooled, prototypes, (height, width), settings
    )


@pytest.mark.parametrize("tag", ["dense", "downscale", "mixed", "upscale"])
@pytest.mark.parametrize("predict", [predict, predict_literally])
def test_matching__equals_the_published_output(tag: str, predict: Predict) -> None:
    golden = dict(np.load(HERE / f"matching_{tag}.npz"))
    found = predict(tag, golden)
    assert found.labels.tolist() == golden["labels"].tolist()
    np.testing.assert_allclose(found.scores.numpy(), golden["scores"], rtol=0, atol=1e-5)
    assert found.boxes.tolist() == golden["boxes"].tolist()
    size = golden["original_size"].tolist()
    ours = coco_mask.encode(
        np.asfortranarray(found.masks.numpy().astype(np.uint8).transpose(1, 2, 0))
    )
    theirs = [{"size": size, "counts": counts} for counts in golden["rle"].tolist()]
    ious = coco_mask.iou(ours, theirs, [0] * len(theirs)).diagonal()  # (M,)
    assert ious.min() >= 0.999
