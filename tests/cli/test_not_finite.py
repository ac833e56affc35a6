"""NaN and infinity, wherever they come from: named, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.errors import InputError
from tests.cli.conftest import fill, postprocess, segment, settings, vis
from tests.cli.test_wrong_settings import assert_one_line


def spoil(path: str, name: str, value: float) -> str:
    """A copy of a checkpoint with one number of one tensor replaced."""
    content = torch.load(path, weights_only=True)
    state = content.get("model", content.get("state_dict", content))
    state[name] = state[name].float()
    state[name].view(-1)[0] = value
    torch.save(content, "spoilt.pth")
    return "spoilt.pth"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_the_encoder__that_are_not_finite_are_named(
    photos_dir: Path, value: float
) -> None:
    path = spoil("demo_models/dinov2_demo.pth", "norm.weight", value)
    outcome = fill(*settings({"model_cfg.encoder_ckpt_path": path}))
    assert_one_line(outcome, "encoder_ckpt_path", path, "norm.weight", "NaN or infinite")
    assert not Path("filled.pth").exists()


def test_weights_of_sam2__that_are_not_finite_are_named(memories_dir: Path) -> None:
    name = "sam_mask_decoder.iou_token.weight"
    path = spoil("demo_models/sam2_hiera_demo.pt", name, float("nan"))
    outcome = segment(*settings({"model_cfg.sam2_ckpt_path": path}), "--export_result", "out.json")
    assert_one_line(outcome, "sam2_ckpt_path", path, name, "NaN or infinite")
    assert not Path("out.json").exists()


def test_features__that_are_not_finite_are_named_after_their_reference(photos_dir: Path) -> None:
    # Finite weights whose products are not.
    path = spoil("demo_models/dinov2_demo.pth", "norm.weight", 3e38)
    outcome = fill(*settings({"model_cfg.encoder_ckpt_path": path}))
    assert_one_line(outcome, "features of annotation", "not finite")
    assert not Path("filled.pth").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("path", "run"), [("memory.pth", segment), ("filled.pth", postprocess)])
def test_memory__that_is_not_finite_is_named(
    memories_dir: Path, path: str, run: Any, value: float
) -> None:
    spoilt = spoil(path, "seg_model.mem_feats_ins_avg", value)
    outcome = run(ckpt_path=spoilt) if run is segment else run("--ckpt_path", spoilt)
    words = ("--ckpt_path", spoilt, "mem_feats_ins_avg", "reference 0 of class 0", "not finite")
    assert_one_line(outcome, *words)
    assert "vanished" not in outcome.err


def test_memory__for_pictures_that_is_not_finite_is_named(memories_dir: Path) -> None:
    spoilt = spoil("memory.pth", "seg_model.mem_pca_mean", float("nan"))
    assert_one_line(vis(ckpt_path=spoilt), "mem_pca_mean", "class 0", "not finite")


def test_python__speaks_of_no_setting(memories_dir: Path) -> None:
    weights = {
        "sam2": "sam2_hiera_demo.yaml",
        "sam2_checkpoint": "demo_models/sam2_hiera_demo.pt",
        "encoder": "dinov2_demo",
        "encoder_image_size": 252,
        "device": "cpu",
    }
    messages = []
    for path in ("nowhere.pth", "references.json", "demo_models/sam2_hiera_demo.pt"):
        with pytest.raises(InputError) as caught:
            FewShotSegmenter.from_preset(**weights, encoder_checkpoint=path)  # type: ignore[arg-type]
        messages.append(str(caught.value))
    segmenter = FewShotSegmenter.from_preset(
        **weights,  # type: ignore[arg-type]
        encoder_checkpoint="demo_models/dinov2_demo.pth",
    )
    for path in ("nowhere.pth", "references.json", "demo_models/sam2_hiera_demo.pt"):
        with pytest.raises(InputError) as caught:
            segmenter.load(path)
        messages.append(str(caught.value))
        assert path in messages[-1]
    assert not [message for message in messages if "--" in message or "_cfg" in message]
