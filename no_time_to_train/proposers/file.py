"""Proposals from a file: boxes that SAM 2 draws masks in, or masks as they are.

Box prompts with single-mask output as in FSOD-VFM, whose ranking this follows: SAM 2's own
predicted IoU is not looked at, so `iou_thr` drops nothing, and the file's score takes its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from no_time_to_train.coco import segmentation as coco_segmentation
from no_time_to_train.config import ModelConfig
from no_time_to_train.proposers.proposal_file import (
    Images,
    ProposalFile,
    read_proposals,
    sample_mask,
)
from no_time_to_train.proposers.sam2_network import (
    draw_boxes,
    encode_images,
    load_sam2,
    prompts_at_once,
    without_empty,
)
from no_time_to_train.structures import Proposals, Target
from sam2 import ImageFeatures, Sam2ImageModel
from sam2.image_model import MASK_STRIDE

DEFAULT_SIDE = 1024
"""Side in pixels of SAM 2's input, where the masks need no SAM 2."""


@dataclass(frozen=True)
class PromptedTarget:
    """An image, encoded, and which one it is."""

    features: ImageFeatures
    target: Target


class BoxFileProposer(nn.Module):
    """SAM 2, prompted with the boxes of a file."""

    def __init__(self, network: Sam2ImageModel, source: ProposalFile, chunk_size: int) -> None:
        """Put network and boxes together.

        Args:
            network: SAM 2.
            source: Boxes by image.
            chunk_size: Boxes decoded at once, at most.
        """
        super().__init__()
        self.network = network
        self.source = source
        self.chunk_size = chunk_size
        self.best_score = 0.0

    @property
    def image_size(self) -> int:
        """Side in pixels of SAM 2's square input."""
        return self.network.image_size

    def encode(self, images: Tensor, targets: Sequence[Target]) -> list[PromptedTarget]:
        """Encode images; see `Proposer`."""
        features = encode_images(self.network, images)
        return [PromptedTarget(features[i], target) for i, target in enumerate(targets)]

    def propose(self, features: PromptedTarget) -> Proposals:
        """Draw a mask in each box.

        Returns:
            Proposals in the order of the file, without those that hold no pixel.
        """
        encoded, target = features.features, features.target
        boxes, scores = self.source.boxes(target), self.source.scores(target)
        chunk_size = prompts_at_once(encoded, self.chunk_size)
        logits = draw_boxes(self.network, encoded, boxes, target.original_size, chunk_size)
        self.best_score = max([self.best_score, *scores.tolist()])
        return without_empty(logits, scores.to(logits.device))


@dataclass(frozen=True)
class MaskedTarget:
    """Which image it is, and where to put its masks."""

    target: Target
    device: torch.device


class MaskFileProposer(nn.Module):
    """The masks of a file."""

    def __init__(self, source: ProposalFile, image_size: int) -> None:
        """Take up masks.

        Args:
            source: Masks by image.
            image_size: Side in pixels of the square that images are resized to; the masks that
                classes are found for have a quarter of it, as those of SAM 2.
        """
        super().__init__()
        self.source = source
        self.image_size = image_size
        self.best_score = 0.0

    def encode(self, images: Tensor, targets: Sequence[Target]) -> list[MaskedTarget]:
        """Keep in mind which images they are; see `Proposer`."""
        return [MaskedTarget(target, images.device) for target in targets]

    def propose(self, features: MaskedTarget) -> Proposals:
        """Take the masks of an image, in the order of the file, without those of no pixel.

        Returns:
            Logits 1 inside and -1 outside; at the image's size the masks are those of the file.
        """
        target, side = features.target, self.image_size // MASK_STRIDE
        scores = self.source.scores(target)
        self.best_score = max([self.best_score, *scores.tolist()])
        runs = self.source.run_lengths(target)
        filled = [row for row, each in enumerate(runs) if coco_segmentation.area(each)]
        runs = [runs[row] for row in filled]
        sampled = np.zeros((len(runs), side, side), bool)
        for cells, each in zip(sampled, runs, strict=True):
            cells[:] = sample_mask(coco_segmentation.from_rle(each), side)
        logits = torch.from_numpy(sampled).to(features.device).float() * 2 - 1
        drawn = _Drawn(runs, target.original_size, features.device)
        return Proposals(logits, scores[filled].to(features.device), drawn)


@dataclass(frozen=True)
class _Drawn:
    """Masks at image size, decoded where they are wanted: all of them would fill the memory."""

    runs: list[dict[str, Any]]
    size: tuple[int, int]
    device: torch.device

    def __call__(self, rows: Tensor) -> Tensor:
        masks = torch.zeros(len(rows), *self.size, dtype=torch.bool)
        for mask, row in zip(masks, rows.tolist(), strict=True):
            mask.copy_(torch.from_numpy(coco_segmentation.from_rle(self.runs[row])))
        return masks.to(self.device)


def build_file_proposer(
    config: ModelConfig, image_size: int | None = None, images: Images = None
) -> BoxFileProposer | MaskFileProposer:
    """Read the file, and build SAM 2 where it holds boxes; see `build_proposer`."""
    assert config.proposer_cfg.file is not None
    source = read_proposals(Path(config.proposer_cfg.file), images)
    if source.has_masks:
        return MaskFileProposer(source, image_size or DEFAULT_SIDE)
    network = load_sam2(config, image_size)
    return BoxFileProposer(network, source, config.sam2_infer_cfgs.testing_point_bs)
