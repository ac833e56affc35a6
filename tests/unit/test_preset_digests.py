"""The digests by which a file of weights is told without PyTorch are those of the networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import dinov2
import sam2
from dinov2.vision_transformer import VisionTransformer
from no_time_to_train.checkpoint_index import shapes_digest
from sam2.build_sam import build_sam2

MANIFESTS = Path(__file__).parents[1] / "golden" / "manifests"


@pytest.mark.parametrize("name", dinov2.PRESETS)
def test_digest__of_dinov2(name: str) -> None:
    with torch.device("meta"):
        state = VisionTransformer(dinov2.PRESETS[name]).state_dict()
    wanted = {key: value.shape for key, value in state.items() if key != "mask_token"}
    assert shapes_digest(wanted) == dinov2.PRESETS[name].tensors


@pytest.mark.parametrize("name", sam2.PRESETS)
def test_digest__of_sam2(name: str) -> None:
    with torch.device("meta"):
        state = build_sam2(name).state_dict()
    assert shapes_digest({k: v.shape for k, v in state.items()}) == sam2.PRESETS[name].tensors


def test_digest__of_an_official_file() -> None:
    shapes = json.loads((MANIFESTS / "dinov2_vitb14_reg4.json").read_text())
    del shapes["mask_token"]
    assert shapes_digest(shapes) == dinov2.PRESETS["dinov2_base_reg4"].tensors
    shapes["cls_token"][2] += 1
    assert shapes_digest(shapes) != dinov2.PRESETS["dinov2_base_reg4"].tensors
