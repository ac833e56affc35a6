"""Number formats of the networks: what leaves them, and how far it moves."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from no_time_to_train.config import ComputeConfig, EncoderConfig, ModelConfig, Sam2InferConfig
from no_time_to_train.dataset.images import read_image, to_tensor
from no_time_to_train.encoders import build_encoder
from no_time_to_train.proposers import build_proposer

ROOT = Path(__file__).resolve().parents[2]


def settings(precision: str, compiled: bool = False, decoder: str = "auto") -> ModelConfig:
    return ModelConfig(
        sam2_cfg_file="sam2_hiera_demo.yaml",
        sam2_ckpt_path=str(ROOT / "demo_models/sam2_hiera_demo.pt"),
        sam2_infer_cfgs=Sam2InferConfig(points_per_side=6),
        encoder_cfg=EncoderConfig(name="dinov2_demo", img_size=252),
        encoder_ckpt_path=str(ROOT / "demo_models/dinov2_demo.pth"),
        compute_cfg=ComputeConfig(precision, compiled, decoder),  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def scene() -> torch.Tensor:
    return to_tensor(read_image(ROOT / "scenes/images/target_00.jpg"))[None]


@pytest.mark.parametrize(("precision", "min_cosine"), [("bfloat16", 0.995), ("float16", 0.9999)])
@torch.inference_mode()
def test_encoder__half_precision_inside_float32_outside(
    scene: torch.Tensor, precision: str, min_cosine: float
) -> None:
    """The bounds allow for the format: bfloat16 has 8 bits, float16 has 11."""
    exact = build_encoder(settings("float32"))(scene)
    encoder = build_encoder(settings(precision))
    assert {p.dtype for p in encoder.network.parameters()} == {getattr(torch, precision)}
    features = encoder(scene)
    assert features.dtype == torch.float32
    cosines = torch.cosine_similarity(features, exact, dim=-1)
    assert cosines.min() > min_cosine
    assert cosines.min() < 1 - 1e-7, "something was rounded"


@pytest.mark.parametrize("decoder", ["plain", "fast"])
@pytest.mark.parametrize(("precision", "most"), [("bfloat16", 0.05), ("float16", 0.01)])
@torch.inference_mode()
def test_proposer__half_precision_moves_scores_and_masks_little(
    scene: torch.Tensor, precision: str, most: float, decoder: str
) -> None:
    exact = build_proposer(settings("float32", decoder=decoder))
    proposer = build_proposer(settings(precision, decoder=decoder))
    assert proposer.points.dtype == torch.float32, "pixels of a large image need all their digits"
    found = []
    for each in (exact, proposer):
        features = each.encode(scene, [])
        prompts = each.network.sam_prompt_encoder.points(each.points)
        found.append(each.network.generate_masks(features, prompts, 0.0, chunk_size=12))
    (logits, ious), (half_logits, half_ious) = found
    assert half_ious.dtype == torch.float32
    assert (half_ious - ious).abs().median() < most / 5
    assert (half_ious - ious).abs().max() < 5 * most
    masks, half_masks = logits > 0, half_logits > 0
    union = (masks | half_masks).sum((1, 2)).clamp(min=1)
    overlap = ((masks & half_masks).sum((1, 2)) / union).sort().values
    assert overlap.median() > 1 - most


@torch.inference_mode()
def test_build__says_that_a_network_will_be_compiled(caplog: pytest.LogCaptureFixture) -> None:
    for compiled, expected in ((False, 0), (True, 2)):
        caplog.clear()
        with caplog.at_level(logging.INFO, "no_time_to_train"):
            build_encoder(settings("float32", compiled))
            build_proposer(settings("float32", compiled))
        assert sum("will be compiled" in text for text in caplog.messages) == expected


def test_compiled_encoder__same_as_uncompiled(scene: torch.Tensor) -> None:
    plain, compiled = (build_encoder(settings("float32", each)) for each in (False, True))
    assert (compiled(scene) - plain(scene)).abs().max() < 1e-4


@pytest.mark.exhaustive  # two minutes of a C++ compiler, unless its cache is full
@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), ("bfloat16", 1.0)])
@torch.inference_mode()
def test_compiled__same_as_uncompiled(scene: torch.Tensor, precision: str, most: float) -> None:
    """Patch features reach 9 and logits 41: the bounds allow a few steps of the format.

    All four masks are compared, since which of them is best may turn on one step.
    """
    found = []
    for compiled in (False, True):
        encoder = build_encoder(settings(precision, compiled))
        proposer = build_proposer(settings(precision, compiled))
        network, features = proposer.network, proposer.encode(scene, [])
        logits, ious = network.predict_points(features, proposer.points)
        prompts = network.sam_prompt_encoder.points(proposer.points)
        best_logits, best_ious = network.generate_masks(features, prompts, 0.0, chunk_size=12)
        assert len(best_logits) == len(best_ious)
        found.append((encoder(scene), logits, ious, best_ious))
    for value, compiled_value, bound in zip(
        *found, (most, 2 * most, most / 10, most / 10), strict=True
    ):
        assert len(compiled_value) == len(value) > 0
        assert (compiled_value - value).abs().max() < bound


def test_tf32__networks_stay_float32() -> None:
    before = torch.get_float32_matmul_precision()
    try:
        encoder = build_encoder(settings("tf32"))
        assert {p.dtype for p in encoder.parameters()} == {torch.float32}
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision(before)
