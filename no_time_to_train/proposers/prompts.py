"""SAM 2's own prompts: the mask of one object that clicks or a box point at."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from no_time_to_train.errors import InputError
from sam2 import ImageFeatures, Sam2ImageModel


@dataclass(frozen=True)
class Prompt:
    """Clicks and a box that all mean one object; either may be missing."""

    points: Tensor
    """(T, 2) float32 xy in pixels of the image."""
    positive: Tensor
    """(T,) bool: whether each click is on the object, or on what does not belong to it."""
    box: Tensor | None
    """(4,) float32 xyxy in pixels of the image."""

    @property
    def is_ambiguous(self) -> bool:
        """Whether it may mean a whole or a part of it: a single click leaves that open."""
        return self.box is None and len(self.points) == 1


def prompted_network(proposer: object) -> Sam2ImageModel:
    """The SAM 2 of a proposer.

    Raises:
        InputError: It has none.
    """
    network = getattr(proposer, "network", None)
    if not isinstance(network, Sam2ImageModel):
        raise InputError(
            "clicks and boxes are drawn by SAM 2, which a proposal file of masks does without; "
            "set proposer_cfg.name to point_grid, or give a mask"
        )
    return network


@torch.inference_mode()
def draw_prompt(
    network: Sam2ImageModel, features: ImageFeatures, prompt: Prompt, size: tuple[int, int]
) -> Tensor:
    """Draw the object that a prompt means.

    Of a single click, the best by predicted IoU of SAM 2's masks 1 to 3 is taken; of a box or
    several clicks mask 0, the one for prompts without doubt.

    Args:
        network: SAM 2.
        features: Of one image.
        prompt: What is meant.
        size: (height, width) of the image in pixels; it is squeezed into the square input.

    Returns:
        (H, W) bool, which may be empty.
    """
    scale = network.image_size / torch.tensor([size[1], size[0]], dtype=torch.float32)
    box = None if prompt.box is None else (prompt.box * scale.repeat(2))[None]
    encoder = network.sam_prompt_encoder
    tokens = encoder.clicks((prompt.points * scale)[None], prompt.positive[None], box)
    logits, ious = network.predict_masks(features, tokens)  # (1, 4, h, w), (1, 4)
    index = 1 + int(ious[0, 1:].argmax()) if prompt.is_ambiguous else 0
    chosen = logits[:, index : index + 1].float()
    full = F.interpolate(chosen, size, mode="bilinear", align_corners=False)  # (1, 1, H, W)
    return full[0, 0] > 0
