"""Memory checkpoints as the published code writes them: dense maps beside all network weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from no_time_to_train.api import FewShotSegmenter
from no_time_to_train.config import FillMemoryDataConfig
from no_time_to_train.dataset.references import ReferenceDataset
from no_time_to_train.memory.references import patch_weights
from tests.cli.conftest import postprocess, segment, vis

CLASSES, SHOTS, PATCHES, CHANNELS = 2, 1, 18 * 18, 192


@pytest.fixture
def dense(memories_dir: Path) -> dict[str, Tensor]:
    """mem_feats and mem_masks of the photographs, as published checkpoints lay them out."""
    segmenter = FewShotSegmenter.from_preset(
        sam2="sam2_hiera_demo.yaml",
        sam2_checkpoint="demo_models/sam2_hiera_demo.pt",
        encoder="dinov2_demo",
        encoder_checkpoint="demo_models/dinov2_demo.pth",
        encoder_image_size=252,
        device="cpu",
    )
    references = ReferenceDataset(
        FillMemoryDataConfig(
            root="photos/images",
            json_file="photos/annotations/custom_references_with_segm.json",
            memory_pkl="references.json",
            memory_length=SHOTS,
            image_size=252,
            cat_names=("motorcycle", "coin"),
        )
    )
    features = torch.zeros(CLASSES, SHOTS, PATCHES, CHANNELS)
    masks = torch.zeros(CLASSES, SHOTS, PATCHES)
    for reference in (references[index] for index in range(len(references))):
        place = reference.class_index, reference.slot
        features[place] = segmenter._segmenter.encode_patches([reference.image])[0]
        masks[place] = patch_weights(reference.mask, 18)
    return {"mem_feats": features, "mem_masks": masks}


def save(path: str, tensors: dict[str, Tensor]) -> None:
    """A Lightning checkpoint with network weights beside the memory."""
    state = {f"seg_model.{name}": value for name, value in tensors.items()}
    state["seg_model.predictor.image_encoder.weight"] = torch.ones(3, 3)
    torch.save({"state_dict": state, "epoch": 0, "pytorch-lightning_version": "2.1.0"}, path)


def filled(dense: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stage 1 of the published code: statistics are there and zero."""
    return dense | {
        "mem_fill_counts": torch.full((CLASSES,), SHOTS),
        "mem_feats_avg": torch.zeros(CLASSES, CHANNELS),
        "mem_feats_ins_avg": torch.zeros(CLASSES, SHOTS, CHANNELS),
        "mem_feats_covariances": torch.zeros(CLASSES, CHANNELS, CHANNELS),
        "mem_ins_sim_avg": torch.zeros(CLASSES),
        "mem_feats_centers": torch.zeros(CLASSES, 4, CHANNELS),
        "mem_pca_mean": torch.zeros(CLASSES, CHANNELS),
        "mem_pca_components": torch.zeros(CLASSES, 3, CHANNELS),
        "mem_postprocessed": torch.tensor(False),
    }


def finalised(dense: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stage 2: the statistics by their formulas."""
    features, masks = dense["mem_feats"], dense["mem_masks"]
    means = (features * masks[..., None]).sum(2) / masks.sum(2)[..., None]  # (K, S, C)
    centres = torch.nn.functional.normalize(features[:, 0, :4], dim=-1)
    return filled(dense) | {
        "mem_feats_avg": means[:, 0],
        "mem_feats_ins_avg": means,
        "mem_feats_centers": centres,
        "mem_pca_mean": means[:, 0],
        "mem_pca_components": torch.eye(CHANNELS)[:3].expand(CLASSES, 3, CHANNELS).clone(),
        "mem_postprocessed": torch.tensor(True),
    }


def found(path: str) -> list[dict]:
    outcome = segment("--export_result", "out.json", ckpt_path=path)
    assert outcome.code == 0, outcome.err
    return json.loads(Path("out.json").read_text())


def assert_same(ours: list[dict], theirs: list[dict]) -> None:
    assert [r["segmentation"] for r in ours] == [r["segmentation"] for r in theirs]
    np.testing.assert_allclose([r["score"] for r in ours], [r["score"] for r in theirs], atol=1e-5)


def test_published_memory__post_processed_segments_like_ours(dense: dict[str, Tensor]) -> None:
    save("published.pth", finalised(dense))
    assert_same(found("memory.pth"), found("published.pth"))


def test_published_memory__post_processed_can_be_drawn(dense: dict[str, Tensor]) -> None:
    save("published.pth", finalised(dense))
    assert vis(ckpt_path="published.pth").code == 0
    assert len(list(Path("results_analysis/memory_vis/photos").iterdir())) == 2


def test_published_memory__filled_can_be_post_processed_here(dense: dict[str, Tensor]) -> None:
    save("published.pth", filled(dense))
    outcome = postprocess("--ckpt_path", "published.pth", "--out_path", "ours.pth")
    assert outcome.code == 0, outcome.err
    assert_same(found("memory.pth"), found("ours.pth"))


def test_published_memory__with_a_vanished_reference_is_refused(dense: dict[str, Tensor]) -> None:
    dense["mem_masks"][1, 0] = 0
    save("zeros.pth", filled(dense))
    outcome = postprocess("--ckpt_path", "zeros.pth", "--out_path", "ours.pth")
    assert outcome.code == 2
    assert "reference 0 of class 1" in outcome.err
    save("nan.pth", finalised(dense))
    outcome = segment(ckpt_path="nan.pth")
    assert outcome.code == 2
    assert "reference 0 of class 1" in outcome.err


def test_published_memory__incomplete_is_refused(dense: dict[str, Tensor]) -> None:
    tensors = finalised(dense)
    del tensors["mem_pca_mean"]
    save("incomplete.pth", tensors)
    outcome = segment(ckpt_path="incomplete.pth")
    assert outcome.code == 2
    assert "mem_pca_mean" in outcome.err


def test_published_memory__filled_alone_does_not_segment(dense: dict[str, Tensor]) -> None:
    save("published.pth", filled(dense))
    outcome = segment(ckpt_path="published.pth")
    assert outcome.code == 2
    assert "not post-processed" in outcome.err
