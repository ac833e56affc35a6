"""Proposals from a file: what is read, what is refused, and that SAM 2's own come back the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch import Tensor

from no_time_to_train.coco.entries import ImageInfo
from no_time_to_train.config import EncoderConfig, ModelConfig, ProposerConfig, Sam2InferConfig
from no_time_to_train.dataset.images import read_image, to_pixels
from no_time_to_train.encoders import build_encoder
from no_time_to_train.errors import InputError
from no_time_to_train.models.mask_ops import upsample_masks
from no_time_to_train.models.segmenter import Segmenter
from no_time_to_train.proposers import build_proposer
from no_time_to_train.proposers.proposal_file import clipped, read_proposals, sample_mask
from no_time_to_train.structures import Reference, Target

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {7: ImageInfo(7, "a.jpg", 6, 8), "b": ImageInfo("b", "b.jpg", None, None)}
BOX = {"image_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5, "category_id": 99}
MASK = {"image_id": 7, "segmentation": {"size": [6, 8], "counts": [40, 8]}, "score": 1}


def write(folder: Path, entries: Any) -> Path:
    path = folder / "proposals.json"
    path.write_text(json.dumps(entries))
    return path


def test_read_proposals__boxes_are_corners_inside_the_image(tmp_path: Path) -> None:
    wide = BOX | {"bbox": [-2, 4, 100, 100], "score": -3}
    source = read_proposals(write(tmp_path, [BOX, wide]), IMAGES)
    seven = Target(torch.empty(0), (6, 8), image_id=7)
    assert not source.has_masks
    assert source.boxes(seven).tolist() == [[1, 2, 4, 6], [0, 4, 8, 6]]
    assert source.scores(seven).tolist() == [0.5, -3]


def test_read_proposals__an_image_without_any_is_told_and_has_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = read_proposals(write(tmp_path, [BOX]), IMAGES)
    assert "no proposals for 1 of 2 images, such as 'b'" in caplog.text
    assert source.boxes(Target(torch.empty(0), (6, 8), image_id="b")).shape == (0, 4)
    with pytest.raises(InputError, match=r"proposals\.json has no proposals for image 8"):
        source.scores(Target(torch.empty(0), (6, 8), image_id=8))


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([], "is empty"),
        ({"annotations": []}, "expected a list of proposals"),
        ([BOX, 3], "entry 1 must be an object"),
        ([{"bbox": [0, 0, 1, 1], "score": 1}], 'entry 0: "image_id" must be'),
        ([BOX | {"image_id": 8}], "entry 0: there is no image 8"),
        ([BOX, BOX | {"score": None}], 'entry 1: "score" must be a finite number, got None'),
        ([BOX | {"score": float("nan")}], '"score" must be a finite number, got nan'),
        ([BOX | {"score": True}], '"score" must be a finite number, got True'),
        ([{"image_id": 7, "score": 1}], 'neither a "bbox" nor a "segmentation"'),
        ([BOX | {"bbox": [1, 2, 3]}], '"bbox" must be four finite numbers'),
        ([BOX | {"bbox": [1, 2, float("inf"), 3]}], '"bbox" must be four finite numbers'),
        ([BOX | {"bbox": [8, 2, 3, 4]}], "holds no part of its image of 8 x 6 pixels"),
        ([BOX | {"bbox": [1, 2, 0, 4]}], "holds no part of its image"),
        ([MASK | {"segmentation": {"size": [8, 6], "counts": [48]}}], r"RLE size \[8, 6\]"),
        ([MASK | {"segmentation": {"size": [6, 8], "counts": [47]}}], "RLE counts for 47 pixels"),
        ([MASK | {"segmentation": [[0, 0, float("nan"), 1, 2, 2]]}], "finite"),
        ([MASK, BOX], "1 of 2 entries have no segmentation"),
    ],
)
def test_read_proposals__what_cannot_be_used_is_named(
    tmp_path: Path, entries: Any, words: str
) -> None:
    with pytest.raises(InputError, match=f"proposer_cfg.file .*proposals.json: .*{words}"):
        read_proposals(write(tmp_path, entries), IMAGES)


@pytest.mark.parametrize(("text", "words"), [(None, "no such file"), ("[{", "cut off")])
def test_read_proposals__what_is_no_json_is_named(
    tmp_path: Path, text: str | None, words: str
) -> None:
    path = tmp_path / "proposals.json"
    if text:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_proposals(path)


def test_clipped__keeps_fractions() -> None:
    assert clipped((1.5, -0.5, 2.0, 3.0), (6, 8)) == (1.5, 0, 3.5, 2.5)


def test_sample_mask__takes_the_centre_of_each_cell() -> None:
    mask = np.zeros((6, 9), bool)
    mask[1, 4] = mask[4, 0] = True  # rows 1, 3, 5 and columns 1, 4, 7 are looked at
    assert sample_mask(mask, 3).tolist() == [[False, True, False], [False] * 3, [False] * 3]


def test_sample_mask__of_a_dot_between_the_centres_is_the_cell_around_it() -> None:
    mask = np.zeros((9, 9), bool)
    mask[8, 0] = True
    assert sample_mask(mask, 3).tolist() == [[False] * 3, [False] * 3, [True, False, False]]


def config(**changes: Any) -> ModelConfig:
    return ModelConfig(
        sam2_cfg_file="sam2_hiera_demo.yaml",
        sam2_ckpt_path=str(ROOT / "demo_models/sam2_hiera_demo.pt"),
        sam2_infer_cfgs=Sam2InferConfig(points_per_side=12),
        encoder_cfg=EncoderConfig(name="dinov2_demo", img_size=252),
        encoder_ckpt_path=str(ROOT / "demo_models/dinov2_demo.pth"),
        **changes,
    )


def scene(name: str, height: int, width: int) -> Target:
    picture = read_image(ROOT / "scenes/images" / name).resize((256, 256))
    return Target(to_pixels(picture), (height, width), image_id=7)


@pytest.fixture(scope="module")
def grid() -> Segmenter:
    """With two classes, whatever is in two corners of a scene."""
    segmenter = Segmenter(
        config().sam2_infer_cfgs, build_encoder(config()), build_proposer(config())
    )
    image = scene("target_01.jpg", 256, 256).image
    for index, corner in enumerate((slice(0, 128), slice(128, 256))):
        mask = torch.zeros(256, 256)
        mask[corner, corner] = 1.0
        segmenter.remember([Reference(image, mask, index, 0, 1, 0, "a corner")])
    segmenter.finalise()
    return segmenter


def with_file(grid: Segmenter, folder: Path, entries: Sequence[Any]) -> Segmenter:
    """The same classes and another proposer."""
    images = {7: ImageInfo(7, "a.jpg", None, None)}
    settings = config(proposer_cfg=ProposerConfig("file", str(write(folder, entries))))
    proposer = build_proposer(settings, 256, images)
    return Segmenter(grid.settings, grid.encoder, proposer, memory=grid.memory)


def results(masks: Tensor, scores: Tensor) -> list[dict[str, Any]]:
    """A COCO results list, written with pycocotools."""
    columns = np.asfortranarray(masks.numpy().transpose(1, 2, 0), dtype=np.uint8)
    return [
        {
            "image_id": 7,
            "category_id": 1,
            "score": score,
            "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
        }
        for rle, score in zip(coco_mask.encode(columns), scores.tolist(), strict=True)
    ]


@torch.inference_mode()
def test_file__sam2s_own_proposals_give_the_same_detections(
    grid: Segmenter, tmp_path: Path
) -> None:
    """192 x 320 pixels are 3 x 5 per pixel of SAM 2's masks, whose centres are so kept exactly."""
    target = scene("target_00.jpg", 192, 320)
    proposals = grid.proposer.propose(grid.proposer.encode(target.image[None], [target])[0])
    masks, _ = upsample_masks(proposals.logits, target.original_size)
    written = with_file(grid, tmp_path, results(masks, proposals.quality))
    (expected,), (found,) = grid.segment([target]), written.segment([target])
    assert len(expected) > 5
    for name in ("masks", "boxes", "scores", "labels"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert written.proposer.best_score == proposals.quality.max()


@torch.inference_mode()
def test_file__boxes_are_drawn_by_sam2_and_ranked_by_their_scores(
    grid: Segmenter, tmp_path: Path
) -> None:
    target = scene("target_00.jpg", 128, 512)
    entries = [
        {"image_id": 7, "bbox": [64, 10, 200, 80], "score": 0.01},
        {"image_id": 7, "bbox": [300, 60, 150, 60], "score": -2.0},
    ]
    proposer = with_file(grid, tmp_path, entries).proposer
    (features,) = proposer.encode(target.image[None], [target])
    proposals = proposer.propose(features)
    frame = torch.tensor([[32.0, 20, 132, 180], [150, 120, 225, 240]])  # x / 2, y * 2
    logits, _ = proposer.network.predict_boxes(features.features, frame)
    torch.testing.assert_close(proposals.logits, logits[:, 0])
    torch.testing.assert_close(proposals.quality, torch.tensor([0.01, -2.0]))


@torch.inference_mode()
def test_file__an_image_without_proposals_has_no_detections(
    grid: Segmenter, tmp_path: Path
) -> None:
    empty = {"image_id": 7, "score": 1, "segmentation": {"size": [192, 320], "counts": [61440]}}
    (found,) = with_file(grid, tmp_path, [empty]).segment([scene("target_00.jpg", 192, 320)])
    assert found.masks.shape == (0, 192, 320)
